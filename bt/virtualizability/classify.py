"""From outcomes to classes: the definitions of the package's head, as code.

    >>> verdicts = derive(PROTECTED)
    >>> verdicts[0].verdict.name
    'INNOCUOUS'
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from bt.virtualizability.benches import benches
from bt.virtualizability.experiments import Experiment, experiments
from bt.virtualizability.forms import Form
from bt.virtualizability.outcome import ExperimentOutcome
from bt.virtualizability.worlds import Setting, World


class Verdict(enum.Enum):
    """The class that was derived."""

    INNOCUOUS = "innocuous"  #: none of the others
    PRIVILEGED = "privileged"  #: ring 3 traps, however lenient its monitor is
    SENSITIVE = "sensitive"  #: sensitive, and a monitor can have ring 3 trap
    CRITICAL = "critical"  #: sensitive, and ring 3 does not trap


#: How a world may change an outcome before anyone looks at it (UMIP, in umip.py).
Rule = Callable[[World, Form, ExperimentOutcome], ExperimentOutcome]


@dataclass
class Trial:
    """One experiment and what came of it in each world."""

    experiment: Experiment
    outcomes: dict[str, ExperimentOutcome]


@dataclass(frozen=True)
class Witness:
    """An experiment that ring 3 ran without a trap, and got wrong."""

    experiment: Experiment
    guest: ExperimentOutcome
    monitor: ExperimentOutcome


@dataclass
class Finding:
    """What was derived about one form in one setting."""

    form: Form
    verdict: Verdict
    control: list[str] = field(default_factory=list)  #: privileged state that it changes
    behaviour: list[str] = field(default_factory=list)  #: privileged state that its result shows
    completes: bool = False  #: in ring 0, somewhere
    witness: Witness | None = None
    trials: list[Trial] = field(default_factory=list)

    @property
    def sensitive(self) -> bool:
        """Control sensitive or behaviour sensitive?"""
        return bool(self.control or self.behaviour)


def run(setting: Setting, forms: Iterable[Form]) -> list[tuple[Form, list[Trial]]]:
    """Every experiment in every world of the setting."""
    found = [(f, [Trial(e, {}) for e in experiments(f, setting.bits)]) for f in forms]
    bench = benches()[setting.bits]
    for world in setting.worlds:
        bench.enter(world)
        for _, trials in found:
            for trial in trials:
                trial.outcomes[world.name] = bench.run(trial.experiment)
    return found


def classify(
    setting: Setting, form: Form, trials: Sequence[Trial], rule: Rule | None = None
) -> Finding:
    """The definitions. `rule` stands for hardware that the worlds do not have."""
    if rule is not None:
        trials = [_with_rule(setting, form, trial, rule) for trial in trials]
    finding = Finding(form, Verdict.INNOCUOUS, trials=list(trials))
    rings0 = [world for world in setting.worlds if world.ring0]
    _look_for_control(finding)
    _look_for_behaviour(setting, finding)
    finding.completes = any(trial.outcomes[w.name].trap is None for trial in trials for w in rings0)
    trapped = finding.completes and _always_traps(trials, setting.monitor)
    finding.witness = _witness(setting, trials)
    if trapped and _always_traps(trials, setting.lenient):
        finding.verdict = Verdict.PRIVILEGED
    elif finding.sensitive and trapped:
        finding.verdict = Verdict.SENSITIVE
    elif finding.sensitive and finding.witness is not None:
        finding.verdict = Verdict.CRITICAL
    return finding


def _with_rule(setting: Setting, form: Form, trial: Trial, rule: Rule) -> Trial:
    worlds = {world.name: world for world in setting.worlds}
    changed = {name: rule(worlds[name], form, each) for name, each in trial.outcomes.items()}
    return Trial(trial.experiment, changed)


def _always_traps(trials: Sequence[Trial], world: World) -> bool:
    return all(trial.outcomes[world.name].trap is not None for trial in trials)


def _look_for_control(finding: Finding) -> None:
    """In any world, and in ring 3 as well."""
    for trial in finding.trials:
        for outcome in trial.outcomes.values():
            for name, _, _ in outcome.changes():
                if name not in finding.control:
                    finding.control.append(name)


def _look_for_behaviour(setting: Setting, finding: Finding) -> None:
    """What the visible result depends on: one piece of the privileged state at a time."""
    guest = setting.guests[0].name
    others = [*setting.guests[1:], *setting.variants]
    for trial in finding.trials:
        base = trial.outcomes[guest]
        for world in dict.fromkeys(others):
            other = trial.outcomes[world.name]
            if world.name not in finding.behaviour and _shows(base, other):
                finding.behaviour.append(world.name)
        for first in setting.guests:
            if not finding.behaviour and _shows(
                trial.outcomes[first.name], trial.outcomes[setting.monitor.name]
            ):
                finding.behaviour.append(setting.monitor.name)


def _shows(one: ExperimentOutcome, other: ExperimentOutcome) -> bool:
    return one.trap is None and other.trap is None and one.visible != other.visible


def _witness(setting: Setting, trials: Sequence[Trial]) -> Witness | None:
    """The most telling experiment that ring 3 got wrong: both complete, with different effects."""
    found: list[tuple[tuple[bool, bool, int], Witness]] = []
    for number, trial in enumerate(trials):
        monitor = trial.outcomes[setting.monitor.name]
        if monitor.trap is not None:
            continue
        for world in setting.guests:
            guest = trial.outcomes[world.name]
            if guest.trap is None and not _wrong(guest, monitor):
                continue
            same = guest.trap is None and _effects(guest) == _effects(monitor)
            rank = (guest.trap is not None, same, number)
            found.append((rank, Witness(trial.experiment, guest, monitor)))
    return min(found, key=lambda each: each[0])[1] if found else None


def _effects(outcome: ExperimentOutcome) -> object:
    return outcome.visible, outcome.changes()


def _wrong(guest: ExperimentOutcome, monitor: ExperimentOutcome) -> bool:
    """Another visible result, or privileged state changed with nobody told."""
    return bool(guest.visible != monitor.visible or guest.changes() or monitor.changes())


def derive(setting: Setting, forms: Iterable[Form], rule: Rule | None = None) -> list[Finding]:
    """Run and classify."""
    return [classify(setting, form, trials, rule) for form, trials in run(setting, forms)]

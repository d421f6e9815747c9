"""Lab 1, solved: the definitions of Popek and Goldberg as code."""

from __future__ import annotations

from bt.virtualizability.outcome import ExperimentOutcome
from monitor.labs.lab1 import GUESTS, LENIENT, MONITOR, VARIANTS, Evidence


def classify(evidence: Evidence) -> str:
    """The class of an instruction, from what it did in each world."""
    completes = any(
        trial[guest].trap is None for trial in evidence.trials for guest in GUESTS
    )
    trapped = completes and always_traps(evidence, MONITOR)
    if trapped and always_traps(evidence, LENIENT):
        return "privileged"
    if not (is_control_sensitive(evidence) or is_behaviour_sensitive(evidence)):
        return "innocuous"
    if trapped:
        return "sensitive"
    return "critical" if goes_wrong(evidence) else "innocuous"


def always_traps(evidence: Evidence, world: str) -> bool:
    return all(trial[world].trap is not None for trial in evidence.trials)


def is_control_sensitive(evidence: Evidence) -> bool:
    """Does it change privileged state, in any world?"""
    return any(outcome.changes() for trial in evidence.trials for outcome in trial.values())


def is_behaviour_sensitive(evidence: Evidence) -> bool:
    """Does what it shows depend on privileged state?"""
    for trial in evidence.trials:
        if any(shows(trial[GUESTS[0]], trial[other]) for other in (*GUESTS[1:], *VARIANTS)):
            return True
        if any(shows(trial[guest], trial[MONITOR]) for guest in GUESTS):
            return True
    return False


def shows(one: ExperimentOutcome, other: ExperimentOutcome) -> bool:
    return one.trap is None and other.trap is None and one.visible != other.visible


def goes_wrong(evidence: Evidence) -> bool:
    """Is there a trial that ring 3 ran without a trap, to another effect?"""
    for trial in evidence.trials:
        ring3 = trial[MONITOR]
        if ring3.trap is not None:
            continue
        for guest in GUESTS:
            ring0 = trial[guest]
            if ring0.trap is not None or ring0.visible != ring3.visible:
                return True
            if ring0.changes() or ring3.changes():
                return True
    return False

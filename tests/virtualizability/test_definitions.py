"""The definitions alone, on outcomes made by hand: each class comes out when it should."""

from __future__ import annotations

from dataclasses import replace

from bt.virtualizability.classify import Trial, Verdict, classify
from bt.virtualizability.experiments import Experiment, experiments
from bt.virtualizability.forms import Form, all_forms
from bt.virtualizability.outcome import PRIVILEGED, ExperimentOutcome, Trap, Visible
from bt.virtualizability.worlds import GUEST, LENIENT, MONITOR, PROTECTED, VARIANTS

FORM: Form = next(form for form in all_forms() if form.name == "NOP")
EXPERIMENT: Experiment = experiments(FORM, 32)[0]
STATE = tuple(0 for _ in PRIVILEGED)
SEEN = Visible((0,) * 8, 0, 0, (0,) * 6, bytes(512), b"")
NOTHING = ExperimentOutcome(None, SEEN, STATE, STATE)
FAULT = ExperimentOutcome(Trap(13, 0), SEEN, STATE, STATE)
CHANGES_IF = replace(NOTHING, after=(0, 1, *STATE[2:]))
OTHER_RESULT = replace(NOTHING, visible=SEEN._replace(eip=1))


def verdict(**outcomes: ExperimentOutcome) -> Verdict:
    """Of an instruction that does nothing but in the worlds that are named."""
    found = {world.name: NOTHING for world in PROTECTED.worlds}
    for name, outcome in outcomes.items():
        found[name] = outcome
    return classify(PROTECTED, FORM, [Trial(EXPERIMENT, found)]).verdict


def ring0(outcome: ExperimentOutcome) -> dict[str, ExperimentOutcome]:
    return {world.name: outcome for world in (GUEST, *VARIANTS) if world.ring0}


def test_nothing_is_innocuous() -> None:
    assert verdict() is Verdict.INNOCUOUS


def test_a_fault_everywhere_is_innocuous() -> None:
    assert verdict(**{world.name: FAULT for world in PROTECTED.worlds}) is Verdict.INNOCUOUS


def test_a_fault_in_ring_3_whatever_the_monitor_does_is_privileged() -> None:
    assert verdict(monitor=FAULT, lenient=FAULT) is Verdict.PRIVILEGED
    assert verdict(**ring0(CHANGES_IF), monitor=FAULT, lenient=FAULT) is Verdict.PRIVILEGED


def test_a_fault_that_the_monitor_can_have_is_sensitive() -> None:
    assert verdict(**ring0(CHANGES_IF), monitor=FAULT) is Verdict.SENSITIVE


def test_a_fault_in_ring_3_of_what_is_not_sensitive_is_innocuous() -> None:
    assert verdict(monitor=FAULT) is Verdict.INNOCUOUS


def test_privileged_state_changed_in_silence_is_critical() -> None:
    assert verdict(**ring0(CHANGES_IF)) is Verdict.CRITICAL
    assert verdict(monitor=CHANGES_IF) is Verdict.CRITICAL


def test_a_result_that_shows_privileged_state_in_silence_is_critical() -> None:
    assert verdict(monitor=OTHER_RESULT) is Verdict.CRITICAL


def test_a_result_that_shows_privileged_state_and_traps_is_sensitive() -> None:
    found = {VARIANTS[1].name: OTHER_RESULT}
    assert verdict(**found, monitor=FAULT) is Verdict.SENSITIVE


def test_one_experiment_in_silence_is_enough() -> None:
    trapped = {world.name: CHANGES_IF if world.ring0 else FAULT for world in PROTECTED.worlds}
    silent = {world.name: CHANGES_IF if world.ring0 else NOTHING for world in PROTECTED.worlds}
    trials = [Trial(EXPERIMENT, trapped), Trial(EXPERIMENT, silent)]
    found = classify(PROTECTED, FORM, trials)
    assert found.verdict is Verdict.CRITICAL
    assert found.witness is not None
    assert found.witness.monitor is NOTHING


def test_what_it_depends_on_is_named() -> None:
    found = {world.name: NOTHING for world in PROTECTED.worlds}
    found["GDTR"] = OTHER_RESULT
    finding = classify(PROTECTED, FORM, [Trial(EXPERIMENT, found)])
    assert finding.behaviour == ["GDTR"]


def test_the_worlds_by_name_are_different() -> None:
    names = [world.name for world in PROTECTED.worlds]
    assert len(names) == len(set(names))
    assert {"guest", "monitor", "lenient"} == {GUEST.name, MONITOR.name, LENIENT.name}

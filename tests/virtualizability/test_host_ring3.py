"""The host's processor agrees with the interpreter on every ring 3 outcome."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bt.virtualizability.classify import Trial, derive
from bt.virtualizability.forms import all_forms
from bt.virtualizability.native import Host, HostTrial, disagreement, run_on_host, unavailable
from bt.virtualizability.outcome import ExperimentOutcome, Trap
from bt.virtualizability.survey import Survey
from bt.virtualizability.umip import PREVENTED
from bt.virtualizability.worlds import PROTECTED

reason = unavailable()
pytestmark = pytest.mark.skipif(reason is not None, reason=str(reason))


@pytest.fixture(scope="module")
def host(result: Survey) -> Host:
    return run_on_host(result.protected)


def test_they_agree_on_everything(host: Host, result: Survey) -> None:
    wrong = [(each.experiment.form.name, each.disagreement) for each in host.disagreements]
    assert wrong == []
    experiments = sum(len(finding.trials) for finding in result.protected)
    assert host.count + host.refused == experiments


def test_only_hypercalls_are_not_run(host: Host, result: Survey) -> None:
    ran = {each.experiment.form.name for rows in host.trials.values() for each in rows}
    assert {form.name for form in result.forms} - ran == {"VMCALL", "VMMCALL"}


def test_what_the_host_traps_is_what_was_derived(host: Host) -> None:
    trapped = {
        each.experiment.form.name
        for rows in host.trials.values()
        for each in rows
        if each.host.trap is not None and each.host.trap.vector == 13
    }
    assert {"CLI", "HLT", "LGDT M", "IN", "RDPMC", "MOV Rd,CR0"} <= trapped
    assert not {"POPF", "PUSHF", "PUSH CS", "LAR Gv,Ew", "CPUID", "RDTSC"} & trapped


@pytest.mark.parametrize("name", ["POPF", "SGDT M", "FADD dword", "INT3", "HLT"])
def test_a_disagreement_would_be_seen(host: Host, result: Survey, name: str) -> None:
    """Each part of an outcome changed by hand."""
    [finding, *_] = [each for each in result.protected if each.form.name == name]
    for trial in finding.trials:
        row = of(host, trial)
        assert disagreement(finding, trial, row.host, row.ours) == ""
        for changed in spoiled(row.host):
            assert disagreement(finding, trial, changed, row.ours), changed


def of(host: Host, trial: Trial) -> HostTrial:
    """What the host made of a trial."""
    rows = [each for rows in host.trials.values() for each in rows]
    return next(each for each in rows if each.experiment is trial.experiment)


def spoiled(outcome: ExperimentOutcome) -> list[ExperimentOutcome]:
    if outcome.gate is not None:
        return [replace(outcome, gate=outcome.gate + 1), replace(outcome, gate=None)]
    visible = outcome.visible
    regs = (visible.regs[0] ^ 1, *visible.regs[1:])
    window = visible.window[:-1] + bytes((visible.window[-1] ^ 1,))
    other = Trap(6, 0)
    return [
        replace(outcome, trap=None if outcome.trap else other),
        replace(outcome, visible=visible._replace(regs=regs)),
        replace(outcome, visible=visible._replace(window=window)),
        replace(outcome, visible=visible._replace(eip=visible.eip + 1)),
        replace(outcome, visible=visible._replace(flags=visible.flags ^ 0x400)),
    ]


def test_umip_that_traps_is_recognised(host: Host, result: Survey) -> None:
    """A system that lets the #GP(0) through: not a disagreement, but only for the five."""
    fault = Trap(13, 0)
    for finding in result.protected:
        if finding.form.name not in ("STR Ev", "LAR Gv,Ew"):
            continue
        trial = finding.trials[0]
        row = of(host, trial)
        words = disagreement(finding, trial, replace(row.host, trap=fault), row.ours)
        assert (words == "") is (finding.form.row.mnemonic in PREVENTED)


def test_a_few_forms_alone() -> None:
    forms = [form for form in all_forms() if form.name in ("POPF", "CLI")]
    some = run_on_host(derive(PROTECTED, forms))
    assert some.count == 10
    assert not some.disagreements

"""What is derived: the published seventeen, and no critical integer instruction unexplained."""

from __future__ import annotations

import pytest

from bt.instruction import Class
from bt.models import DEFAULT
from bt.table import TABLE
from bt.virtualizability.classify import Finding, Verdict
from bt.virtualizability.explain import explain
from bt.virtualizability.published import SEVENTEEN, table_differences
from bt.virtualizability.survey import Group, Survey
from bt.virtualizability.worlds import MONITOR, PROTECTED, SETTINGS, VIRTUAL_0, VIRTUAL_3


def groups(result: Survey) -> dict[str, Group]:
    return {group.name: group for group in result.groups()}


def test_the_published_seventeen_are_found(result: Survey) -> None:
    assert len(SEVENTEEN) == len(set(SEVENTEEN)) == 17
    assert tuple(result.comparison.found) == SEVENTEEN
    assert result.comparison.missing == []


def test_nothing_else_is_critical_unexplained(result: Survey) -> None:
    assert set(result.comparison.further) == {"IRET", "LDS/LES/LFS/LGS/LSS"}
    assert all(result.comparison.further.values())


def test_every_difference_from_the_table_is_explained(result: Survey) -> None:
    differ = table_differences(result.protected)
    assert [each.form.name for each, why in differ if not why] == []
    integer = {each.form.name for each, _ in differ if not each.form.x87}
    stores = {f"{verb}{name}" for verb in ("PUSH ", "MOV Ev,") for name in ("ES", "DS", "FS", "GS")}
    assert integer == stores | {"MOV CS,Ew", "INT1", "RDTSC", "RDPMC"}


def test_the_tables_groups_are_derived(result: Survey) -> None:
    """Each Robin and Irvine group of the table, by some of its rows."""
    derived = {f.form.row.group for f in result.protected if f.verdict is Verdict.CRITICAL}
    assert {row.group for row in TABLE if row.sensitivity is Class.CRITICAL} == derived - {""}


def test_every_row_of_the_table_was_run(result: Survey) -> None:
    seen = {id(finding.form.row) for finding in result.protected}
    has = [row for row in TABLE if not row.feature or row.feature in DEFAULT.features]
    assert [row.mnemonic for row in has if id(row) not in seen] == []
    for findings in result.findings.values():
        assert len(findings) == len(result.forms)
        assert all(finding.trials for finding in findings)


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("HLT", Verdict.PRIVILEGED),
        ("LGDT M", Verdict.PRIVILEGED),
        ("MOV CR3,Rd", Verdict.PRIVILEGED),
        ("WRMSR", Verdict.PRIVILEGED),
        ("CLI", Verdict.SENSITIVE),
        ("STI", Verdict.SENSITIVE),
        ("IN", Verdict.SENSITIVE),
        ("OUTS", Verdict.SENSITIVE),
        ("RDTSC", Verdict.SENSITIVE),
        ("RDPMC", Verdict.SENSITIVE),
        ("POPF", Verdict.CRITICAL),
        ("IRET", Verdict.CRITICAL),
        ("PUSH SS", Verdict.CRITICAL),
        ("PUSH DS", Verdict.INNOCUOUS),
        ("POP DS", Verdict.CRITICAL),
        ("CPUID", Verdict.INNOCUOUS),
        ("ARPL Ew,Gw", Verdict.INNOCUOUS),
        ("UD2", Verdict.INNOCUOUS),
        ("FNSTENV", Verdict.INNOCUOUS),
        ("FADD dword", Verdict.CRITICAL),
    ],
)
def test_some_classes(result: Survey, name: str, verdict: Verdict) -> None:
    assert {f.verdict for f in groups(result)[name].findings(PROTECTED.name)} == {verdict}


@pytest.mark.parametrize(
    ("name", "iopl0", "iopl3"),
    [
        ("CLI", Verdict.SENSITIVE, Verdict.CRITICAL),
        ("PUSHF", Verdict.SENSITIVE, Verdict.CRITICAL),
        ("INT Ib", Verdict.SENSITIVE, Verdict.CRITICAL),
        ("INT3", Verdict.CRITICAL, Verdict.CRITICAL),
        ("IN", Verdict.SENSITIVE, Verdict.SENSITIVE),
        ("SMSW Ev", Verdict.CRITICAL, Verdict.CRITICAL),
        ("MOV DS,Ew", Verdict.INNOCUOUS, Verdict.INNOCUOUS),
        ("HLT", Verdict.PRIVILEGED, Verdict.PRIVILEGED),
    ],
)
def test_virtual_8086_mode(result: Survey, name: str, iopl0: Verdict, iopl3: Verdict) -> None:
    group = groups(result)[name]
    assert (group.verdict(VIRTUAL_0.name), group.verdict(VIRTUAL_3.name)) == (iopl0, iopl3)


def test_what_pushf_depends_on_and_popf_changes(result: Survey) -> None:
    pushf, popf = (groups(result)[name].first for name in ("PUSHF", "POPF"))
    assert (pushf.control, pushf.behaviour) == ([], ["interrupt flag", "IOPL"])
    assert (popf.control, popf.behaviour) == (["IF", "IOPL"], [])


@pytest.mark.parametrize(
    ("name", "ring0", "ring3"),
    [
        ("POPF", "IF 1 -> 0", "IF stays 1, no trap"),
        ("PUSHF", "[stack-4] 00000003", "[stack-4] 00000203, no trap"),
        ("PUSH CS", "[stack-4] 00000020", "[stack-4] 00000023, no trap"),
        ("VERR Ew", "ZF 0", "ZF 1, no trap"),
    ],
)
def test_explanations(result: Survey, name: str, ring0: str, ring3: str) -> None:
    witness = groups(result)[name].first.witness
    assert witness is not None
    assert explain(witness) == (ring0, ring3)


def everything(result: Survey) -> list[tuple[str, Finding]]:
    return [(name, each) for name, rows in result.findings.items() for each in rows]


def test_sensitive_and_not_trapped_always_has_a_witness(result: Survey) -> None:
    """The definition of 1974 (sensitive, not privileged) and a run that went wrong: the same."""
    monitors = {setting.name: setting.monitor.name for setting in SETTINGS}
    for name, each in everything(result):
        silent = any(trial.outcomes[monitors[name]].trap is None for trial in each.trials)
        if each.sensitive and silent:
            assert each.verdict is Verdict.CRITICAL, each.form
        if each.verdict is Verdict.CRITICAL:
            assert each.witness is not None
            assert all(explain(each.witness)), each.form


def test_an_innocuous_instruction_is_the_same_in_ring_3(result: Survey) -> None:
    for each in result.protected:
        if each.verdict is Verdict.INNOCUOUS:
            for trial in each.trials:
                guest, monitor = (trial.outcomes[w.name] for w in (PROTECTED.guests[0], MONITOR))
                assert guest.trap == monitor.trap, each.form
                if guest.trap is None:
                    assert guest.visible == monitor.visible, each.form


def test_umip_takes_five_and_leaves_twelve(result: Survey) -> None:
    left = result.umip_comparison.found
    assert set(SEVENTEEN) - set(left) == {"SGDT", "SIDT", "SLDT", "SMSW", "STR"}
    changed = {
        before.form.name
        for before, after in zip(result.protected, result.with_umip[PROTECTED.name], strict=True)
        if before.verdict is not after.verdict
    }
    assert changed == {"SGDT M", "SIDT M", "SLDT Ev", "SMSW Ev", "STR Ev"}


def test_an_outcome_has_all_of_eflags(result: Survey) -> None:
    """POPF of an image with IF clear, IOPL 3: ring 0 takes it, ring 3 leaves both as they were."""
    popf = next(f for f in result.protected if f.form.name == "POPF" and f.form.size == 32)
    [trial] = [each for each in popf.trials if each.experiment.label == "IOPL 3"]
    guest, monitor = trial.outcomes["guest"], trial.outcomes["monitor"]
    assert (hex(guest.eflags), hex(monitor.eflags)) == ("0x3002", "0x202")
    assert (guest.privileged("IOPL"), monitor.privileged("IOPL")) == (3, 0)

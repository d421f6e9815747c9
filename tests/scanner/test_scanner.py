"""The scanner: all seventeen of Robin and Irvine, the privileged ones, and nothing else."""

from __future__ import annotations

import pytest

from bt.instruction import Class
from bt.scanner import CRITICAL_REASONS, Finding, reason, scan, traps_in_ring3
from bt.table import TABLE

# One encoding of everything on the list, in the order of Robin and Irvine's paper (STR apart).
CRITICAL = [
    ("0f0106", "SGDT"), ("0f010e", "SIDT"), ("0f00c0", "SLDT"), ("0f01e0", "SMSW"),
    ("9c", "PUSHF"), ("9d", "POPF"), ("0f02c1", "LAR"), ("0f03c1", "LSL"), ("0f00e0", "VERR"),
    ("0f00e8", "VERW"), ("1f", "POP-seg"), ("0fa9", "POP-seg"), ("1e", "PUSH-seg"),
    ("9a785634121b00", "CALL-far"), ("ff18", "CALL-far"), ("ea785634121b00", "JMP-far"),
    ("ff28", "JMP-far"), ("cd80", "INT-n"), ("cb", "RET-far/IRET"), ("ca0400", "RET-far/IRET"),
    ("cf", "RET-far/IRET"), ("0f00c8", "STR"), ("8ed8", "MOV-seg"), ("8cd8", "MOV-seg"),
    ("c500", "MOV-seg"), ("0fb200", "MOV-seg"),
]  # fmt: skip
PRIVILEGED = [
    "0f0116",
    "0f011e",
    "0f00d0",
    "0f00d8",
    "0f01f0",
    "0f20c0",
    "0f22c0",
    "0f23f8",
    "0f06",
    "0f08",
    "0f09",
    "0f0130",
    "0f013a",
    "0f30",
    "0f32",
    "f4",
    "fa",
    "fb",
    "e460",
    "ec",
    "ee",
    "6c",
    "6f",
]
INNOCUOUS = [
    "90",
    "8b00",
    "c3",
    "e800000000",
    "ff10",
    "ffe0",
    "0fa2",
    "0f31",
    "d9e8",
    "50",
    "60",
    "63c8",
    "0f0b",
    "83c001",
]


def only(text: str, bits: int = 32) -> Finding:
    findings = list(scan(bytes.fromhex(text), 0x1000, bits))
    assert len(findings) == 1
    return findings[0]


@pytest.mark.parametrize(("text", "group"), CRITICAL)
def test_the_seventeen(text: str, group: str) -> None:
    found = only(text)
    assert found.sensitivity is Class.CRITICAL
    assert found.group == group
    assert found.bytes.hex() == text
    assert found.traps_in_ring3 == (group == "INT-n")
    assert found.text and found.why


def test_every_group_has_its_example() -> None:
    assert {group for _, group in CRITICAL} == set(CRITICAL_REASONS)
    assert {row.group for row in TABLE if row.group} == set(CRITICAL_REASONS)


@pytest.mark.parametrize("text", PRIVILEGED)
def test_privileged(text: str) -> None:
    found = only(text)
    assert found.sensitivity is Class.PRIVILEGED
    assert found.traps_in_ring3
    assert found.group == ""


@pytest.mark.parametrize("text", INNOCUOUS)
def test_innocuous(text: str) -> None:
    assert list(scan(bytes.fromhex(text), 0)) == []


def test_every_sensitive_row_has_a_reason() -> None:
    for row in TABLE:
        if row.sensitivity is not Class.INNOCUOUS:
            assert reason(row)
            assert traps_in_ring3(row) or row.sensitivity is Class.CRITICAL
    direction = {row.opcode: reason(row) for row in TABLE if row.opcode in ("8C", "8E")}
    assert "shows" in direction["8C"] and "loads" in direction["8E"]


def test_the_worked_example() -> None:
    found = list(scan(bytes.fromhex("9c fa 0f01e0 9d"), 0x1000))
    assert [(f.address, f.text, f.group, f.traps_in_ring3) for f in found] == [
        (0x1000, "pushfd", "PUSHF", False),
        (0x1001, "cli", "", True),
        (0x1002, "smsw eax", "SMSW", False),
        (0x1005, "popfd", "POPF", False),
    ]


def test_prefixes_belong_to_the_instruction() -> None:
    assert only("669c").text == "pushf"
    assert only("9c", 16).text == "pushf"
    assert only("669c", 16).text == "pushfd"
    assert only("2e0f0105 44332211".replace(" ", "")).address == 0x1000


def test_sixteen_bits() -> None:
    found = list(scan(bytes.fromhex("b80010 8ed8 ea00000000 fa"), 0x7C00, 16))
    assert [(f.address, f.mnemonic) for f in found] == [
        (0x7C03, "MOV"),
        (0x7C05, "JMP far"),
        (0x7C0A, "CLI"),
    ]


def test_sensitive_bytes_inside_other_instructions_do_not_count() -> None:
    assert list(scan(bytes.fromhex("b89c9dfafb 0f84a00f0000 c7009c9c9c9c"), 0)) == []


def test_the_sweep_stays_in_step_over_opcodes_it_does_not_know() -> None:
    code = bytes.fromhex("0f6f059cfafbf4 660f3a0fc1fa fa 0fff 9c")  # movq mm0, [..]; palignr; cli
    assert [f.mnemonic for f in scan(code, 0)] == ["CLI", "PUSHF"]


def test_a_cut_instruction_at_the_end() -> None:
    assert [f.address for f in scan(bytes.fromhex("fa9a00"), 0)] == [0]
    assert list(scan(b"", 0)) == []

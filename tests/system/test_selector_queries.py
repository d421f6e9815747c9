"""ARPL, LAR, LSL, VERR, VERW: answers in ZF (SDM vol. 3, 5.10, 5.11)."""

from __future__ import annotations

import pytest
from system_lab import (
    ABSENT,
    CODE0,
    CODE3,
    CODE16,
    CONFORMING,
    DATA,
    DATA0,
    DATA3,
    EAX,
    EBX,
    EXEC_ONLY,
    GP,
    LDT_SEL,
    MAIN_TSS,
    READ_ONLY,
    UD,
    Lab,
    gate,
)

INT_GATE, CALL_GATE = 0xC0, 0xC8


def ask(lab: Lab, cpl: int, instruction: str, selector: int) -> tuple[bool, int]:
    """Run it at a privilege level with the selector in EBX: ZF and EAX."""
    lab.describe(INT_GATE, gate(14, CODE0, 0, dpl=3))
    lab.describe(CALL_GATE, gate(12, CODE0, 0, dpl=3))
    lab.ring(cpl)
    lab.cpu.set_reg(EBX, selector)
    lab.cpu.set_reg(EAX, 0xDEADBEEF)
    lab.run(instruction, budget=1)
    return bool(lab.cpu.flags() & 0x40), lab.reg(EAX)


@pytest.mark.parametrize(
    ("selector", "cpl", "rights"),
    [
        (CODE0, 0, 0x00CF9A00),
        (DATA0, 3, None),
        (DATA0 | 3, 0, None),
        (DATA3, 3, 0x00CFF200),
        (ABSENT, 0, 0x00CF1200),
        (CONFORMING, 3, 0x00CF9E00),
        (MAIN_TSS, 0, 0x00008B00),
        (LDT_SEL, 0, 0x00008200),
        (CALL_GATE, 3, 0x0000EC00),
        (INT_GATE, 0, None),
        (0, 0, None),
        (0x100, 0, None),
    ],
)
def test_lar(lab: Lab, selector: int, cpl: int, rights: int | None) -> None:
    expected = (True, rights) if rights is not None else (False, 0xDEADBEEF)
    assert ask(lab, cpl, "lar eax, ebx", selector) == expected


@pytest.mark.parametrize(
    ("selector", "cpl", "limit"),
    [
        (CODE0, 0, 0xFFFFFFFF),
        (CODE16, 0, 0xFFFF),
        (MAIN_TSS, 0, 0xFFF),
        (CALL_GATE, 0, None),
        (DATA0, 3, None),
        (CONFORMING, 3, 0xFFFFFFFF),
        (3, 3, None),
    ],
)
def test_lsl(lab: Lab, selector: int, cpl: int, limit: int | None) -> None:
    expected = (True, limit) if limit is not None else (False, 0xDEADBEEF)
    assert ask(lab, cpl, "lsl eax, ebx", selector) == expected


def test_16_bit_results(lab: Lab) -> None:
    assert ask(lab, 0, "lar ax, bx", CODE0) == (True, 0xDEAD9A00)
    assert ask(lab, 0, "lsl ax, bx", CODE0) == (True, 0xDEADFFFF)


@pytest.mark.parametrize(
    ("instruction", "selector", "cpl", "zero"),
    [
        ("verr bx", DATA3, 3, True),
        ("verr bx", DATA0, 3, False),
        ("verr bx", EXEC_ONLY, 0, False),
        ("verr bx", READ_ONLY, 0, True),
        ("verr bx", CONFORMING, 3, True),
        ("verr bx", MAIN_TSS, 0, False),
        ("verr bx", 0, 0, False),
        ("verw bx", READ_ONLY, 0, False),
        ("verw bx", DATA3, 3, True),
        ("verw bx", CODE3, 3, False),
        ("verw bx", DATA0 | 3, 0, False),
    ],
)
def test_verify(lab: Lab, instruction: str, selector: int, cpl: int, zero: bool) -> None:
    assert ask(lab, cpl, instruction, selector)[0] is zero


def test_arpl(lab: Lab) -> None:
    lab.cpu.set_reg(EAX, 0xFFFF0010)
    lab.run(b"\x63\xd8", budget=1)  # arpl ax, bx
    assert lab.reg(EAX) == 0xFFFF0010 and not lab.cpu.flags() & 0x40
    lab.cpu.set_reg(EBX, 3)
    lab.run(b"\x63\xd8", budget=1)
    assert lab.reg(EAX) == 0xFFFF0013 and lab.cpu.flags() & 0x40
    lab.word(DATA, 0x31)
    lab.run(b"\x63\x1d" + DATA.to_bytes(4, "little"), budget=1)
    assert lab.peek(DATA, 2) == 0x33


@pytest.mark.parametrize(
    "code", [b"\x63\xd8", b"\x0f\x02\xc3", b"\x0f\x03\xc3", b"\x0f\x00\xe3", b"\x0f\x00\xc0"]
)
@pytest.mark.parametrize("mode", ["real", "v86"])
def test_they_need_protected_mode(lab: Lab, code: bytes, mode: str) -> None:
    stop = (lab.real_mode() if mode == "real" else lab.v86()).run(code)
    assert stop.vector == UD


def test_operand_faults_come_first(lab: Lab) -> None:
    lab.cpu.set_segment(3, 0, 0, 0, 0x10000)
    stop = lab.run(f"lar eax, [{DATA}]")
    assert (stop.vector, stop.error) == (GP, 0)

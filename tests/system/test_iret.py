"""IRET in every mode (SDM vol. 2, IRET)."""

from __future__ import annotations

import pytest
from system_lab import (
    ABSENT,
    ABSENT_CODE,
    CODE,
    CODE0,
    CODE1,
    CODE3,
    CONFORMING,
    CS,
    DATA0,
    DATA1,
    DATA2,
    DATA3,
    DS,
    ES,
    ESP,
    FLAG_IF,
    FLAG_RF,
    FLAG_TF,
    FLAG_VM,
    FS,
    GP,
    GS,
    NP,
    SS,
    SS_FAULT,
    STACK3,
    Lab,
    descriptor,
)

IRET = b"\xcf"
TARGET = CODE + 0x100
ALL = 0x003F7FD7


def frame(lab: Lab, *words: int, size: int = 4) -> None:
    """Put a frame on top of the stack."""
    at = 0x7F00
    lab.cpu.set_reg(ESP, at)
    (lab.dword if size == 4 else lab.word)(at, *words)


def test_same_level(lab: Lab) -> None:
    frame(lab, TARGET, CODE0, 0x3ED7)
    lab.run(IRET, budget=1)
    assert (lab.cpu.eip, lab.reg(ESP)) == (TARGET, 0x7F0C)
    assert lab.cpu.flags() == 0x3ED7


def test_16_bit_frame_keeps_upper_flags(lab: Lab) -> None:
    lab.cpu.set_flags(0x00240002)
    frame(lab, 0x1234, CODE0, 0x0AD7, size=2)
    lab.run(b"\x66\xcf", budget=1)
    assert (lab.cpu.eip, lab.reg(ESP)) == (0x1234, 0x7F06)
    assert lab.cpu.flags() == 0x00240AD7


def test_to_an_outer_level(lab: Lab) -> None:
    """Data segments that ring 3 may not hold become null."""
    lab.load(ES, DATA3)
    lab.load(FS, CONFORMING)
    frame(lab, TARGET, CODE3, 0x202, STACK3, DATA3)
    lab.run(IRET, budget=1)
    assert (lab.cpu.eip, lab.sel(CS), lab.reg(ESP), lab.sel(SS)) == (TARGET, CODE3, STACK3, DATA3)
    assert lab.cpu.cpl == 3
    assert [lab.sel(s) for s in (ES, FS, DS, GS)] == [DATA3, CONFORMING, 0, 0]


def test_to_an_outer_level_a_null_selector_loses_its_rpl(lab: Lab) -> None:
    """SDM vol. 2, IRET: IF (SegmentSelector == NULL) ... SegmentSelector := 0."""
    lab.load(ES, DATA3)  # what stays in the cache does not matter
    lab.run("mov eax, 3; mov es, ax; mov eax, 1; mov gs, ax")
    assert [lab.sel(s) for s in (ES, GS)] == [3, 1]
    frame(lab, TARGET, CODE3, 0x202, STACK3, DATA3)
    lab.run(IRET, budget=1)
    assert [lab.sel(s) for s in (ES, GS)] == [0, 0]


def test_to_an_outer_level_with_16_bit_stack_keeps_upper_esp(lab: Lab) -> None:
    """The famous leak: only SP is loaded."""
    lab.describe(0xC0, descriptor(0, 0xFFFF, 0x00F2))
    frame(lab, TARGET, CODE3, 2, 0x12345678, 0xC3)
    lab.run(IRET, budget=1)
    assert lab.reg(ESP) == 0x00005678


@pytest.mark.parametrize(
    ("words", "vector", "error"),
    [
        ((TARGET, 0, 2), GP, 0),
        ((TARGET, DATA0, 2), GP, DATA0),
        ((TARGET, 0x100, 2), GP, 0x100),
        ((TARGET, CODE0 | 3, 2, STACK3, DATA3), GP, CODE0),  # DPL != RPL
        ((TARGET, CODE3 & ~3, 2), GP, CODE3 & ~3),
        ((TARGET, ABSENT_CODE, 2), NP, ABSENT_CODE),
        ((TARGET, CODE3, 2, STACK3, 0), GP, 0),
        ((TARGET, CODE3, 2, STACK3, DATA0), GP, DATA0),
        ((TARGET, CODE3, 2, STACK3, CODE3), GP, CODE3 & ~3),
        ((TARGET, CODE3, 2, STACK3, ABSENT | 3), GP, ABSENT),  # DPL 0: before presence
        ((TARGET, CODE1, 2, STACK3, DATA3), GP, DATA3 & ~3),
    ],
)
def test_bad_frame(lab: Lab, words: tuple[int, ...], vector: int, error: int) -> None:
    frame(lab, *words)
    stop = lab.run(IRET)
    assert (stop.vector, stop.error) == (vector, error)
    assert stop.frame[1:3] == [CODE, CODE0]
    assert lab.reg(ESP) == 0x7F00 - 16, "nothing was popped"


@pytest.mark.parametrize(
    ("dpl", "rpl", "good"),
    [(0, 0, True), (1, 0, False), (3, 0, False), (0, 1, True), (2, 1, False), (3, 3, True)],
)
def test_to_conforming_code(lab: Lab, dpl: int, rpl: int, good: bool) -> None:
    """Its DPL may be below the RPL that it is returned to with, never above."""
    lab.describe(0xC0, descriptor(0, 0xFFFFF, 0xC09E | dpl << 5))
    data = (DATA0, DATA1, DATA2, DATA3)[rpl]
    frame(lab, TARGET, 0xC0 | rpl, 2, STACK3, data)
    if good:
        stop = lab.run(IRET, budget=1)
        assert (stop.eip, lab.sel(CS), lab.cpu.cpl) == (TARGET, 0xC0 | rpl, rpl)
    else:
        stop = lab.run(IRET)
        assert (stop.vector, stop.error) == (GP, 0xC0)


def test_absent_outer_stack(lab: Lab) -> None:
    lab.describe(0xC0, descriptor(0, 0xFFFF, 0x4072))
    frame(lab, TARGET, CODE3, 2, STACK3, 0xC3)
    stop = lab.run(IRET)
    assert (stop.vector, stop.error) == (SS_FAULT, 0xC0)


def test_eip_beyond_the_limit(lab: Lab) -> None:
    lab.describe(0xC0, descriptor(0, 0xFFFF, 0x409A))
    frame(lab, 0x10000, 0xC0, 2)
    stop = lab.run(IRET)
    assert (stop.vector, stop.error) == (GP, 0)


def test_no_return_to_an_inner_level(lab: Lab) -> None:
    lab.ring(3)
    frame(lab, TARGET, CODE0, 2)
    stop = lab.run(IRET)
    assert (stop.vector, stop.error) == (GP, CODE0)


@pytest.mark.parametrize(
    ("cpl", "iopl", "expected"),
    [
        (0, 0, ALL & ~FLAG_VM),
        (1, 1, 0x253FD7 & ~0x3000 | 0x1000 | 0x4000),
        (1, 0, (0x253DD7 & ~0x3000) | 0x4000),
        (3, 3, 0x257FD7),
        (3, 0, 0x257FD7 & ~0x3200),
    ],
)
def test_flags_by_privilege(lab: Lab, cpl: int, iopl: int, expected: int) -> None:
    lab.ring(cpl).cpu.set_flags(iopl << 12 | 2)
    image = ALL & ~FLAG_VM
    frame(lab, TARGET, (CODE0, CODE1, 0, CODE3)[cpl], image)
    lab.run(IRET, budget=1)
    assert lab.cpu.flags() == expected


def test_vm_in_the_image_is_ignored_outside_ring_0(lab: Lab) -> None:
    lab.ring(3)
    frame(lab, TARGET, CODE3, FLAG_VM | 2)
    lab.run(IRET, budget=1)
    assert lab.cpu.flags() & FLAG_VM == 0
    assert lab.cpu.eip == TARGET


def test_into_v86(lab: Lab) -> None:
    frame(lab, 0x10010, 0x1000, FLAG_VM | FLAG_IF | 2, 0x5555, 0x20, 0x30, 0x40, 0x50, 0x60)
    lab.run(IRET, budget=1)
    assert lab.cpu.flags() == FLAG_VM | FLAG_IF | 2
    assert lab.cpu.cpl == 3
    assert (lab.cpu.eip, lab.reg(ESP)) == (0x10, 0x5555)
    for seg, selector in ((CS, 0x1000), (SS, 0x20), (ES, 0x30), (DS, 0x40), (FS, 0x50), (GS, 0x60)):
        assert lab.cpu.segment(seg) == (selector, selector << 4, 0xFFFF, 0xF3)


def test_in_v86(lab: Lab) -> None:
    lab.v86().cpu.set_reg(ESP, 0x7F00)
    lab.word(0x7F00, 0x1234, 0x2000, 0x0FD7)
    lab.run(IRET, bits=16, budget=1)
    assert (lab.cpu.eip, lab.sel(CS), lab.reg(ESP)) == (0x1234, 0x2000, 0x7F06)
    assert lab.cpu.flags() == FLAG_VM | 0x3FD7, "IOPL stays 3"


def test_in_v86_needs_iopl_3(lab: Lab) -> None:
    stop = lab.v86(iopl=0).run(IRET, bits=16)
    assert (stop.vector, stop.error) == (GP, 0)


def test_real_mode(lab: Lab) -> None:
    lab.real_mode().cpu.set_reg(ESP, 0x7F00)
    lab.word(0x7F00, 0x0004, 0x2000, 0x7ED7)
    lab.run(IRET, bits=16, budget=1)
    assert (lab.cpu.eip, lab.cpu.segment(CS)[:2], lab.reg(ESP)) == (4, (0x2000, 0x20000), 0x7F06)
    assert lab.cpu.flags() == 0x7ED7


def test_real_mode_32_bit_frame(lab: Lab) -> None:
    lab.real_mode().cpu.set_reg(ESP, 0x7F00)
    lab.dword(0x7F00, 0x4, 0x2000, 0x3F7ED7)
    lab.run(b"\x66\xcf", budget=1)
    assert lab.cpu.flags() & ~FLAG_RF == 0x247ED7, "VM, VIF and VIP are not loaded"
    lab.dword(0x7F00, 0x10000, 0x2000, 2)
    lab.real_mode().cpu.set_reg(ESP, 0x7F00)
    assert lab.run(b"\x66\xcf").vector == GP


def test_rf_suppresses_the_code_breakpoint_once(lab: Lab) -> None:
    lab.memory[TARGET : TARGET + 3] = b"\x40\x40\xf4"  # inc eax; inc eax; hlt
    lab.ram.written(TARGET, 3)
    frame(lab, TARGET, CODE0, FLAG_RF | 2)
    stop = lab.run(f"mov eax, {TARGET}; mov dr0, eax; mov eax, 1; mov dr7, eax; iretd")
    assert stop.vector is None
    assert lab.reg(0) == 3
    frame(lab, TARGET, CODE0, 2)
    stop = lab.run(IRET)
    assert stop.vector == 1
    assert stop.frame[0] == TARGET


def test_tf_in_the_image_traps_after_the_next_instruction(lab: Lab) -> None:
    lab.memory[TARGET : TARGET + 3] = b"\x40\x40\xf4"
    frame(lab, TARGET, CODE0, FLAG_TF | 2)
    stop = lab.run(IRET)
    assert stop.vector == 1
    assert stop.frame[0] == TARGET + 1

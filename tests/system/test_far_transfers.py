"""Far JMP, CALL and RET: code segments and call gates (SDM vol. 3, 5.8; vol. 2)."""

from __future__ import annotations

import struct

import pytest
from system_lab import (
    ABSENT_CODE,
    CODE,
    CODE0,
    CODE1,
    CODE3,
    CONFORMING,
    CS,
    DATA,
    DATA0,
    DATA1,
    DATA3,
    DS,
    ESP,
    GP,
    LDT_SEL,
    NP,
    SS,
    SS_FAULT,
    STACK0,
    STACK1,
    STACK3,
    TS,
    TSS_MAIN,
    UD,
    Lab,
    descriptor,
    gate,
)

TARGET = CODE + 0x100
JMP, CALL = 0xEA, 0x9A
GATE = 0xC0


def far(opcode: int, selector: int, offset: int = TARGET) -> bytes:
    return struct.pack("<BIH", opcode, offset, selector)


def test_jmp_and_call_to_the_same_level(lab: Lab) -> None:
    lab.ring(3).run(far(JMP, CODE3 & ~3), budget=1)
    assert (lab.cpu.eip, lab.sel(CS)) == (TARGET, CODE3), "RPL becomes CPL"
    lab.ring(0).run(far(CALL, CODE0), budget=1)
    assert lab.reg(ESP) == 0x8000 - 8
    assert (lab.peek(0x8000 - 8), lab.peek(0x8000 - 4)) == (CODE + 7, CODE0)


def test_conforming_code_keeps_cpl(lab: Lab) -> None:
    lab.ring(3).run(far(JMP, CONFORMING), budget=1)
    assert (lab.cpu.eip, lab.sel(CS), lab.cpu.cpl) == (TARGET, CONFORMING | 3, 3)


def test_accessed_bit_is_set(lab: Lab) -> None:
    lab.run(far(JMP, CONFORMING), budget=1)
    assert lab.attr(CONFORMING) & 1


@pytest.mark.parametrize("opcode", [JMP, CALL])
@pytest.mark.parametrize(
    ("selector", "cpl", "vector", "error"),
    [
        (0, 0, GP, 0),
        (3, 0, GP, 0),
        (0x100, 0, GP, 0x100),
        (DATA0, 0, GP, DATA0),
        (CODE0, 3, GP, CODE0),
        (CODE3, 0, GP, CODE3 & ~3),
        (CODE1 & ~3 | 3, 1, GP, CODE1 & ~3),  # RPL > CPL
        (ABSENT_CODE, 0, NP, ABSENT_CODE),
        (LDT_SEL, 0, GP, LDT_SEL),
    ],
)
def test_bad_target(
    lab: Lab, opcode: int, selector: int, cpl: int, vector: int, error: int
) -> None:
    stop = lab.ring(cpl).run(far(opcode, selector))
    assert (stop.vector, stop.error) == (vector, error)
    assert stop.frame[1] == CODE


@pytest.mark.parametrize("opcode", [JMP, CALL])
def test_offset_beyond_the_limit(lab: Lab, opcode: int) -> None:
    lab.describe(GATE, descriptor(0, 0xFFFF, 0x409A))
    stop = lab.run(far(opcode, GATE, 0x10000))
    assert (stop.vector, stop.error) == (GP, 0)


def test_memory_forms(lab: Lab) -> None:
    lab.dword(DATA, TARGET, CODE0)
    lab.run(b"\xff\x2d" + struct.pack("<I", DATA), budget=1)
    assert lab.cpu.eip == TARGET
    lab.run(b"\xff\x1d" + struct.pack("<I", DATA), budget=1)
    assert (lab.cpu.eip, lab.peek(lab.reg(ESP))) == (TARGET, CODE + 6)
    assert lab.run(b"\xff\xe8").vector == UD, "a register holds no far pointer"


def test_16_bit_operand_size(lab: Lab) -> None:
    lab.run(b"\x66" + struct.pack("<BHH", CALL, 0x7654, CODE0), budget=1)
    assert (lab.cpu.eip, lab.reg(ESP)) == (0x7654, 0x8000 - 4)
    assert lab.peek(0x7FFC) == CODE0 << 16 | (CODE + 6) & 0xFFFF


# --- call gates ----------------------------------------------------------------------------------


def test_jmp_through_a_gate(lab: Lab) -> None:
    lab.describe(GATE, gate(12, CODE0, TARGET))
    lab.run(far(JMP, GATE, 0xDEAD), budget=1)
    assert (lab.cpu.eip, lab.sel(CS), lab.reg(ESP)) == (TARGET, CODE0, 0x8000)


def test_jmp_through_a_gate_does_not_change_the_level(lab: Lab) -> None:
    lab.describe(GATE, gate(12, CODE0, TARGET, dpl=3))
    stop = lab.ring(3).run(far(JMP, GATE))
    assert (stop.vector, stop.error) == (GP, CODE0)


def test_call_through_a_gate_to_the_same_level(lab: Lab) -> None:
    lab.describe(GATE, gate(12, CODE0, TARGET, count=5))
    lab.run(far(CALL, GATE), budget=1)
    assert lab.reg(ESP) == 0x8000 - 8, "no parameters are copied"


def test_call_to_an_inner_level_copies_parameters(lab: Lab) -> None:
    lab.describe(GATE, gate(12, CODE0, TARGET, dpl=3, count=3))
    lab.ring(3)
    lab.dword(STACK3 - 12, 0x111, 0x222, 0x333)
    lab.cpu.set_reg(ESP, STACK3 - 12)
    lab.run(far(CALL, GATE | 3), budget=1)
    assert (lab.cpu.eip, lab.sel(CS), lab.cpu.cpl) == (TARGET, CODE0, 0)
    assert (lab.sel(SS), lab.reg(ESP)) == (DATA0, STACK0 - 28)
    frame = [lab.peek(STACK0 - 28 + 4 * i) for i in range(7)]
    assert frame == [CODE + 7, CODE3, 0x111, 0x222, 0x333, STACK3 - 12, DATA3]


def test_16_bit_gate_to_an_inner_level(lab: Lab) -> None:
    lab.describe(GATE, gate(4, CODE0, 0x4567, dpl=3, count=2))
    lab.ring(3)
    lab.word(STACK3 - 4, 0x111, 0x222)
    lab.cpu.set_reg(ESP, STACK3 - 4)
    lab.run(far(CALL, GATE), budget=1)
    assert lab.cpu.eip == 0x4567
    words = [lab.peek(STACK0 - 12 + 2 * i, 2) for i in range(6)]
    assert words == [7, CODE3, 0x111, 0x222, (STACK3 - 4) & 0xFFFF, DATA3]


def test_call_to_inner_conforming_code_stays(lab: Lab) -> None:
    lab.describe(GATE, gate(12, CONFORMING, TARGET, dpl=3))
    lab.ring(3).run(far(CALL, GATE), budget=1)
    assert (lab.sel(CS), lab.sel(SS), lab.cpu.cpl) == (CONFORMING | 3, DATA3, 3)


@pytest.mark.parametrize(
    ("entry", "selector", "cpl", "vector", "error"),
    [
        (gate(12, CODE0, TARGET), GATE, 3, GP, GATE),  # gate DPL < CPL
        (gate(12, CODE0, TARGET), GATE | 1, 0, GP, GATE),  # gate DPL < RPL
        (gate(12, CODE0, TARGET, present=0), GATE, 0, NP, GATE),
        (gate(12, 0, TARGET), GATE, 0, GP, 0),
        (gate(12, 0x100, TARGET), GATE, 0, GP, 0x100),
        (gate(12, DATA0, TARGET), GATE, 0, GP, DATA0),
        (gate(12, CODE3, TARGET), GATE, 0, GP, CODE3 & ~3),
        (gate(12, ABSENT_CODE, TARGET, dpl=3), GATE, 3, NP, ABSENT_CODE),
        (gate(14, CODE0, TARGET, dpl=3), GATE, 3, GP, GATE),  # an interrupt gate
    ],
)
def test_bad_gate(lab: Lab, entry: bytes, selector: int, cpl: int, vector: int, error: int) -> None:
    lab.describe(GATE, entry)
    stop = lab.ring(cpl).run(far(CALL, selector))
    assert (stop.vector, stop.error) == (vector, error)
    assert stop.frame[1] == CODE


def test_call_with_a_bad_inner_stack(lab: Lab) -> None:
    lab.describe(GATE, gate(12, CODE1 & ~3, TARGET, dpl=3))
    lab.dword(TSS_MAIN + 12, STACK1, DATA0 | 1)
    stop = lab.ring(3).run(far(CALL, GATE))
    assert (stop.vector, stop.error) == (TS, DATA0)


def test_call_without_room_on_the_inner_stack(lab: Lab) -> None:
    lab.describe(GATE, gate(12, CODE1 & ~3, TARGET, dpl=3))
    lab.describe(0xC8, descriptor(0, 0xFFF, 0x40B2))
    lab.dword(TSS_MAIN + 12, 12, 0xC9)
    stop = lab.ring(3).run(far(CALL, GATE))
    assert (stop.vector, stop.error) == (SS_FAULT, 0xC8)
    assert stop.frame[1:3] == [CODE, CODE3]


# --- RET far ------------------------------------------------------------------------------------


def test_ret_to_the_same_level(lab: Lab) -> None:
    lab.dword(0x7F00, TARGET, CODE0)
    lab.cpu.set_reg(ESP, 0x7F00)
    lab.run(b"\xca\x10\x00", budget=1)
    assert (lab.cpu.eip, lab.reg(ESP)) == (TARGET, 0x7F18)


def test_ret_to_an_outer_level_releases_both_stacks(lab: Lab) -> None:
    lab.dword(0x7F00, TARGET, CODE3, 1, 2, STACK3, DATA3)
    lab.cpu.set_reg(ESP, 0x7F00)
    lab.run(b"\xca\x08\x00", budget=1)
    assert (lab.cpu.eip, lab.sel(CS), lab.cpu.cpl) == (TARGET, CODE3, 3)
    assert (lab.sel(SS), lab.reg(ESP)) == (DATA3, STACK3 + 8)
    assert lab.sel(DS) == 0


@pytest.mark.parametrize(
    ("words", "cpl", "vector", "error"),
    [
        ((TARGET, 0), 0, GP, 0),
        ((TARGET, DATA0), 0, GP, DATA0),
        ((TARGET, CODE0), 3, GP, CODE0),
        ((TARGET, ABSENT_CODE), 0, NP, ABSENT_CODE),
        ((TARGET, CODE3, STACK3, 0), 0, GP, 0),
        ((TARGET, CODE3, STACK3, DATA1), 0, GP, DATA1 & ~3),
    ],
)
def test_bad_ret(lab: Lab, words: tuple[int, ...], cpl: int, vector: int, error: int) -> None:
    lab.ring(cpl)
    lab.dword(0x7F00, *words)
    lab.cpu.set_reg(ESP, 0x7F00)
    stop = lab.run(b"\xcb")
    assert (stop.vector, stop.error) == (vector, error)


# --- real and virtual-8086 mode -----------------------------------------------------------------


@pytest.mark.parametrize("mode", ["real", "v86"])
def test_8086_modes(lab: Lab, mode: str) -> None:
    if mode == "real":
        lab.real_mode()
    else:
        lab.v86()
    lab.cpu.set_reg(ESP, 0x7000)
    lab.run(struct.pack("<BHH", CALL, 0x20, 0x1100), budget=1)
    assert (lab.cpu.eip, lab.cpu.segment(CS)[:2]) == (0x20, (0x1100, 0x11000))
    assert (lab.peek(0x6FFC, 2), lab.peek(0x6FFE, 2)) == (5, CODE >> 4)
    lab.memory[0x11020] = 0xCB
    lab.ram.written(0x11020, 1)
    lab.go_on(1)
    assert (lab.cpu.eip, lab.sel(CS), lab.reg(ESP)) == (5, CODE >> 4, 0x7000)


def test_real_mode_cs_is_writable_after_a_far_jump(lab: Lab) -> None:
    """Code that came from protected mode stores through CS once it has loaded CS."""
    lab.real_mode()
    lab.cpu.set_segment(CS, CODE0, CODE, 0xFFFF, 0x9B)
    code = b"\xea" + struct.pack("<HH", 5, CODE >> 4) + b"\x2e\xc6\x06\x00\x02\x77"
    stop = lab.run(code, bits=16)
    assert stop.vector is None
    assert lab.memory[CODE + 0x200] == 0x77


def there_and_back() -> bytes:
    head = b"\x0f\x20\xc0\x34\x01\x0f\x22\xc0"  # mov eax,cr0; xor al,1; mov cr0,eax
    leave = head + struct.pack("<BHH", JMP, len(head) + 5, CODE >> 4)
    body = leave + b"\x8c\xcb" + head  # mov bx,cs
    return body + struct.pack("<BHH", JMP, len(body) + 5, 0xC0) + b"\x8c\xc9"  # mov cx,cs


def test_protected_to_real_and_back(lab: Lab) -> None:
    """CR0.PE switches; the far jumps make it effective for CS."""
    lab.describe(0xC0, descriptor(CODE, 0xFFFF, 0x009A))
    lab.cpu.set_segment(CS, 0xC0, CODE, 0xFFFF, 0x9B)
    stop = lab.run(there_and_back(), bits=16)
    assert stop.vector is None
    assert (lab.reg(3) & 0xFFFF, lab.reg(1) & 0xFFFF) == (CODE >> 4, 0xC0)


@pytest.mark.parametrize(("offset", "vector"), [(TARGET, None), (TARGET + 1, GP)])
@pytest.mark.parametrize("opcode", [JMP, CALL])
def test_the_limit_is_the_last_offset(
    lab: Lab, opcode: int, offset: int, vector: int | None
) -> None:
    lab.describe(GATE, descriptor(0, TARGET, 0x409A))
    lab.memory[TARGET] = 0xF4
    stop = lab.run(far(opcode, GATE, offset))
    assert stop.vector == vector
    if vector is None:
        assert (lab.cpu.eip, lab.sel(CS)) == (TARGET + 1, GATE)


@pytest.mark.parametrize(("offset", "vector"), [(0x1FFF, None), (0x2000, GP)])
def test_a_far_return_in_real_mode_looks_at_the_limit(
    lab: Lab, offset: int, vector: int | None
) -> None:
    """That of the cached descriptor, whatever it is."""
    lab.real_mode()
    lab.cpu.set_segment(CS, CODE >> 4, CODE, 0x1FFF, 0x93)
    stop = lab.run(f"push 0x100; push {offset}; retf", bits=16, budget=3)
    assert stop.vector == vector
    if vector is None:
        assert (lab.cpu.eip, lab.sel(CS)) == (offset, 0x100)


def test_selectors_of_real_mode_are_never_decompressed(lab: Lab) -> None:
    """Trap mode takes RPL 3 for the 0 that it was; a paragraph number has no RPL."""
    lab.real_mode().cpu.ring_compression = 1
    lab.run(f"push {CODE0 | 3}; push 0x20; retf", bits=16, budget=3)
    assert (lab.cpu.eip, lab.sel(CS)) == (0x20, CODE0 | 3)

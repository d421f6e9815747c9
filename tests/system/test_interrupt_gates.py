"""Interrupts and exceptions through the IDT (SDM vol. 3, 6.10 to 6.14, 20.1.4, 20.3)."""

from __future__ import annotations

import pytest
from system_lab import (
    ABSENT,
    ABSENT_CODE,
    BP,
    BR,
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
    DB,
    DF,
    DS,
    EAX,
    EBX,
    ECX,
    ES,
    ESP,
    EXIT_SHUTDOWN,
    FLAG_IF,
    FLAG_NT,
    FLAG_RF,
    FLAG_TF,
    FLAG_VM,
    FS,
    GP,
    GS,
    HANDLERS,
    IDT,
    NP,
    OF,
    READ_ONLY,
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

INT_0x20 = b"\xcd\x20"
AT = HANDLERS + 0x20 * 16  # where vector 0x20 leads


def test_same_level(lab: Lab) -> None:
    lab.cpu.set_flags(FLAG_IF | FLAG_NT | 0x8D7)
    stop = lab.run(INT_0x20)
    assert stop.vector == 0x20
    assert stop.frame[:3] == [CODE + 2, CODE0, FLAG_IF | FLAG_NT | 0x8D7]
    assert lab.reg(ESP) == 0x8000 - 12
    assert lab.cpu.flags() == 0x8D7, "IF and NT are clear in the handler"


def test_trap_gate_keeps_if(lab: Lab) -> None:
    lab.idt(0x20, gate(15, CODE0, AT))
    lab.cpu.set_flags(FLAG_IF | 2)
    lab.run(INT_0x20)
    assert lab.cpu.flags() & FLAG_IF


def test_inner_level_switches_stacks(lab: Lab) -> None:
    lab.idt(0x20, gate(14, CODE0, AT, dpl=3))
    lab.ring(3).cpu.set_flags(FLAG_IF | 2)
    stop = lab.run(INT_0x20)
    assert stop.vector == 0x20
    assert stop.frame[:5] == [CODE + 2, CODE3, FLAG_IF | 2, STACK3, DATA3]
    assert (lab.sel(SS), lab.reg(ESP), lab.cpu.cpl) == (DATA0, STACK0 - 20, 0)
    assert lab.sel(DS) == DATA3, "data segments stay"


def test_inner_level_one(lab: Lab) -> None:
    """To ring 1: HLT is not allowed there, which shows CPL 1."""
    lab.idt(0x20, gate(14, CODE1 & ~3, AT, dpl=3))
    stop = lab.ring(3).run(INT_0x20)
    assert (stop.vector, stop.error) == (GP, 0)
    assert stop.frame[2] == CODE1
    assert stop.frame[4:6] == [STACK1 - 20, DATA1]


def test_16_bit_gate(lab: Lab) -> None:
    lab.idt(0x20, gate(6, CODE0, 0x7000, dpl=3))
    lab.memory[0x7000] = 0xF4
    lab.ring(3).run(INT_0x20)
    assert lab.reg(ESP) == STACK0 - 10
    words = [lab.peek(STACK0 - 10 + 2 * i, 2) for i in range(5)]
    assert words == [(CODE + 2) & 0xFFFF, CODE3, 2, STACK3 & 0xFFFF, DATA3]


def test_conforming_handler_keeps_cpl(lab: Lab) -> None:
    lab.idt(0x20, gate(14, CONFORMING, AT, dpl=3))
    stop = lab.ring(3).run(INT_0x20)
    assert (stop.vector, stop.error) == (GP, 0), "HLT in ring 3"
    assert stop.frame[1:3] == [AT, CONFORMING | 3]


def test_error_code_and_fault_address(lab: Lab) -> None:
    lab.describe(0xC0, descriptor(0, 0xFFFF, 0x4072))
    lab.cpu.set_reg(EAX, 0xC3)
    stop = lab.ring(3).run("nop; mov ds, ax")
    assert stop.vector == NP
    assert stop.frame[:6] == [0xC0, CODE + 1, CODE3, FLAG_RF | 2, STACK3, DATA3]


@pytest.mark.parametrize(
    ("entry", "cpl", "vector", "error"),
    [
        (gate(14, CODE0, AT, dpl=0), 3, GP, 0x102),  # gate's DPL < CPL
        (gate(14, CODE0, AT, present=0), 0, NP, 0x102),
        (gate(12, CODE0, AT), 0, GP, 0x102),  # a call gate in the IDT
        (gate(0x1E, CODE0, AT), 0, GP, 0x102),  # S = 1
        (gate(14, 0, AT), 0, GP, 0),
        (gate(14, DATA0, AT), 0, GP, DATA0),
        (gate(14, 0x100, AT), 0, GP, 0x100),
        (gate(14, ABSENT_CODE, AT), 0, NP, ABSENT_CODE),
        (gate(14, CODE3, AT), 0, GP, CODE3 & ~3),  # handler less privileged than CPL
        (gate(5, DATA0, AT), 0, GP, DATA0),  # task gate without a TSS
    ],
)
def test_bad_gate(lab: Lab, entry: bytes, cpl: int, vector: int, error: int) -> None:
    lab.idt(0x20, entry)
    stop = lab.ring(cpl).run(INT_0x20)
    assert (stop.vector, stop.error) == (vector, error)
    assert stop.frame[1] == CODE


def test_beyond_the_idt(lab: Lab) -> None:
    stop = lab.run(b"\xcd\x80")
    assert (stop.vector, stop.error) == (GP, 0x402)


def test_offset_beyond_the_handlers_limit(lab: Lab) -> None:
    lab.describe(0xC0, descriptor(0, 0xFFFF, 0x409A))
    lab.idt(0x20, gate(14, 0xC0, AT))
    stop = lab.run(INT_0x20)
    assert (stop.vector, stop.error) == (GP, 0)


@pytest.mark.parametrize(
    ("selector", "vector", "error"),
    [
        (0, TS, 0),
        (DATA3, TS, DATA3 & ~3),  # RPL
        (DATA0 | 1, TS, DATA0),  # DPL
        (READ_ONLY | 1, TS, READ_ONLY),
        (0xC1, SS_FAULT, 0xC0),  # absent
        (0x100, TS, 0x100),
    ],
)
def test_bad_inner_stack(lab: Lab, selector: int, vector: int, error: int) -> None:
    """Only ring 1 is broken: the resulting fault goes to ring 0, whose stack is good."""
    lab.describe(0xC0, descriptor(0, 0xFFFF, 0x4032))
    lab.dword(TSS_MAIN + 4 + 8, STACK1, selector)
    lab.idt(0x20, gate(14, CODE1 & ~3, AT, dpl=3))
    stop = lab.ring(3).run(INT_0x20)
    assert (stop.vector, stop.error) == (vector, error)
    assert stop.frame[1:6] == [CODE, CODE3, stop.frame[3], STACK3, DATA3], "nothing had changed"


def test_inner_stack_without_room(lab: Lab) -> None:
    lab.describe(0xC0, descriptor(0, 0xFFF, 0x40B2))
    lab.dword(TSS_MAIN + 12, 8, 0xC1)
    lab.idt(0x20, gate(14, CODE1 & ~3, AT, dpl=3))
    stop = lab.ring(3).run(INT_0x20)
    assert (stop.vector, stop.error) == (SS_FAULT, 0xC0)


def test_tss_too_short_for_the_stack(lab: Lab) -> None:
    lab.cpu.set_segment(7, 0x28, TSS_MAIN, 16, 0x8B)  # room for ring 0's only
    lab.idt(0x20, gate(14, CODE1 & ~3, AT, dpl=3))
    stop = lab.ring(3).run(INT_0x20)
    assert (stop.vector, stop.error) == (TS, 0x28)


def test_int3_and_into_are_software_events(lab: Lab) -> None:
    for vector, code in ((BP, b"\xcc"), (OF, b"\xce")):
        lab.ring(3).cpu.set_flags(0x802)
        stop = lab.run(code)
        assert (stop.vector, stop.error) == (GP, vector * 8 + 2), "DPL 0 gate"
        lab.idt(vector, gate(14, CODE0, HANDLERS + vector * 16, dpl=3))
        lab.ring(3).cpu.set_flags(0x802)
        stop = lab.run(code)
        assert stop.vector == vector
        assert stop.frame[:3] == [CODE + 1, CODE3, 0x802], "a trap: next instruction, no RF"


def test_into_without_overflow(lab: Lab) -> None:
    assert lab.run(b"\xce").vector is None


def test_int1_ignores_the_gates_dpl(lab: Lab) -> None:
    stop = lab.ring(3).run(b"\xf1")
    assert stop.vector == DB
    assert stop.frame[0] == CODE + 1


def test_ud2_is_a_fault(lab: Lab) -> None:
    stop = lab.run(b"\x0f\x0b")
    assert stop.vector == UD
    assert stop.frame[:3] == [CODE, CODE0, FLAG_RF | 2]


@pytest.mark.parametrize(
    ("index", "vector"), [(5, None), (-3, None), (10, None), (11, BR), (-4, BR)]
)
def test_bound(lab: Lab, index: int, vector: int | None) -> None:
    lab.dword(DATA, 0xFFFFFFFD, 10)
    lab.cpu.set_reg(EAX, index & 0xFFFFFFFF)
    assert lab.run(f"bound eax, [{DATA}]").vector == vector
    lab.word(DATA, 0xFFFD, 10)
    lab.cpu.set_reg(EAX, index & 0xFFFF)
    assert lab.run(f"bound ax, [{DATA}]").vector == vector


def test_hardware_interrupt(lab: Lab) -> None:
    """No DPL check, RF as it is, EIP of the next instruction."""
    lab.ring(3).cpu.set_flags(FLAG_IF | 2)
    lab.run("nop; nop; nop", budget=2)
    assert lab.cpu.interrupt(0x21) == 0
    stop = lab.go_on()
    assert stop.vector == 0x21
    assert stop.frame[:5] == [CODE + 2, CODE3, FLAG_IF | 2, STACK3, DATA3]


def test_ext_is_set_for_external_events(lab: Lab) -> None:
    lab.idt(0x21, gate(14, 0x100, AT))
    lab.run("nop; nop", budget=1)
    lab.cpu.interrupt(0x21)
    stop = lab.go_on()
    assert (stop.vector, stop.error) == (GP, 0x101)
    lab.idt(0x21, gate(14, CODE0, AT, present=0))
    lab.run("nop; nop", budget=1)
    lab.cpu.interrupt(0x21)
    stop = lab.go_on()
    assert (stop.vector, stop.error) == (NP, 0x21 * 8 + 3)


def test_ext_when_the_handlers_limit_is_too_short(lab: Lab) -> None:
    """The error code names no selector then, and still says who caused it."""
    lab.describe(0xC0, descriptor(0, 0xFFFF, 0x409A))
    for vector in (0x21, UD):
        lab.idt(vector, gate(14, 0xC0, AT))
    lab.run("nop; nop", budget=1)
    lab.cpu.interrupt(0x21)
    stop = lab.go_on()
    assert (stop.vector, stop.error) == (GP, 1), "an external interrupt"
    stop = lab.run(b"\x0f\x0b")
    assert (stop.vector, stop.error) == (GP, 1), "an exception"
    stop = lab.run(b"\xcd\x21")
    assert (stop.vector, stop.error) == (GP, 0), "INT n is the program's own doing"


# --- double and triple faults -------------------------------------------------------------------


def test_contributory_exceptions_make_a_double_fault(lab: Lab) -> None:
    lab.idt(NP, gate(14, CODE0, AT, present=0))
    lab.cpu.set_reg(EAX, ABSENT)
    stop = lab.run("nop; mov ds, ax")
    assert (stop.vector, stop.error) == (DF, 0)
    assert stop.frame[1] == CODE + 1


def test_benign_then_contributory_is_handled_in_turn(lab: Lab) -> None:
    lab.idt(UD, gate(14, CODE0, AT, present=0))
    stop = lab.run(b"\x0f\x0b")
    assert (stop.vector, stop.error) == (NP, UD * 8 + 3), "EXT: during delivery of an exception"


def test_triple_fault_shuts_down(lab: Lab) -> None:
    lab.idt(GP, gate(14, CODE0, AT, present=0))
    lab.idt(DF, gate(14, CODE0, AT, present=0))
    lab.idt(NP, gate(14, CODE0, AT, present=0))
    stop = lab.run("nop; mov eax, 0x100; mov ds, ax")
    assert stop.reason == EXIT_SHUTDOWN
    assert stop.eip == CODE + 6, "state is that of the first fault"


# --- real mode ----------------------------------------------------------------------------------


def test_real_mode_interrupt(lab: Lab) -> None:
    lab.real_mode().cpu.set_flags(FLAG_IF | 0x40002)
    stop = lab.run(INT_0x20, bits=16)
    assert stop.vector == 0x20
    assert [lab.peek(0x8000 - 6 + 2 * i, 2) for i in range(3)] == [2, CODE >> 4, FLAG_IF | 2]
    assert lab.cpu.flags() == 2
    assert lab.reg(ESP) == 0x8000 - 6


def test_real_mode_interrupt_beyond_the_table(lab: Lab) -> None:
    lab.real_mode().cpu.idtr_limit = 0x20 * 4 + 2
    stop = lab.run(INT_0x20, bits=16)
    assert stop.vector == GP
    assert lab.peek(0x8000 - 6, 2) == 0


@pytest.mark.parametrize("pushes", [0, 1, 2])
def test_real_mode_interrupt_without_room_for_its_frame(lab: Lab, pushes: int) -> None:
    """#SS, which has no more room, nor has #DF: shutdown, at the INT that was not completed."""
    limit = 0x7FFF - 2 * pushes  # expand-down: the offsets above it are the stack
    lab.real_mode().cpu.set_segment(SS, 0, 0, limit, 0x97)
    stop = lab.run(b"\x90" + INT_0x20, bits=16)
    assert (stop.reason, stop.eip, lab.reg(ESP)) == (EXIT_SHUTDOWN, 1, 0x8000)


# --- virtual-8086 mode --------------------------------------------------------------------------


def test_int_n_in_v86_goes_to_ring_0_with_the_data_segments(lab: Lab) -> None:
    lab.idt(0x20, gate(14, CODE0, AT, dpl=3))
    lab.v86()
    for i, seg in enumerate((ES, DS, FS, GS)):
        lab.cpu.set_segment(seg, 0x100 + i, 0x1000 + 16 * i, 0xFFFF, 0xF3)
    stop = lab.run(INT_0x20, bits=16)
    assert stop.vector == 0x20
    flags = FLAG_VM | FLAG_IF | 0x3002
    assert stop.frame[:9] == [2, CODE >> 4, flags, 0x7000, 0, 0x100, 0x101, 0x102, 0x103]
    assert [lab.sel(seg) for seg in (ES, DS, FS, GS)] == [0, 0, 0, 0]
    assert lab.cpu.flags() & (FLAG_VM | FLAG_IF) == 0
    assert lab.cpu.cpl == 0


def test_hardware_interrupt_in_v86_does_not_need_iopl(lab: Lab) -> None:
    lab.v86(iopl=0).run("nop; nop", bits=16, budget=1)
    lab.cpu.interrupt(0x21)
    stop = lab.go_on()
    assert stop.vector == 0x21
    assert stop.frame[:5] == [1, CODE >> 4, FLAG_VM | FLAG_IF | 2, 0x7000, 0]


def test_exception_in_v86_has_its_error_code_below_the_frame(lab: Lab) -> None:
    stop = lab.v86(iopl=0).run("nop; cli", bits=16)
    assert stop.vector == GP
    flags = FLAG_VM | FLAG_IF | FLAG_RF | 2
    assert stop.frame[:6] == [0, 1, CODE >> 4, flags, 0x7000, 0]


def test_null_data_segments_after_v86_fault(lab: Lab) -> None:
    lab.idt(0x20, gate(14, CODE0, AT, dpl=3))
    lab.memory[AT : AT + 2] = b"\x8a\x03"  # mov al, [ebx]
    stop = lab.v86().run(INT_0x20, bits=16)
    assert (stop.vector, stop.error) == (GP, 0)


def test_int_n_in_v86_needs_iopl_3(lab: Lab) -> None:
    stop = lab.v86(iopl=2).run(INT_0x20, bits=16)
    assert (stop.vector, stop.error) == (GP, 0)
    assert stop.frame[1] == 0


def test_int3_in_v86_does_not_need_iopl_3(lab: Lab) -> None:
    lab.idt(BP, gate(14, CODE0, HANDLERS + BP * 16, dpl=3))
    stop = lab.v86(iopl=0).run(b"\xcc", bits=16)
    assert stop.vector == BP


@pytest.mark.parametrize("selector", [CONFORMING, CODE1 & ~3])
def test_v86_handler_must_be_ring_0_and_not_conforming(lab: Lab, selector: int) -> None:
    lab.idt(0x20, gate(14, selector, AT, dpl=3))
    stop = lab.v86().run(INT_0x20, bits=16)
    assert (stop.vector, stop.error) == (GP, selector)


# --- single step ---------------------------------------------------------------------------------


def test_trap_flag_traps_after_each_instruction(lab: Lab) -> None:
    lab.cpu.set_flags(FLAG_TF | 2)
    stop = lab.run("inc eax; inc ebx")
    assert stop.vector == DB
    assert stop.frame[:3] == [CODE + 1, CODE0, FLAG_TF | 2]
    assert lab.cpu.debug_register(6) & 0x4000
    assert (lab.reg(EAX), lab.reg(EBX)) == (1, 0)
    assert lab.cpu.flags() & FLAG_TF == 0


def test_no_single_step_trap_on_entry_to_an_int_n_handler(lab: Lab) -> None:
    lab.cpu.set_flags(FLAG_TF | 2)
    stop = lab.run(INT_0x20)
    assert stop.vector == 0x20
    assert stop.frame[2] == FLAG_TF | 2


def test_popf_that_sets_tf_traps_after_the_next_instruction(lab: Lab) -> None:
    stop = lab.run("push 0x102; popfd; inc ecx; inc ecx")
    assert stop.vector == DB
    assert lab.reg(ECX) == 1


def test_general_detect_clears_on_entry(lab: Lab) -> None:
    stop = lab.run("mov eax, 0x2400; mov dr7, eax; mov ebx, dr0")
    assert stop.vector == DB
    assert stop.frame[0] == CODE + 8
    assert lab.cpu.debug_register(6) & 0x2000
    assert lab.cpu.debug_register(7) & 0x2000 == 0


def test_idt_may_be_anywhere(lab: Lab) -> None:
    lab.memory[0xE0005 : 0xE0005 + 0x180] = lab.memory[IDT : IDT + 0x180]
    lab.cpu.idtr_base = 0xE0005
    assert lab.run(INT_0x20).vector == 0x20


@pytest.mark.parametrize(("limit", "vector"), [(0x20 * 8 + 7, 0x20), (0x20 * 8 + 6, GP)])
def test_the_idts_limit(lab: Lab, limit: int, vector: int) -> None:
    lab.cpu.idtr_limit = limit
    stop = lab.run(INT_0x20)
    assert stop.vector == vector
    if vector == GP:
        assert stop.error == 0x20 * 8 + 2


def test_a_handler_in_the_upper_half(lab: Lab) -> None:
    """All of the gate's offset counts; the segment's base brings it back into RAM."""
    lab.describe(0xC0, descriptor(0x80000000, 0xFFFFF, 0xC09A))
    lab.idt(0x20, gate(14, 0xC0, AT + 0x80000000))
    lab.run(INT_0x20)
    assert (lab.cpu.eip, lab.sel(CS)) == (AT + 0x80000001, 0xC0)


def test_an_exception_without_an_error_code_after_one_with(lab: Lab) -> None:
    lab.cpu.set_reg(EAX, 0x100)
    assert lab.run("mov ds, ax").error == 0x100
    lab.ring(0)
    stop = lab.run("ud2")
    assert (stop.vector, stop.frame[:2]) == (UD, [CODE, CODE0])

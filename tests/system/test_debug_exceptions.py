"""Debug exceptions (SDM vol. 3, ch. 17): breakpoints, single steps, DR6, RF, and what MOV SS holds.

Every handler is a HLT (system_lab), so a test sees the frame of the exception as it was pushed:
`stop.frame` is EIP, CS, EFLAGS for #DB.
"""

from __future__ import annotations

import pytest
from debug_lab import BYTE, DWORD, EXECUTE, IO, READ_WRITE, WORD, WRITE, at, hits, watch
from system_lab import (
    CODE,
    CODE0,
    DATA,
    DATA0,
    DB,
    EAX,
    EBX,
    ECX,
    EDI,
    EDX,
    ESI,
    EXIT_HALT,
    EXIT_SHUTDOWN,
    FLAG_IF,
    FLAG_RF,
    FLAG_TF,
    GP,
    HANDLERS,
    NP,
    PF,
    SS,
    TR,
    TSS_MAIN,
    UD,
    Lab,
)

from bt.interp.state import EXIT_WATCHPOINT, WP_WRITE

DE = 8  # CR4.DE
BD, BS = 0x2000, 0x4000
GD = 0x2000
MOV_SS_AX, POP_SS, MOV_DS_AX = b"\x8e\xd0", b"\x17", b"\x8e\xd8"
MOV_SS_MEM = b"\x8e\x15" + DATA.to_bytes(4, "little")
NOP, INC_ECX, UD2 = b"\x90", b"\x41", b"\x0f\x0b"
RESTORE = b"\xcf"  # IRET


# --- loading SS -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "point", "found"),
    [
        (MOV_SS_AX + INC_ECX + INC_ECX, 2, None),  # on the next instruction: held off
        (MOV_SS_AX + INC_ECX + INC_ECX, 3, 3),  # on the one after
        (b"\x6a\x10" + POP_SS + INC_ECX + INC_ECX, 3, None),
        (b"\x6a\x10" + POP_SS + INC_ECX + INC_ECX, 4, 4),
        (MOV_SS_AX + INC_ECX + INC_ECX, 0, 0),  # on MOV SS itself
        (MOV_DS_AX + INC_ECX + INC_ECX, 2, 2),  # no other segment register
        (b"\xfb" + INC_ECX + INC_ECX, 1, 1),  # STI holds off interrupts only
    ],
)
def test_code_breakpoints_right_after_loading_ss(
    lab: Lab, code: bytes, point: int, found: int | None
) -> None:
    watch(lab, (CODE + point, EXECUTE, BYTE))
    stop = lab.run(code)
    if found is None:
        assert stop.vector is None and hits(lab) == 0
        assert lab.reg(ECX) == 2
    else:
        assert at(stop) == (DB, found) and hits(lab) == 1


@pytest.mark.parametrize(
    ("code", "trap", "counted"),
    [
        (MOV_SS_MEM + INC_ECX + INC_ECX, 7, 1),
        (b"\xbc" + DATA.to_bytes(4, "little") + POP_SS + INC_ECX + INC_ECX, 7, 1),
        (b"\x8e\x1d" + DATA.to_bytes(4, "little") + INC_ECX + INC_ECX, 6, 0),  # MOV DS: at once
        (MOV_SS_MEM + MOV_SS_AX + INC_ECX + INC_ECX, 8, 0),  # held by one instruction, no more
    ],
)
def test_a_data_breakpoint_of_mov_ss_waits(lab: Lab, code: bytes, trap: int, counted: int) -> None:
    lab.dword(DATA, DATA0)
    watch(lab, (DATA, READ_WRITE, WORD))
    stop = lab.run(code)
    assert at(stop) == (DB, trap)
    assert (lab.reg(ECX), hits(lab)) == (counted, 1)


@pytest.mark.parametrize(("code", "vector"), [(b"\xcd\x21", 0x21), (b"\xcc", 3), (UD2, UD)])
def test_what_waits_is_delivered_in_front_of_the_handler(
    lab: Lab, code: bytes, vector: int
) -> None:
    """Behind MOV SS an INT n, INT3 or a fault: the first instruction of its handler is next."""
    lab.dword(DATA, DATA0)
    watch(lab, (DATA, READ_WRITE, WORD))
    stop = lab.run(MOV_SS_MEM + code)
    assert stop.vector == DB
    assert stop.frame[0] == HANDLERS + vector * 16
    assert lab.sel(SS) == DATA0 and hits(lab) == 1


def test_the_hits_of_both_instructions_come_together(lab: Lab) -> None:
    lab.dword(DATA, DATA0)
    watch(lab, (DATA, READ_WRITE, WORD), (DATA + 8, WRITE, DWORD))
    stop = lab.run(MOV_SS_MEM + b"\x89\x0d" + (DATA + 8).to_bytes(4, "little") + NOP)
    assert at(stop) == (DB, 12) and hits(lab) == 3


def test_a_handler_is_not_in_the_shadow(lab: Lab) -> None:
    """A fault right behind MOV SS: breakpoints on the handler's first instruction work."""
    watch(lab, (HANDLERS + UD * 16, EXECUTE, BYTE))
    stop = lab.run(MOV_SS_AX + UD2)
    assert (stop.vector, stop.frame[0]) == (DB, HANDLERS + UD * 16)


# --- I/O breakpoints --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "port", "length", "hit"),
    [
        ("in al, 0x60", 0x60, BYTE, True),
        ("out 0x60, al", 0x60, BYTE, True),
        ("in al, 0x61", 0x60, BYTE, False),
        ("in al, 0x61", 0x60, WORD, True),
        ("in ax, 0x5f", 0x60, BYTE, True),
        ("in eax, 0x5d", 0x60, BYTE, True),
        ("in eax, 0x5c", 0x60, BYTE, False),
        ("out 0x63, al", 0x61, DWORD, True),  # the length aligns the address
        ("mov dx, 0x3f8; out dx, al", 0x3F8, BYTE, True),
        ("mov dx, 0x3f8; in eax, dx", 0x3FB, BYTE, True),
        ("mov al, [0x60]", 0x60, BYTE, False),  # memory is another space
        ("mov [0x60], al", 0x60, DWORD, False),
    ],
)
def test_io_breakpoint(lab: Lab, code: str, port: int, length: int, hit: bool) -> None:
    """A trap: the access has happened."""
    lab.cpu.cr4 = DE
    watch(lab, (port, IO, length))
    stop = lab.run(code + "; inc ecx")
    assert stop.vector == (DB if hit else None)
    assert (lab.reg(ECX), hits(lab)) == (0, 1) if hit else (1, 0)
    if hit:
        assert len(lab.ports.seen) == 1
        assert stop.frame[2] & FLAG_RF == 0


def test_every_debug_register_can_watch_a_port(lab: Lab) -> None:
    lab.cpu.cr4 = DE
    watch(lab, *((0x60 + i, IO, BYTE) for i in range(4)))
    for i in range(4):
        lab.run("mov ecx, 0; mov dr6, ecx")
        assert at(lab.run(f"in al, {0x60 + i}; nop")) == (DB, 2)
        assert hits(lab) == 1 << i


def test_in_has_loaded_its_register(lab: Lab) -> None:
    lab.cpu.cr4 = DE
    lab.ports.values = {0x60: 0x5A}
    assert at(watch(lab, (0x60, IO, BYTE)).run("in al, 0x60; nop")) == (DB, 2)
    assert lab.reg(EAX) & 0xFF == 0x5A


def test_without_de_the_encoding_does_nothing(lab: Lab) -> None:
    """The manual calls it undefined then; the 386 and 486 had no I/O breakpoints."""
    watch(lab, (0x60, IO, BYTE))
    assert lab.run("in al, 0x60; mov al, [0x60]; nop").vector is None
    assert hits(lab) == 0


def test_de_takes_effect_when_it_changes(lab: Lab) -> None:
    watch(lab, (0x60, IO, BYTE))
    stop = lab.run("in al, 0x60; mov eax, 8; mov cr4, eax; in al, 0x60; nop")
    assert at(stop) == (DB, 12)
    lab.cpu.set_flags(2)
    assert lab.run("xor eax, eax; mov cr4, eax; in al, 0x60; nop").vector is None


@pytest.mark.parametrize("code", [b"\x6e", b"\x6c"])  # OUTSB, INSB
def test_repeated_io_traps_after_each_iteration(lab: Lab, code: bytes) -> None:
    """RF is pushed as 1 while iterations are left (17.3.1.1), so that IRET goes on with them."""
    lab.cpu.cr4 = DE
    watch(lab, (0x60, IO, BYTE), (CODE, EXECUTE, BYTE))
    lab.cpu.set_reg(ECX, 3)
    lab.cpu.set_reg(EDX, 0x60)
    lab.cpu.set_reg(ESI, DATA)
    lab.cpu.set_reg(EDI, DATA)
    lab.memory[HANDLERS + 16 : HANDLERS + 18] = b"\xf4" + RESTORE
    assert at(lab.run(b"\xf3" + code + NOP)) == (DB, 0)
    assert (hits(lab), len(lab.ports.seen)) == (2, 0)
    lab.dword(lab.reg(4) + 8, 2 | FLAG_RF)  # past the breakpoint on the instruction itself
    for left in (2, 1, 0):
        stop = lab.go_on()
        assert (stop.vector, lab.reg(ECX), len(lab.ports.seen)) == (DB, left, 3 - left)
        assert at(stop) == (DB, 0 if left else 2)
        assert bool(stop.frame[2] & FLAG_RF) == bool(left)
    assert lab.go_on().vector is None and hits(lab) == 3


def test_a_refused_port_hits_nothing(lab: Lab) -> None:
    lab.cpu.cr4 = DE
    watch(lab, (0x60, IO, BYTE))
    lab.cpu.set_segment(TR, 0x28, TSS_MAIN, 0x67, 0x8B)
    assert lab.ring(3).run("in al, 0x60").vector == GP
    assert hits(lab) == 0 and not lab.ports.seen


# --- general detect, DR4, DR5 -----------------------------------------------------------------


@pytest.mark.parametrize("code", ["mov eax, dr0", "mov dr3, eax", "mov eax, dr6", "mov dr7, eax"])
def test_general_detect(lab: Lab, code: str) -> None:
    """A fault, so RF is pushed as 1; the handler finds GD clear and can use the registers."""
    lab.run(f"mov eax, {GD}; mov dr7, eax")
    stop = lab.run("nop; " + code)
    assert at(stop) == (DB, 1)
    assert stop.frame[2] & FLAG_RF and hits(lab) == BD
    assert lab.cpu.debug_register(7) == 0x400


def test_general_detect_is_for_those_who_may(lab: Lab) -> None:
    """#GP outside ring 0, #UD for DR4 under DE: both before #DB."""
    lab.cpu.cr4 = DE
    lab.run(f"mov eax, {GD}; mov dr7, eax")
    assert lab.run(b"\x0f\x21\xe0").vector == UD
    assert lab.ring(3).run("mov eax, dr0").vector == GP
    assert hits(lab) == 0


def test_int_1_leaves_general_detect_alone(lab: Lab) -> None:
    lab.run(f"mov eax, {GD}; mov dr7, eax")
    assert lab.run(b"\xcd\x01").vector == DB
    assert lab.cpu.debug_register(7) == 0x400 | GD and hits(lab) == 0


@pytest.mark.parametrize("number", [4, 5])
@pytest.mark.parametrize("opcode", [0x21, 0x23])
def test_dr4_and_dr5(lab: Lab, number: int, opcode: int) -> None:
    code = bytes([0x0F, opcode, 0xC0 | number << 3])
    lab.cpu.set_reg(EAX, 0)
    assert lab.run(code).vector is None
    lab.cpu.cr4 = DE
    assert lab.run(code).vector == UD


# --- RF ---------------------------------------------------------------------------------------


def test_rf_in_the_frame(lab: Lab) -> None:
    """1 for faults, 0 for traps, software interrupts and the code breakpoint (17.3.1.1)."""
    assert lab.run(UD2).frame[2] & FLAG_RF
    for code in (b"\xcd\x21", b"\xcc", b"\xf1"):
        assert lab.run(code).frame[2] & FLAG_RF == 0
    watch(lab, (CODE, EXECUTE, BYTE))
    assert lab.run(NOP).frame[2] & FLAG_RF == 0
    lab.cpu.set_flags(2 | FLAG_RF | FLAG_TF)
    stop = lab.run(NOP + NOP)
    assert at(stop) == (DB, 1) and hits(lab) == BS | 1
    assert stop.frame[2] & FLAG_RF == 0


def test_rf_lasts_for_one_instruction(lab: Lab) -> None:
    watch(lab, (CODE, EXECUTE, BYTE), (CODE + 1, EXECUTE, BYTE))
    lab.cpu.set_flags(2 | FLAG_RF)
    assert at(lab.run(NOP + NOP)) == (DB, 1) and hits(lab) == 2


def test_a_software_interrupt_pushes_rf_as_0(lab: Lab) -> None:
    """RF is cleared as the instruction begins."""
    lab.cpu.set_flags(2 | FLAG_RF)
    assert lab.run(b"\xcd\x21").frame[2] & FLAG_RF == 0


def test_iret_may_set_rf_even_when_it_ran_under_rf(lab: Lab) -> None:
    watch(lab, (CODE + 0x40, EXECUTE, BYTE))
    lab.memory[CODE + 0x40 : CODE + 0x42] = INC_ECX + b"\xf4"
    lab.cpu.set_reg(ECX, 0)
    setup = f"push {FLAG_RF | 2}; push {CODE0}; push {CODE + 0x40}; "
    back = f"push {FLAG_RF | 2}; push {CODE0}; push {CODE + 0x30}; iretd"
    lab.memory[CODE + 0x30] = 0xCF  # IRETD, entered with RF set
    stop = lab.run(setup + back)
    assert (stop.vector, lab.reg(ECX)) == (None, 1)
    assert lab.cpu.flags() & FLAG_RF == 0


def test_popf_does_not_load_rf(lab: Lab) -> None:
    watch(lab, (CODE + 6, EXECUTE, BYTE))
    assert at(lab.run(f"push {FLAG_RF | 2}; popfd; nop")) == (DB, 6)


def test_an_interrupt_between_two_iterations_pushes_rf(lab: Lab) -> None:
    lab.ports.interrupt_on = 0x60
    lab.cpu.set_reg(ECX, 3)
    lab.cpu.set_reg(EDX, 0x60)
    lab.cpu.set_reg(ESI, DATA)
    lab.cpu.set_flags(2 | FLAG_IF)
    lab.run(b"\xf3\x6e" + NOP)
    assert lab.reg(ECX) == 2
    lab.cpu.interrupt(0x20)
    stop = lab.go_on()
    assert (stop.vector, stop.frame[0]) == (0x20, CODE) and stop.frame[2] & FLAG_RF
    lab.cpu.interrupt(0x20)
    assert lab.go_on().frame[2] & FLAG_RF == 0


# --- single step ------------------------------------------------------------------------------


def test_single_step_through_rep(lab: Lab) -> None:
    """A trap after each iteration, RF pushed as 1 but for the last."""
    lab.memory[HANDLERS + 16 : HANDLERS + 18] = b"\xf4" + RESTORE
    lab.cpu.set_reg(ECX, 3)
    lab.cpu.set_reg(EDI, DATA)
    lab.cpu.set_flags(2 | FLAG_TF)
    stop = lab.run(b"\xf3\xaa" + NOP)
    for left in (2, 1, 0):
        assert at(stop) == (DB, 0 if left else 2)
        assert lab.reg(ECX) == left
        assert bool(stop.frame[2] & FLAG_RF) == bool(left)
        stop = lab.go_on()
    assert at(stop) == (DB, 3) and hits(lab) == BS


@pytest.mark.parametrize("code", [b"\xcd\x21", b"\xcc", b"\xf1"])
def test_no_trap_at_a_software_interrupt(lab: Lab, code: bytes) -> None:
    """TF is pushed, and clear in the handler."""
    lab.cpu.set_flags(2 | FLAG_TF)
    stop = lab.run(code)
    assert stop.frame[2] & FLAG_TF and hits(lab) == 0
    assert lab.cpu.flags() & FLAG_TF == 0


def test_popf_and_iret_set_tf_for_the_next_instruction(lab: Lab) -> None:
    assert at(lab.run(f"push {FLAG_TF | 2}; popfd; nop; nop")) == (DB, 7)
    frame = f"push {FLAG_TF | 2}; push {CODE0}; push {CODE + 0x40}; iretd"
    lab.memory[CODE + 0x40 : CODE + 0x43] = NOP + NOP + b"\xf4"
    assert at(lab.run(frame)) == (DB, 0x41)


def test_popf_that_clears_tf_still_traps(lab: Lab) -> None:
    lab.cpu.set_reg(4, 0x7F00)
    lab.dword(0x7F00, 2)
    lab.cpu.set_flags(2 | FLAG_TF)
    stop = lab.run("popfd; nop")
    assert at(stop) == (DB, 1) and stop.frame[2] & FLAG_TF == 0


def test_a_fault_comes_instead_of_the_trap(lab: Lab) -> None:
    lab.cpu.set_flags(2 | FLAG_TF)
    stop = lab.run(UD2)
    assert stop.vector == UD and hits(lab) == 0


def test_hlt_does_not_halt_a_stepped_program(lab: Lab) -> None:
    """The trap follows its completion, and a debug exception ends the halt."""
    lab.cpu.set_flags(2 | FLAG_TF)
    assert at(lab.run(b"\xf4\x90")) == (DB, 1)


def test_the_trap_comes_before_an_interrupt(lab: Lab) -> None:
    lab.cpu.intr = 1
    lab.cpu.set_flags(2 | FLAG_TF)
    stop = lab.run(b"\xfb" + NOP + NOP)  # STI; its shadow does not hold the trap
    assert at(stop) == (DB, 1)


# --- DR6, DR7, priorities ---------------------------------------------------------------------


def test_dr6_is_never_cleared_by_the_processor(lab: Lab) -> None:
    watch(lab, (DATA, WRITE, BYTE), (DATA + 1, WRITE, BYTE))
    lab.run(f"mov [{DATA}], al; nop")
    lab.run(f"mov [{DATA + 1}], al; nop")
    assert hits(lab) == 3


@pytest.mark.parametrize("enable", [1, 2, 3])
def test_local_and_global_enable(lab: Lab, enable: int) -> None:
    lab.run(f"mov eax, {DATA}; mov dr0, eax; mov eax, {enable | WRITE << 16}; mov dr7, eax")
    assert lab.run(f"mov [{DATA}], al; nop").vector == DB


def test_one_access_may_hit_several(lab: Lab) -> None:
    watch(lab, *((DATA + i, READ_WRITE, BYTE) for i in range(4)))
    lab.run(f"mov eax, [{DATA}]; nop")
    assert hits(lab) == 0xF


def test_a_code_breakpoint_comes_before_a_fault_of_its_instruction(lab: Lab) -> None:
    watch(lab, (CODE + 1, EXECUTE, BYTE))
    assert at(lab.run(NOP + UD2)) == (DB, 1)


def test_a_data_breakpoint_comes_before_a_code_breakpoint(lab: Lab) -> None:
    """The trap belongs to the instruction before (table 6-2); then the fault, with RF clear."""
    watch(lab, (DATA, WRITE, BYTE), (CODE + 5, EXECUTE, BYTE))
    lab.memory[HANDLERS + 16 : HANDLERS + 18] = b"\xf4" + RESTORE
    assert at(lab.run(f"mov [{DATA}], al; nop")) == (DB, 5) and hits(lab) == 1
    assert at(lab.go_on()) == (DB, 5) and hits(lab) == 3


def test_breakpoints_on_later_bytes_of_an_instruction_do_nothing(lab: Lab) -> None:
    watch(lab, (CODE + 1, EXECUTE, BYTE))
    assert lab.run("mov ebx, 0x90909090").vector is None
    assert lab.reg(EBX) == 0x90909090


def test_the_processors_own_accesses_are_watched(lab: Lab) -> None:
    """A descriptor that a segment load reads is data like any other."""
    watch(lab, (0x1000 + DATA0, READ_WRITE, DWORD))
    assert at(lab.run(f"mov eax, {DATA0}; mov es, eax; nop")) == (DB, 7)


def test_a_page_fault_hits_nothing(lab: Lab) -> None:
    watch(lab, (DATA, READ_WRITE, BYTE))
    lab.dword(0x80000, 0x81007)
    for page in range(256):
        lab.dword(0x81000 + page * 4, page << 12 | 7)
    lab.dword(0x81000 + (DATA >> 12) * 4, 0)
    lab.cpu.cr3, lab.cpu.cr0 = 0x80000, 0x80000011
    lab.cpu.flush()
    assert lab.run(f"mov al, [{DATA}]").vector == PF
    assert hits(lab) == 0


def test_a_global_page_is_watched_too(lab: Lab) -> None:
    """Its TLB entry outlives most flushes, but not the arming of a breakpoint."""
    for page in range(256):
        lab.dword(0x81000 + page * 4, page << 12 | 0x103)  # G
    lab.dword(0x80000, 0x81003)
    lab.cpu.cr3, lab.cpu.cr4 = 0x80000, 0x80  # PGE
    lab.cpu.cr0 |= 0x80000000
    lab.cpu.flush()
    lab.run(f"mov [{DATA}], al; mov ebx, [{DATA}]")
    watch(lab, (DATA, WRITE, BYTE))
    assert at(lab.run(f"mov [{DATA}], al; nop")) == (DB, 5) and hits(lab) == 1


def test_no_trap_that_was_held_off_survives_a_shutdown(lab: Lab) -> None:
    """MOV SS holds the data breakpoint; what comes next faults three times over."""
    lab.word(DATA, DATA0)
    watch(lab, (DATA, READ_WRITE, WORD))
    for vector in (UD, 8, GP, NP):
        lab.idt(vector, bytes(8))
    stop = lab.run(MOV_SS_MEM + UD2)
    assert (stop.reason, stop.eip) == (EXIT_SHUTDOWN, CODE + len(MOV_SS_MEM))


def test_new_watchpoints_of_the_embedder_forget_the_old_ones_hit(lab: Lab) -> None:
    lab.cpu.set_watchpoints([(DATA, DATA + 3, WP_WRITE)], [lab.cpu.user, lab.cpu.sup])
    stop = lab.run(f"nop; mov [{DATA}], al; inc ecx")
    assert (stop.reason, stop.eip) == (EXIT_WATCHPOINT, CODE + 6)
    lab.cpu.set_watchpoints([(DATA + 4, DATA + 7, WP_WRITE)], [lab.cpu.user, lab.cpu.sup])
    assert lab.cpu.take_watchpoint() == -1
    assert lab.go_on().reason == EXIT_HALT

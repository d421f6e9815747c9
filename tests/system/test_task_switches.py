"""Hardware task switches (SDM vol. 3, 7.2 to 7.6)."""

from __future__ import annotations

import struct

import pytest
from system_lab import (
    ABSENT,
    ABSENT_CODE,
    BP,
    CODE,
    CODE0,
    CODE3,
    CS,
    DATA0,
    DATA1,
    DATA3,
    DATA16,
    DB,
    DS,
    EAX,
    EBX,
    ESP,
    EXIT_SHUTDOWN,
    FLAG_IF,
    FLAG_NT,
    FLAG_RF,
    FLAG_VM,
    GDT,
    GDT_LIMIT,
    GP,
    LDT,
    LDT_SEL,
    LDTR,
    MAIN_TSS,
    NP,
    SS,
    SS_FAULT,
    STACK3,
    TR,
    TS,
    TSS16_SEL,
    TSS_16,
    TSS_MAIN,
    TSS_TWO,
    TWO_TSS,
    UD,
    Lab,
    Ports,
    descriptor,
    gate,
)

THERE = CODE + 0x200  # where the second task begins
JMP, CALL = 0xEA, 0x9A
GATE = 0xC0
STACK_TWO = 0xD000


def far(opcode: int, selector: int) -> bytes:
    return struct.pack("<BIH", opcode, 0xDEAD, selector)


def task_two(lab: Lab, **changes: int) -> None:
    """A ring 0 task in the second TSS; every register of it has a value of its own."""
    values = {
        "eip": THERE, "eflags": 2, "eax": 0xA0, "ecx": 0xA1, "edx": 0xA2, "ebx": 0xA3,
        "esp": STACK_TWO, "ebp": 0xA5, "esi": 0xA6, "edi": 0xA7,
        "es": DATA0, "cs": CODE0, "ss": DATA0, "ds": DATA0, "fs": DATA3, "gs": 0, "ldt": LDT_SEL,
        "trap": 0,
    }  # fmt: skip
    values.update(changes)
    lab.dword(TSS_TWO + 32, *values.values())
    lab.memory[TSS_TWO + 102 : TSS_TWO + 104] = b"\xff\xff"


def busy(lab: Lab, selector: int) -> bool:
    return bool(lab.attr(selector) & 2)


@pytest.mark.parametrize("opcode", [JMP, CALL])
def test_switch(lab: Lab, opcode: int) -> None:
    task_two(lab)
    lab.cpu.set_flags(FLAG_IF | 0x8D7)
    lab.cpu.set_reg(EBX, 0x1234)
    lab.run(far(opcode, TWO_TSS), budget=1)
    assert lab.cpu.eip == THERE
    assert lab.regs() == [0xA0, 0xA1, 0xA2, 0xA3, STACK_TWO, 0xA5, 0xA6, 0xA7]
    assert lab.cpu.segment(TR) == (TWO_TSS, TSS_TWO, 0x67, 0x8B)
    assert lab.cpu.segment(LDTR)[0] == LDT_SEL
    assert [lab.sel(s) for s in range(6)] == [DATA0, CODE0, DATA0, DATA0, DATA3, 0]
    assert lab.cpu.cr0 & 8, "CR0.TS"
    assert busy(lab, TWO_TSS)
    nested = opcode == CALL
    assert busy(lab, MAIN_TSS) is nested
    assert lab.cpu.flags() == (FLAG_NT | 2 if nested else 2)
    assert lab.peek(TSS_TWO, 2) == (MAIN_TSS if nested else 0)
    # the old task
    assert lab.peek(TSS_MAIN + 32) == CODE + 7
    assert lab.peek(TSS_MAIN + 36) == FLAG_IF | 0x8D7
    assert lab.peek(TSS_MAIN + 40 + 4 * EBX) == 0x1234
    assert lab.peek(TSS_MAIN + 40 + 4 * ESP) == 0x8000
    assert [lab.peek(TSS_MAIN + 72 + 4 * s, 2) for s in range(6)] == [
        DATA0, CODE0, DATA0, DATA0, DATA0, DATA0,
    ]  # fmt: skip


def test_there_and_back_by_iret(lab: Lab) -> None:
    """CALL, a few instructions in the other task, IRET with NT set, and again."""
    task_two(lab)
    lab.memory[THERE : THERE + 4] = b"\x40\xcf\xeb\xfc"  # inc eax; iret; jmp back
    lab.ram.written(THERE, 4)
    lab.run(far(CALL, TWO_TSS) + far(CALL, TWO_TSS) + b"\x43", budget=3)
    assert lab.cpu.eip == CODE + 7
    assert lab.cpu.segment(TR)[0] == MAIN_TSS
    assert not busy(lab, TWO_TSS) and busy(lab, MAIN_TSS)
    assert lab.peek(TSS_TWO + 36) & FLAG_NT == 0, "NT is saved as 0"
    assert lab.peek(TSS_TWO + 32) == THERE + 2
    stop = lab.go_on()
    assert stop.vector is None
    assert lab.peek(TSS_TWO + 40) == 0xA2, "the task went on where it had stopped"
    assert lab.reg(EBX) == 1


def test_through_a_task_gate(lab: Lab) -> None:
    """From ring 3: the gate's DPL counts, the TSS descriptor's does not."""
    task_two(lab)
    lab.describe(GATE, gate(5, TWO_TSS, 0, dpl=3))
    lab.ring(3).run(far(CALL, GATE), budget=1)
    assert (lab.cpu.eip, lab.cpu.cpl) == (THERE, 0)
    assert lab.peek(TSS_MAIN + 76, 2) == CODE3


def test_interrupt_through_a_task_gate(lab: Lab) -> None:
    task_two(lab, eflags=2)
    lab.idt(0x20, gate(5, TWO_TSS, 0))
    lab.ring(3).cpu.set_flags(FLAG_IF | 2)
    lab.run("nop", budget=1)
    lab.cpu.interrupt(0x20)
    assert lab.cpu.eip == THERE
    assert lab.cpu.flags() == FLAG_NT | 2
    assert lab.peek(TSS_TWO, 2) == MAIN_TSS
    assert lab.peek(TSS_MAIN + 36) == FLAG_IF | 2


@pytest.mark.parametrize("code", [b"\xcd\x20", b"\xcc"])
def test_a_new_task_that_faults_while_it_begins(lab: Lab, code: bytes) -> None:
    """INT through a task gate: the switch has happened, so the fault is the new task's."""
    task_two(lab, ds=ABSENT)
    for vector in (0x20, BP):
        lab.idt(vector, gate(5, TWO_TSS, 0))
    stop = lab.run(code)
    assert (stop.vector, stop.error) == (NP, ABSENT)
    assert stop.frame[1:3] == [THERE, CODE0]
    assert (lab.sel(TR), lab.cpu.flags() & FLAG_NT) == (TWO_TSS, 0)
    assert lab.peek(TSS_MAIN + 32) == CODE + len(code)


def test_exception_through_a_task_gate_pushes_its_error_code(lab: Lab) -> None:
    task_two(lab)
    lab.idt(NP, gate(5, TWO_TSS, 0))
    lab.cpu.set_reg(EAX, ABSENT)
    lab.memory[THERE] = 0xF4
    stop = lab.run("nop; mov ds, ax")
    assert lab.cpu.eip == THERE + 1
    assert lab.reg(ESP) == STACK_TWO - 4
    assert stop.error == ABSENT
    assert lab.peek(TSS_MAIN + 32) == CODE + 1
    assert lab.peek(TSS_MAIN + 36) == FLAG_RF | 2


def test_double_fault_task(lab: Lab) -> None:
    """What task gates are still used for: a good stack for #DF."""
    task_two(lab)
    lab.memory[THERE] = 0xF4
    lab.idt(8, gate(5, TWO_TSS, 0))
    lab.cpu.set_reg(ESP, 0)
    lab.describe(0xC8, descriptor(0, 0xFFF, 0x4092))
    lab.load(SS, 0xC8)
    lab.cpu.set_reg(ESP, 0x5000)
    lab.run("push eax")
    assert lab.cpu.eip == THERE + 1
    assert lab.peek(STACK_TWO - 4) == 0
    assert lab.peek(TSS_MAIN + 32) == CODE
    assert lab.peek(TSS_MAIN + 40 + 4 * ESP) == 0x5000


def test_into_a_v86_task(lab: Lab) -> None:
    task_two(lab, eflags=FLAG_VM | 2, eip=0x10, cs=0x1234, ss=0x2000, ds=0x3000)
    lab.run(far(JMP, TWO_TSS), budget=1)
    assert lab.cpu.cpl == 3
    assert lab.cpu.segment(CS) == (0x1234, 0x12340, 0xFFFF, 0xF3)
    assert lab.cpu.segment(DS) == (0x3000, 0x30000, 0xFFFF, 0xF3)


def test_ring_3_task(lab: Lab) -> None:
    task_two(lab, cs=CODE3, ss=DATA3, ds=DATA3, es=DATA3, esp=STACK3)
    lab.run(far(JMP, TWO_TSS), budget=1)
    assert (lab.cpu.cpl, lab.sel(CS), lab.sel(SS)) == (3, CODE3, DATA3)


def test_16_bit_tss(lab: Lab) -> None:
    lab.word(
        TSS_16 + 14, 0x4321, 0x0202, 1, 2, 3, 4, 0x7000, 6, 7, 8, DATA0, CODE0, DATA0, DATA0, 0
    )
    for i in range(8):
        lab.cpu.set_reg(i, 0x12345678)
    lab.run(far(CALL, TSS16_SEL), budget=1)
    assert lab.cpu.eip == 0x4321
    ones = 0xFFFF0000  # "modified and not maintained": see tasks.py
    assert lab.regs() == [ones | value for value in (1, 2, 3, 4, 0x7000, 6, 7, 8)]
    assert lab.cpu.flags() == 0x0202 | FLAG_NT
    assert [lab.sel(s) for s in range(6)] == [DATA0, CODE0, DATA0, DATA0, 0, 0]
    assert lab.sel(LDTR) == 0
    lab.memory[0x4321] = 0xCF
    lab.go_on(1)
    assert lab.cpu.eip == CODE + 7
    assert lab.peek(TSS_16 + 14, 2) == 0x4322
    assert lab.peek(TSS_16 + 16, 2) == 0x0202


def test_debug_trap_bit(lab: Lab) -> None:
    task_two(lab, trap=1)
    stop = lab.run(far(JMP, TWO_TSS))
    assert stop.vector == DB
    assert stop.frame[0] == THERE
    assert lab.cpu.debug_register(6) & 0x8000


def test_error_code_comes_before_the_debug_trap(lab: Lab) -> None:
    """The task gate of #GP leads to a task with T set: its stack has the error code already."""
    task_two(lab, trap=1)
    lab.idt(GP, gate(5, TWO_TSS, 0))
    stop = lab.run(b"\xb8\x00\x01\x00\x00\x8e\xd8")  # MOV DS, 100h: beyond the GDT
    assert stop.vector == DB
    assert stop.frame[0] == THERE
    assert stop.frame[3] == 0x100


def test_an_error_code_without_room_leaves_no_trace_of_the_debug_trap(lab: Lab) -> None:
    """SDM vol. 3, 17.2.3, BT: "the debug exception was generated due to a task switch"."""
    lab.describe(0xC8, descriptor(0, 0xFFF, 0x40F2))
    task_two(lab, trap=1, cs=CODE3, ss=0xCB, ds=0, es=0)
    lab.dword(TSS_TWO + 4, 0x8000, DATA0)
    lab.idt(GP, gate(5, TWO_TSS, 0))
    stop = lab.run(b"\xb8\x00\x01\x00\x00\x8e\xd8")
    assert (stop.vector, stop.frame[1]) == (8, THERE)
    assert lab.cpu.debug_register(6) & 0x8000 == 0


def test_data_segments_are_loaded_from_ds_on(lab: Lab) -> None:
    """Table 7-1, in the order of the P6 family: "DS, ES, FS, and GS segment selector is valid"."""
    task_two(lab, ds=0x1F8, es=0x1F0)
    stop = lab.run(far(JMP, TWO_TSS))
    assert (stop.vector, stop.error) == (TS, 0x1F8)


@pytest.mark.parametrize(("cr4", "vector"), [(2, GP), (0, None)])
def test_a_task_with_vif_and_vip_set_faults_at_once(lab: Lab, cr4: int, vector: int | None) -> None:
    """SDM vol. 3, 20.3.2: "or upon entering a ... task through a task switch"; PVI."""
    lab.cpu.cr4 = cr4
    task_two(lab, eflags=0x180002, cs=CODE3, ss=DATA3, ds=0, es=0)
    lab.dword(TSS_TWO + 4, 0x8000, DATA0)
    lab.memory[THERE] = 0x90
    stop = lab.run(far(JMP, TWO_TSS), budget=2)
    assert stop.vector == vector


VIF_AND_VIP, PVI = 0x180000, 2


def task_that_is_interrupted(lab: Lab, **changes: int) -> None:
    """A ring 3 task whose virtual interrupts are enabled while one waits."""
    lab.cpu.cr4 = PVI
    task_two(lab, eflags=VIF_AND_VIP | 2, cs=CODE3, ss=DATA3, ds=0, es=0, esp=STACK3, **changes)
    lab.dword(TSS_TWO + 4, 0x8000, DATA0)


def test_error_code_comes_before_the_waiting_interrupt(lab: Lab) -> None:
    """#NP was delivered by then: what the waiting interrupt raises makes no double fault of it."""
    task_that_is_interrupted(lab)
    lab.idt(NP, gate(5, TWO_TSS, 0))
    stop = lab.run(b"\xb8\x70\x00\x00\x00\x8e\xd8")  # MOV DS, 70h: not present
    assert (stop.vector, stop.frame[:3]) == (GP, [0, THERE, CODE3])
    assert (stop.frame[4], lab.peek(STACK3 - 4)) == (STACK3 - 4, 0x70)


def test_a_debug_handler_that_is_interrupted_has_been_entered(lab: Lab) -> None:
    """SDM vol. 3, 17.2.4, GD: cleared "upon entering to the debug exception handler"."""
    task_that_is_interrupted(lab)
    lab.idt(DB, gate(5, TWO_TSS, 0))
    stop = lab.run("mov eax, 0x2400; mov dr7, eax; .byte 0xf1")
    assert (stop.vector, stop.frame[:3]) == (GP, [0, THERE, CODE3])
    assert lab.cpu.debug_register(7) == 0x400


def test_the_error_code_of_a_16_bit_task_is_a_word(lab: Lab) -> None:
    task = (THERE & 0xFFFF, 2, 1, 2, 3, 4, 0x7000, 6, 7, 8, DATA0, CODE0, DATA16, DATA0, 0)
    lab.word(TSS_16 + 14, *task)
    lab.idt(NP, gate(5, TSS16_SEL, 0))
    lab.memory[THERE & 0xFFFF] = 0xF4
    lab.run(b"\xb8\x70\x00\x00\x00\x8e\xd8")
    assert (lab.cpu.eip, lab.reg(ESP) & 0xFFFF) == ((THERE & 0xFFFF) + 1, 0x6FFE)
    assert lab.peek(0x6FFE, 2) == 0x70


def test_a_double_fault_task_may_be_interrupted(lab: Lab) -> None:
    """No shutdown: #DF has been delivered when VIF and VIP are looked at."""
    task_that_is_interrupted(lab)
    lab.idt(8, gate(5, TWO_TSS, 0))
    lab.describe(0xC8, descriptor(0, 0xFFF, 0x4092))
    lab.load(SS, 0xC8)
    lab.cpu.set_reg(ESP, 0x5000)
    stop = lab.run("push eax")
    assert (stop.vector, stop.frame[:3]) == (GP, [0, THERE, CODE3])
    assert lab.peek(STACK3 - 4) == 0


def test_the_debug_trap_comes_before_the_waiting_interrupt(lab: Lab) -> None:
    """SDM vol. 3, table 6-2: "Trap on Task Switch" has priority over what an instruction raises."""
    task_that_is_interrupted(lab, trap=1)
    stop = lab.run(far(JMP, TWO_TSS))
    assert (stop.vector, stop.frame[:3]) == (DB, [THERE, CODE3, VIF_AND_VIP | 2])
    assert lab.cpu.debug_register(6) & 0x8000


class Rom(Ports):
    """What lies beyond the RAM: the GDT as it was, and nobody can mark a task in it as busy."""

    tables = b""

    def read_memory(self, address: int, size: int) -> int:
        return int.from_bytes(self.tables[address - Lab.SIZE :][:size], "little")


@pytest.mark.parametrize("changes", [{"trap": 1}, {"eflags": VIF_AND_VIP | 2}])
def test_a_handler_that_always_raises_its_own_exception_shuts_down(changes: dict[str, int]) -> None:
    """SDM vol. 3, 17.3.1.5: "Failure to observe this rule will put the processor in a loop"."""
    lab = Lab()
    lab.cpu.cr4 = PVI
    task_two(lab, **{"cs": CODE3, "ss": DATA3, "ds": 0, "es": 0, "esp": STACK3, **changes})
    lab.idt(DB, gate(5, TWO_TSS, 0))
    lab.idt(GP, gate(5, TWO_TSS, 0))
    rom = Rom(lab.cpu)
    rom.tables = bytes(lab.memory[GDT : GDT + GDT_LIMIT + 1])
    lab.cpu.bus = rom
    lab.cpu.gdtr_base = Lab.SIZE
    assert lab.run("int 0xfe").reason == EXIT_SHUTDOWN


@pytest.mark.parametrize("opcode", [JMP, CALL])
def test_a_tss_in_the_ldt_is_none(lab: Lab, opcode: int) -> None:
    """Neither by its own selector nor through a gate, however good it is."""
    task_two(lab)
    lab.describe(0x0C, descriptor(TSS_TWO, 0x67, 0x89), table=LDT)
    lab.describe(GATE, gate(5, 0x0C, 0))
    for selector in (0x0C, GATE):
        stop = lab.run(far(opcode, selector))
        assert (stop.vector, stop.error, lab.sel(TR)) == (GP, 0x0C, MAIN_TSS)
        lab.ring(0)


def test_a_task_whose_descriptor_is_gone_can_be_left(lab: Lab) -> None:
    """Only the busy bit of the old one is looked for; the new one was checked."""
    task_two(lab)
    lab.describe(MAIN_TSS, bytes(8))
    lab.run(far(JMP, TWO_TSS), budget=1)
    assert (lab.cpu.eip, lab.sel(TR), lab.peek(GDT + MAIN_TSS, 8)) == (THERE, TWO_TSS, 0)


def test_a_double_fault_task_may_be_debugged(lab: Lab) -> None:
    """#DB while #DF is delivered is benign: no shutdown, both are handled in turn."""
    task_two(lab, trap=1)
    lab.idt(8, gate(5, TWO_TSS, 0))
    lab.describe(0xC8, descriptor(0, 0xFFF, 0x4092))
    lab.load(SS, 0xC8)
    lab.cpu.set_reg(ESP, 0x5000)
    stop = lab.run("push eax")
    assert (stop.vector, stop.frame[0], stop.frame[3]) == (DB, THERE, 0)


def test_a_task_that_links_to_itself_goes_on(lab: Lab) -> None:
    """SDM vol. 3, 7.3: the state is saved in step 8, and loaded in step 12."""
    lab.word(TSS_MAIN, MAIN_TSS)
    lab.cpu.set_flags(FLAG_NT | 2)
    lab.cpu.set_reg(EBX, 0x1234)
    lab.run(b"\xcf\x43", budget=2)
    assert (lab.cpu.eip, lab.reg(EBX)) == (CODE + 2, 0x1235)
    assert lab.cpu.flags() & FLAG_NT == 0


def test_local_breakpoints_are_disabled(lab: Lab) -> None:
    task_two(lab)
    lab.run(b"\xb8\x03\x07\x00\x00\x0f\x23\xf8" + far(JMP, TWO_TSS), budget=3)
    assert lab.cpu.debug_register(7) == 0x602


@pytest.mark.parametrize(
    ("selector", "entry", "cpl", "vector", "error"),
    [
        (MAIN_TSS, None, 0, GP, MAIN_TSS),  # busy
        (TWO_TSS, None, 3, GP, TWO_TSS),  # DPL
        (TWO_TSS | 1, None, 0, GP, TWO_TSS),  # RPL
        (GATE, descriptor(TSS_TWO, 0x67, 0x09), 0, NP, GATE),
        (GATE, descriptor(TSS_TWO, 0x66, 0x89), 0, TS, GATE),
        (GATE, descriptor(TSS_16, 0x2A, 0x81), 0, TS, GATE),
        (GATE, gate(5, 0, 0), 0, GP, 0),
        (GATE, gate(5, 0x100, 0), 0, GP, 0x100),
        (GATE, gate(5, TWO_TSS | 4, 0), 0, GP, TWO_TSS | 4),  # a TSS must be in the GDT
        (GATE, gate(5, MAIN_TSS, 0), 0, GP, MAIN_TSS),
        (GATE, gate(5, DATA0, 0), 0, GP, DATA0),
        (GATE, gate(5, TWO_TSS, 0, present=0), 0, NP, GATE),
        (GATE, gate(5, TWO_TSS, 0), 3, GP, GATE),
    ],
)
def test_bad_target(
    lab: Lab, selector: int, entry: bytes | None, cpl: int, vector: int, error: int
) -> None:
    """Nothing is switched: the fault is the old task's."""
    task_two(lab)
    if entry is not None:
        lab.describe(GATE, entry)
    stop = lab.ring(cpl).run(far(CALL, selector))
    assert (stop.vector, stop.error) == (vector, error)
    assert stop.frame[1] == CODE
    assert lab.sel(TR) == MAIN_TSS
    assert not busy(lab, TWO_TSS)


@pytest.mark.parametrize(
    ("changes", "vector", "error"),
    [
        ({"cs": 0}, TS, 0),
        ({"cs": DATA0}, TS, DATA0),
        ({"cs": CODE0 | 3}, TS, CODE0),
        ({"cs": 0x100}, TS, 0x100),
        ({"cs": ABSENT_CODE}, NP, ABSENT_CODE),
        ({"ldt": DATA0}, TS, DATA0),
        ({"ldt": 0x100}, TS, 0x100),
        ({"ldt": 0x0C}, TS, 0x0C),
        ({"ds": DATA0 | 3}, TS, DATA0),
        ({"es": ABSENT}, NP, ABSENT),
        ({"fs": 0xF00}, TS, 0xF00),
        ({"eip": 0x10000, "cs": 0xC8}, GP, 0),
    ],
)
def test_faults_in_the_new_task(lab: Lab, changes: dict[str, int], vector: int, error: int) -> None:
    """The switch has happened; the exception is raised in the new task, before its first
    instruction. (An interrupt gate needs the new task's SS, so here only what comes after it.)"""
    lab.describe(0xC8, descriptor(0, 0xFFFF, 0x409A))
    task_two(lab, **changes)
    for number in (TS, NP, GP):  # handlers in a task of their own: no stack of ours is needed
        lab.idt(number, gate(5, 0xD0, 0))
    lab.describe(0xD0, descriptor(0x7800, 0x67, 0x89))
    lab.dword(0x7800 + 32, THERE, 2, *([0] * 4), STACK_TWO + 0x800, 0, 0, 0)
    lab.dword(0x7800 + 72, DATA0, CODE0, DATA0, DATA0, 0, 0, 0)
    lab.memory[THERE] = 0xF4
    lab.run(far(JMP, TWO_TSS))
    assert lab.cpu.eip == THERE + 1
    assert lab.peek(STACK_TWO + 0x800 - 4) == error
    assert lab.peek(0x7800, 2) == TWO_TSS, "back link: the faulting task"
    assert lab.peek(TSS_TWO + 32) == changes.get("eip", THERE)
    assert busy(lab, TWO_TSS) and not busy(lab, MAIN_TSS)
    assert vector in (TS, NP, GP)


@pytest.mark.parametrize(
    ("ss", "vector", "error"),
    [
        (0, TS, 0),
        (DATA1, TS, DATA1 & ~3),
        (CODE0, TS, CODE0),
        (0xC8, SS_FAULT, 0xC8),
    ],
)
def test_bad_stack_of_a_new_task(lab: Lab, ss: int, vector: int, error: int) -> None:
    """The new task runs in ring 3, so the handler gets a good stack from the new TSS."""
    lab.describe(0xC8, descriptor(0, 0xFFFF, 0x4072))
    user = ss if ss in (0, CODE0, DATA1) else ss | 3
    task_two(lab, cs=CODE3, ss=user, ds=0, es=0, fs=0)
    lab.dword(TSS_TWO + 4, STACK_TWO, DATA0)
    stop = lab.run(far(JMP, TWO_TSS))
    assert (stop.vector, stop.error) == (vector, error)
    assert stop.frame[1:3] == [THERE, CODE3]


@pytest.mark.parametrize(
    ("link", "vector", "error"),
    [(0, TS, 0), (TWO_TSS, TS, TWO_TSS), (DATA0, TS, DATA0), (0x104, TS, 0x104)],
)
def test_bad_back_link(lab: Lab, link: int, vector: int, error: int) -> None:
    """IRET with NT wants a busy TSS in the GDT."""
    lab.word(TSS_MAIN, link)
    lab.cpu.set_flags(FLAG_NT | 2)
    stop = lab.run(b"\xcf")
    assert (stop.vector, stop.error) == (vector, error)
    assert stop.frame[1:4] == [CODE, CODE0, FLAG_NT | FLAG_RF | 2]


def test_cr3_is_loaded_with_paging_on(lab: Lab) -> None:
    """Identity mapping by 4 MiB pages in both directories; the new one marks what it saw."""
    task_two(lab)
    lab.dword(TSS_TWO + 28, 0x81000)
    lab.dword(0x80000, 0x83)
    lab.dword(0x81000, 0x83)
    lab.cpu.cr4 = 0x10
    lab.cpu.cr3 = 0x80000
    lab.cpu.cr0 |= 0x80000000
    lab.cpu.flush()
    lab.run(far(JMP, TWO_TSS), budget=1)
    assert lab.cpu.cr3 == 0x81000
    assert lab.peek(0x81000) & 0x20


def test_page_fault_on_the_new_tss_changes_nothing(lab: Lab) -> None:
    task_two(lab)
    for page in range(256):
        lab.dword(0x81000 + page * 4, page << 12 | 3)
    lab.dword(0x80000, 0x81003)
    lab.dword(0x81000 + 5 * 4, 0x5002)  # the page of the second TSS
    lab.cpu.cr3 = 0x80000
    lab.cpu.cr0 |= 0x80000000
    lab.cpu.flush()
    stop = lab.run(far(JMP, TWO_TSS))
    assert stop.vector == 14
    assert stop.frame[:2] == [0, CODE]
    assert lab.cpu.cr2 == TSS_TWO + 28
    assert busy(lab, MAIN_TSS) and not busy(lab, TWO_TSS)


def test_ltr_marks_busy_and_switches_nothing(lab: Lab) -> None:
    stop = lab.run(f"mov ax, {TWO_TSS}; ltr ax; str ebx")
    assert stop.vector is None
    assert lab.reg(EBX) == TWO_TSS
    assert busy(lab, TWO_TSS)
    stop = lab.run(f"mov ax, {TWO_TSS}; ltr ax")
    assert (stop.vector, stop.error) == (GP, TWO_TSS), "busy now"


@pytest.mark.parametrize(
    ("code", "selector", "vector", "error"),
    [
        ("ltr ax", 0, GP, 0),
        ("ltr ax", DATA0, GP, DATA0),
        ("ltr ax", TWO_TSS | 4, GP, TWO_TSS | 4),
        ("lldt ax", DATA0, GP, DATA0),
        ("lldt ax", 4, GP, 4),
        ("lldt ax", 0xC8, NP, 0xC8),
        ("lldt ax", 0x100, GP, 0x100),
    ],
)
def test_bad_ltr_and_lldt(lab: Lab, code: str, selector: int, vector: int, error: int) -> None:
    lab.describe(0xC8, descriptor(0x3000, 0xFF, 0x02))
    lab.cpu.set_reg(EAX, selector)
    stop = lab.run(code)
    assert (stop.vector, stop.error) == (vector, error)
    assert (lab.sel(TR), lab.sel(LDTR)) == (MAIN_TSS, LDT_SEL)


def test_ltr_and_lldt_are_privileged_and_protected(lab: Lab) -> None:
    for code in (b"\x0f\x00\xd8", b"\x0f\x00\xd0"):
        stop = lab.ring(3).run(code)
        assert (stop.vector, stop.error) == (GP, 0)
    for code in (b"\x0f\x00\xd8", b"\x0f\x00\xd0", b"\x0f\x00\xc8"):
        assert lab.ring(0).real_mode().run(code, bits=16).vector == UD

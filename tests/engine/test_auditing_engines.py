"""Engines that audit: they stop before what ring 3 would get wrong; and the parts for trap mode."""

from __future__ import annotations

import pytest
from engine_lab import CEILING, CODE, DATA, FREE, PF, SEGMENTS, SELECTORS, Lab, assemble
from stopped import stopped
from watched import watch

from bt.contract import (
    EXIT_BREAKPOINT,
    EXIT_BUDGET,
    EXIT_EXCEPTION,
    EXIT_SOFTINT,
    PERM_EXEC,
)
from bt.instruction import WRONG_IN_RING3, Class, Instruction
from bt.table import TABLE

pytestmark = pytest.mark.engine("audits")

PLACE = 0x500000


def test_stepping_past_a_stop(lab: Lab) -> None:
    lab.program("inc eax; inc ebx; inc ecx")
    lab.engine.set_stops([CODE + 1, CODE + 2])
    stopped(lab, CODE + 1, 1)
    ebx = lab.reg("ebx")
    assert lab.engine.step_past() == EXIT_BUDGET
    lab.engine.give_registers(lab.ideal)
    assert (lab.ideal.eip, lab.reg("ebx"), lab.engine.icount()) == (CODE + 2, ebx + 1, 2)
    lab.engine.set_icount(70)
    assert lab.engine.step_past() == EXIT_BUDGET
    assert lab.engine.icount() == 71


def test_stepping_into_a_fault(lab: Lab) -> None:
    lab.program("mov eax, [0x24000]")
    lab.engine.set_stops([CODE])
    stopped(lab, CODE, 0)
    assert lab.engine.step_past() == EXIT_EXCEPTION
    exit_ = lab.left(EXIT_EXCEPTION, 1)
    assert (exit_.vector, exit_.eip, exit_.count) == (PF, CODE, 0)


CRITICAL = [row for row in TABLE if row.sensitivity is Class.CRITICAL]


NINE = [row for row in CRITICAL if row.mnemonic in WRONG_IN_RING3]


FRAME = 0  # of CODE


def encode(row: Instruction) -> bytes:
    """The instruction on EAX, or on memory at DATA where it has no register form."""
    code = row.lead + bytes([row.byte])
    memory = row.operands.endswith(("M", "Mp")) or "M" in row.operands
    if row.extension is not None or any(letter in row.operands for letter in "EGMS"):
        reg = (row.extension or 0) << 3
        code += bytes([0x05 | reg]) + DATA.to_bytes(4, "little") if memory else bytes([0xC0 | reg])
    return code + bytes(8)


def identify(rows: list[Instruction]) -> list[str]:
    return [f"{row.opcode} {row.mnemonic}" for row in rows]


@pytest.mark.parametrize("row", CRITICAL, ids=identify(CRITICAL))
def test_audit_all_stops_at_every_critical_instruction(lab: Lab, row: Instruction) -> None:
    lab.engine.audit_all = 1
    lab.program(b"\x90" + encode(row))
    stopped(lab, CODE + 1, 1)
    stopped(lab, CODE + 1, 1)  # and again, until it is stepped past


def test_audit_of_a_frame(lab: Lab) -> None:
    """The nine stop there, the other critical ones do not, and in other frames nothing does."""
    lab.map(PLACE, FREE, PERM_EXEC)
    lab.frames.audit(FREE, True)
    assert len(NINE) >= 9
    for row in NINE:
        lab.write(FREE << 12, b"\x90" + encode(row))
        lab.set(eip=PLACE)
        stopped(lab, PLACE + 1, lab.count + 1)
        lab.program(b"\x90" + encode(row))
        assert lab.run(1).reason == EXIT_BUDGET
        assert lab.run(1).reason != EXIT_BREAKPOINT
    for code in ("pushfd", "push ds", "mov eax, cs"):
        lab.write(FREE << 12, assemble(code))
        lab.set(eip=PLACE)
        assert lab.run(1).reason == EXIT_BUDGET


def test_an_audit_finds_instructions_not_bytes(lab: Lab) -> None:
    lab.frames.audit(FRAME, True)
    end = lab.program(b"\xb8\x0f\x01\xe0\x00\x90")  # mov eax, 0x00e0010f: SMSW in the immediate
    exit_ = lab.run()
    assert (exit_.reason, exit_.eip) == (EXIT_SOFTINT, end)
    lab.set(eip=CODE + 1)
    stopped(lab, CODE + 1, lab.count)


def test_an_audit_ends(lab: Lab) -> None:
    lab.frames.audit(FRAME, True)
    lab.program("nop; smsw eax")
    stopped(lab, CODE + 1, 1)
    lab.frames.audit(FRAME, False)
    lab.frames.forget_blocks()
    assert lab.run(1).reason == EXIT_BUDGET


def test_an_audit_begins_for_code_that_has_run(lab: Lab) -> None:
    lab.program("nop; smsw eax")
    assert lab.run(2).reason == EXIT_BUDGET
    lab.frames.audit(FRAME, True)
    lab.frames.written(FRAME << 12, 0x1000)
    lab.set(eip=CODE)
    stopped(lab, CODE + 1, 3)


def test_an_audited_frame_at_another_address(lab: Lab) -> None:
    lab.frames.audit(FREE, True)
    lab.write(FREE << 12, assemble("smsw eax"))
    for la in (PLACE, PLACE + 0x1000):
        lab.map(la, FREE, PERM_EXEC)
        lab.set(eip=la)
        stopped(lab, la, 0)


@pytest.mark.parametrize("audited", [FREE, FREE + 1])
def test_an_audited_instruction_in_two_frames(lab: Lab, audited: int) -> None:
    lab.frames.audit(audited, True)
    lab.map(PLACE, FREE, PERM_EXEC)
    lab.map(PLACE + 0x1000, FREE + 1, PERM_EXEC)
    for before in (1, 2):
        code = assemble("smsw eax")
        lab.write((FREE + 1 << 12) - before, code[:before])
        lab.write(FREE + 1 << 12, code[before:])
        lab.set(eip=PLACE + 0x1000 - before)
        stopped(lab, PLACE + 0x1000 - before, 0)


def test_stepping_past_an_audit_gives_ring_3s_answer(lab: Lab) -> None:
    lab.engine.audit_all = 1
    lab.program("pushfd; pop eax; nop")
    lab.set(flags=0x2)
    stopped(lab, CODE, 0)
    assert lab.engine.step_past() == EXIT_BUDGET
    lab.engine.give_registers(lab.ideal)
    assert lab.dword(lab.reg("esp")) == 0x202


def test_a_stop_does_not_let_audits_pass(lab: Lab) -> None:
    """Neither at the stop's own instruction, nor at the one where the next run begins."""
    lab.frames.audit(FRAME, True)
    lab.program("smsw eax; smsw ebx; nop")
    lab.engine.set_stops([CODE, CODE + 6])
    stopped(lab, CODE, 0)
    stopped(lab, CODE, 0)
    lab.set(eip=CODE + 3)
    stopped(lab, CODE + 3, 0)


def test_the_parts_make_the_whole(lab: Lab) -> None:
    end = lab.program("add eax, 5; nop")
    lab.set(eax=1)
    lab.engine.load_direct(lab.ideal, CEILING, 40)
    assert lab.ideal.eip == CODE
    assert lab.engine.run(100) == EXIT_SOFTINT
    assert lab.ideal.eip == CODE and lab.reg("eax") == 1, "not before they are given back"
    lab.engine.give_registers(lab.ideal)
    assert (lab.ideal.eip, lab.reg("eax")) == (end, 6)
    assert lab.engine.icount() == 42 or not lab.exact


def test_compressed_rings(lab: Lab) -> None:
    """A kernel in ring 3 sees RPL 3 in CS and SS; nowhere else, and its own stay as they are."""
    selectors = {name: SELECTORS[name] & ~3 for name in SEGMENTS}
    for name, selector in selectors.items():
        lab.segment(name, selector=selector)
    before = [tuple(lab.ideal.segment(i)) for i in range(6)]
    lab.program("mov eax, cs; mov ebx, ss; mov ecx, ds")
    lab.engine.load_direct(lab.ideal, CEILING, 0)
    lab.engine.compress_rings()
    assert lab.engine.run(100) == EXIT_SOFTINT
    lab.engine.give_registers(lab.ideal)
    seen = [lab.reg(name) & 0xFFFF for name in ("eax", "ebx", "ecx")]
    assert seen == [selectors["cs"] | 3, selectors["ss"] | 3, selectors["ds"]]
    assert lab.engine.give_null_segments(lab.ideal) == 0
    assert [tuple(lab.ideal.segment(i)) for i in range(6)] == before


def test_step_past_lets_one_instruction_through(lab: Lab) -> None:
    watch(lab, (DATA, DATA + 3))
    lab.program(f"mov dword ptr [{DATA}], 5; mov dword ptr [{DATA}], 6")
    assert lab.run().reason == EXIT_EXCEPTION
    lab.engine.load_direct(lab.ideal, 0xFFFFFFFF, lab.count)
    assert lab.engine.step_past(watchpoints=True) == EXIT_BUDGET
    lab.engine.give_registers(lab.ideal)
    assert lab.dword(DATA) == 5
    assert lab.run().reason == EXIT_EXCEPTION
    assert lab.dword(DATA) == 5

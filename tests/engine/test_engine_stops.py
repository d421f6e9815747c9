"""Stops before an address, and audits: stops before instructions that ring 3 would get wrong."""

from __future__ import annotations

import pytest
from engine_lab import CODE, DATA, FREE, PF, Lab, assemble

from bt.contract import (
    EXIT_BREAKPOINT,
    EXIT_BUDGET,
    EXIT_EXCEPTION,
    EXIT_SOFTINT,
    MAX_STOPS,
    PERM_EXEC,
)
from bt.instruction import WRONG_IN_RING3, Class, Instruction
from bt.table import TABLE

NOPS = b"\x90" * 8
PLACE = 0x500000


def stopped(lab: Lab, address: int, count: int, budget: int = 1000) -> None:
    exit_ = lab.run(budget)
    assert (exit_.reason, exit_.eip, exit_.count) == (EXIT_BREAKPOINT, address, count)
    assert lab.engine.exit_arg == lab.ideal.segment(1)[1] + address


def test_a_stop_is_before_the_instruction(lab: Lab) -> None:
    lab.program("inc eax; inc eax; mov eax, [0x24000]")
    lab.engine.set_stops([CODE + 2])
    lab.set(eax=5)
    stopped(lab, CODE + 2, 2)
    assert lab.reg("eax") == 7
    exit_ = lab.run()
    assert (exit_.vector, exit_.count) == (PF, 2), "it is passed, and has its fault"


def test_running_on_passes_the_stop_once(lab: Lab) -> None:
    lab.program("top: inc eax; dec ecx; jnz top")
    lab.engine.set_stops([CODE + 1])
    lab.set(ecx=3)
    for turn in range(3):
        stopped(lab, CODE + 1, 3 * turn + 1)
    assert lab.run().reason == EXIT_SOFTINT


def test_a_stop_at_the_first_instruction(lab: Lab) -> None:
    lab.program(NOPS)
    lab.engine.set_stops([CODE])
    stopped(lab, CODE, 0)
    assert lab.run(0).reason == EXIT_BUDGET


def test_stops_next_to_each_other(lab: Lab) -> None:
    lab.program(NOPS)
    stops = [CODE + 1, CODE + 2, CODE + 3, CODE + 7]
    lab.engine.set_stops(stops)
    for stop in stops:
        stopped(lab, stop, stop - CODE)
    assert lab.run().count == 8


def test_only_the_stop_that_was_told_is_passed(lab: Lab) -> None:
    """Not whatever instruction comes first in the next run."""
    lab.program(NOPS)
    lab.engine.set_stops([CODE + 1, CODE + 5])
    stopped(lab, CODE + 1, 1)
    lab.set(eip=CODE + 5)
    stopped(lab, CODE + 5, 1)


def test_a_budget_that_ends_at_a_stop(lab: Lab) -> None:
    lab.program(NOPS)
    lab.engine.set_stops([CODE + 3])
    assert lab.run(3).reason == EXIT_BUDGET
    stopped(lab, CODE + 3, 3)


def test_stops_are_replaced_and_hold_for_code_that_has_run(lab: Lab) -> None:
    lab.finish(NOPS)
    for stops in ([CODE + 4], [CODE + 2], [CODE + 2, CODE + 4]):
        lab.engine.set_stops(stops)
        lab.set(eip=CODE)
        stopped(lab, stops[0], lab.count + stops[0] - CODE)
    lab.engine.set_stops([])
    lab.finish(NOPS)


def test_stops_are_linear_addresses(lab: Lab) -> None:
    lab.program(NOPS)
    lab.segment("cs", CODE, 0xFFF, 0x40FB)
    lab.engine.set_stops([CODE + 6])
    lab.set(eip=0)
    stopped(lab, 6, 6)


def test_a_stop_behind_an_instructions_first_byte_is_none(lab: Lab) -> None:
    lab.engine.set_stops([CODE + 1])
    lab.finish("mov eax, 1")


def test_as_many_stops_as_promised(lab: Lab) -> None:
    lab.program(b"\x90" * (2 * MAX_STOPS + 8))
    stops = [CODE + 2 * i + 1 for i in range(MAX_STOPS)]
    lab.engine.set_stops(stops)
    for stop in stops:
        stopped(lab, stop, stop - CODE)
    with pytest.raises(ValueError, match="256"):
        lab.engine.set_stops([*stops, 5])


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
    assert (lab.engine.fault_vector, lab.engine.eip, lab.engine.icount()) == (PF, CODE, 0)


# --- audits -------------------------------------------------------------------------------------

CRITICAL = [row for row in TABLE if row.sensitivity is Class.CRITICAL]
NINE = [row for row in CRITICAL if row.mnemonic in WRONG_IN_RING3]
FRAME = 0  # of CODE


def encode(row: Instruction) -> bytes:
    """The instruction on EAX, or on memory at DATA where it has no register form."""
    code = (b"\x0f" if row.two_byte else b"") + bytes([row.byte])
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

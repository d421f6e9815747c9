"""A handler whose first instruction faults: no instruction completes any more; nothing hangs."""

from __future__ import annotations

import pytest
from patience import PATIENCE

from bt.assembler import assemble
from bt.interp.loop import MANY_DELIVERIES
from bt.interp.state import EXIT_BUDGET
from monitor import Machine
from monitor.settings.machine import MODES

ORIGIN, HANDLER = 0x7C00, 0x8000
UD = 6


@pytest.mark.parametrize("mode", MODES)
def test_it_can_be_stopped(mode: str) -> None:
    """In real mode, with a stack of its own that wraps: it would go on till the end of days.

    No budget is ever used up, so the processor has to come back by itself.
    """
    machine = Machine(memory_mb=1, mode=mode)
    machine.write_physical(4 * UD, HANDLER.to_bytes(4, "little"))
    machine.write_physical(HANDLER, b"\x0f\x0b")  # UD2
    code = assemble("mov ax, 0x2000; mov ss, ax; ud2", ORIGIN, bits=16)
    machine.load_flat(code, ORIGIN, real_mode=True)
    turns = []

    def look() -> None:
        turns.append(machine.registers["esp"])
        if len(turns) == 5:
            machine.stop()

    machine.loop.on_turn = look
    outcome = machine.run(timeout=PATIENCE)
    assert outcome.kind == "stopped"
    assert (machine.instructions, machine.registers["eip"]) == (2, HANDLER)
    assert len(set(turns)) == 5, "it goes on, the stack says so"


def test_one_that_faults_often_is_left_alone() -> None:
    """It is a run without end that is cut, not the sum of many."""
    machine = Machine(memory_mb=1, mode="bare")
    machine.write_physical(4 * UD, HANDLER.to_bytes(4, "little"))
    machine.write_physical(HANDLER, assemble(f"jmp {ORIGIN}", HANDLER, bits=16))
    machine.load_flat(b"\x0f\x0b", ORIGIN, real_mode=True, registers={"ss": 0x2000})
    cpu = machine.processor.ideal
    assert {cpu.run(1) for _ in range(MANY_DELIVERIES + 10)} == {EXIT_BUDGET}
    assert cpu.icount() == MANY_DELIVERIES + 10

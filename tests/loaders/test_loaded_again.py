"""A machine that is loaded again runs the new guest, not what was made of the old one's code."""

from __future__ import annotations

import pytest
from patience import PATIENCE

from bt.assembler import assemble
from monitor import Machine
from monitor.config import MODES

ORIGIN = 0x100000


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ran", [0, 2, 200])
def test_the_new_code_is_run(mode: str, ran: int) -> None:
    machine = Machine(memory_mb=2, mode=mode)
    for value in (1, 2, 3):
        code = assemble(f"again:\n mov eax, {value}\n jmp again", ORIGIN)
        machine.load_flat(code, ORIGIN)
        if ran:
            machine.run(max_instructions=ran, timeout=PATIENCE)
            assert machine.registers["eax"] == value


def test_the_first_guest_costs_no_flush() -> None:
    machine = Machine(memory_mb=2, mode="translate")
    machine.load_flat(b"\xf4", ORIGIN)
    statistics = machine.statistics()
    assert statistics["tc"]["flushes"] == statistics["decoder"]["flushes"] == 0

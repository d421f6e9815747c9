"""A machine that is loaded again runs the new guest, not what was made of the old one's code."""

from __future__ import annotations

import pytest
from patience import PATIENCE

from bt.assembler import assemble
from monitor import Machine
from monitor.settings.machine import MODES

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


@pytest.mark.parametrize("mode", MODES)
def test_a_machine_whose_guest_has_ended_runs_the_new_one(mode: str) -> None:
    machine = Machine(memory_mb=2, mode=mode)
    for status in (1, 2):
        code = assemble(f"mov al, {status}; out 0xf4, al; l: jmp l", ORIGIN)
        machine.load_flat(code, ORIGIN)
        assert machine.run(timeout=PATIENCE).status == 2 * status + 1
    assert machine.instructions == 4
    machine.load_flat(assemble("cli; hlt", ORIGIN), ORIGIN)
    assert machine.run(timeout=PATIENCE).kind == "stuck"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("again", ["load", "reset"])
def test_a_hypercall_of_the_old_guest_is_not_answered(mode: str, again: str) -> None:
    machine = Machine(memory_mb=2, mode=mode)
    machine.enable("X86_VMWARE_HYPERCALL", "all")
    machine.load_flat(assemble("mov eax, 7; vmcall", ORIGIN), ORIGIN)
    assert machine.run(timeout=PATIENCE).kind == "vmware"
    if again == "load":
        machine.load_flat(assemble("hlt", ORIGIN), ORIGIN, registers={"eax": 5})
    else:
        machine.reset()
        machine.roms.add(0xFF000, b"\xf4" * 0x1000)
        machine.set_register("cs", 0xF000)  # base F0000, as there is nothing at the top
    before = machine.registers
    assert machine.vmware.exit is None
    assert machine.run(timeout=PATIENCE).kind == "stuck"
    assert machine.registers == before | {"eip": before["eip"] + 1}
    assert machine.instructions == 2


def test_the_first_guest_costs_no_flush() -> None:
    machine = Machine(memory_mb=2, mode="translate")
    machine.load_flat(b"\xf4", ORIGIN)
    statistics = machine.statistics()
    assert statistics["tc"]["flushes"] == statistics["decoder"]["flushes"] == 0

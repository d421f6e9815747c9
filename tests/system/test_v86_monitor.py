"""A guest's own monitor runs a program in virtual-8086 mode, in every mode of ours."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from patience import PATIENCE
from v86_guest import EXPECTED, OUTS, REMAPPED, log, make, traps

from monitor import Machine

MODES = ("bare", "translate", "trap")
MOST = 500_000
EMULATED = {0x9C: 10, 0x9D: 4, 0xCD: 2, 0xCF: 13, 0xE4: 1, 0xE6: 2, 0xEC: 1, 0xEE: 1, 0xF4: 1,
            0xFA: 3, 0xFB: 2}  # fmt: skip


def ended(machine: Machine) -> Machine:
    outcome = machine.run(max_instructions=MOST, timeout=PATIENCE)
    assert (outcome.kind, outcome.status) == ("exit", 1), outcome
    return machine


def life(machine: Machine) -> tuple[Any, ...]:
    """All that is to be the same."""
    memory = hashlib.sha256(machine.memory.map()).hexdigest()
    return (machine.registers, machine.instructions, machine.clock.now(), memory,
            machine.board.snapshot())  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_the_program_sees_a_processor_of_its_own(mode: str) -> None:
    machine = ended(make(mode))
    seen = dict(enumerate(log(machine, len(EXPECTED))))
    assert seen == EXPECTED
    assert traps(machine) == EMULATED
    assert machine.debug_console == b"V8"
    assert machine.read_physical(OUTS + 0x61, 1) == b"\x99"
    assert machine.devices["port61"].snapshot() == Machine(memory_mb=1).devices["port61"].snapshot()
    assert machine.read_physical(REMAPPED, 2) == b"\xef\xbe"


def test_every_mode_is_the_same_life() -> None:
    lives = [life(ended(make(mode))) for mode in MODES]
    assert lives[0] == lives[1] == lives[2]


@pytest.mark.parametrize("mode", MODES[:2])
def test_it_goes_on_from_wherever_it_is_put_aside(mode: str) -> None:
    whole = ended(make(mode))
    machine = make(mode)
    for part in range(1, 12):
        aim = whole.instructions * part // 12
        machine.run(max_instructions=aim - machine.instructions)
        other = {"bare": "translate", "translate": "bare"}[machine.mode]
        machine = Machine.restore(machine.snapshot(), mode=other)
    assert life(ended(machine)) == life(whole)


def test_a_stretch_without_traps_costs_no_exits() -> None:
    """An exit for each trap and tick, and none for each instruction."""
    program = "cli; mov cx, 0xffff; again: ; loop again; int 0x20"
    machine = ended(make("translate", program))
    statistics = machine.statistics()
    assert statistics["by_kind"]["emulated"] > 0xffff
    assert sum(statistics["exits"].values()) < 100

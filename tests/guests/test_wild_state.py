"""A random world goes on in another processor as if nothing had been, from wherever it is saved."""

from __future__ import annotations

import random
from typing import Any

import pytest
import wild

from bt.engine import BUILD, Interp, Ram
from bt.interp.state import EXIT_BUDGET, EXIT_HALT, EXIT_IO

SIZE = wild.MEMORY_MB << 20
TURNS = 60
SEEDS = range(1, 201 if BUILD == "compiled" else 9)


class Side:
    """A processor over memory of its own, on a bus that answers by place and time."""

    def __init__(self, memory: bytes, state: dict[str, int]) -> None:
        self.memory = bytearray(memory)
        self.cpu: Any = Interp(Ram(self.memory, SIZE, 1 << 13), self)
        self.cpu.load_state(state)
        self.stays = False  # is at one instruction for ever: a REP, or an exception in its delivery

    def read_port(self, port: int, size: int) -> int:
        return (port * 0x10001 + self.cpu.io_icount) & (1 << 8 * size) - 1

    def write_port(self, port: int, size: int, value: int) -> None:
        if value & 1:
            self.cpu.recheck = 1

    def read_memory(self, address: int, size: int) -> int:
        return (1 << 8 * size) - 1

    def write_memory(self, address: int, size: int, value: int) -> None:
        pass

    def live(self, length: int, vector: int) -> dict[str, int]:
        """So many instructions, then an interrupt if it can be taken; the state after it."""
        cpu = self.cpu
        end = cpu.icount() + length
        for _ in range(40):
            reason = cpu.run(end - cpu.icount())
            if reason not in (EXIT_IO, EXIT_BUDGET, EXIT_HALT) or cpu.icount() == end:
                break
        else:
            self.stays = True
        if cpu.interruptible():
            cpu.interrupt(vector)
        return dict(cpu.save_state())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_saved_world_goes_on_in_another_processor(seed: int) -> None:
    dice = random.Random(seed)
    machine = wild.make_world(seed)("bare")
    memory = bytes(machine.memory.map())
    one = Side(memory, machine.processor.ideal.save_state())
    for _ in range(dice.randrange(TURNS)):
        one.live(dice.randrange(1, 60), dice.randrange(0x20, 0x30))
    other = Side(bytes(one.memory), one.cpu.save_state())
    one.cpu.flush()  # a translation that outlives its entry in the tables is not part of the state
    for _ in range(TURNS):
        turn = dice.randrange(1, 60), dice.randrange(0x20, 0x30)
        here, there = one.live(*turn), other.live(*turn)
        if here["rep_under_way"] or one.stays:
            return  # within an instruction, for ever: when a turn ends there is the host's affair
        assert here == there
    assert one.memory == other.memory

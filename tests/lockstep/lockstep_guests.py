"""Small guests for the lockstep checker, and machines that go wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable

from monitor.lockstep.pair import MakeMachine
from monitor.machine import Machine
from monitor.vmm.outcome import Outcome

START = 0x10000
STORE = 0x5000
# loop: mov [STORE], eax; inc eax; add ebx, eax; jmp loop
COUNTER = bytes.fromhex("a300500000 40 01c3 ebf6")
LOOP = 4  # instructions
OTHER = "translate"


def load(machine: Machine) -> Machine:
    machine.load_flat(COUNTER, START, esp=0x8000)
    return machine


def counter(mode: str) -> Machine:
    """Counts for ever."""
    return load(Machine(memory_mb=1, mode=mode))


class Altered(Machine):
    """A machine to which something happens after `at` guest instructions.

    `needs`: only in a run at least that long, as with a fault of the monitor's that depends on
    what is chained; `runs`: only in a machine whose life was cut into so many runs.
    """

    at = 0
    needs = 0
    runs = 0
    begun = 0  # runs

    @staticmethod
    def alter(machine: Machine) -> None:
        """What happens."""

    def run(
        self,
        until: str | bytes | None = None,
        timeout: float | None = None,
        max_instructions: int | None = None,
        until_address: int | None = None,
    ) -> Outcome:
        assert max_instructions is not None
        self.begun += 1
        before = self.at - self.processor.count()
        long_enough = max_instructions >= self.needs and self.begun >= self.runs
        if long_enough and 0 < before <= max_instructions:
            super().run(max_instructions=before)
            self.alter(self)
            max_instructions -= before
        return super().run(until, timeout, max_instructions, until_address)


def altered(
    at: int, alter: Callable[[Machine], None], needs: int = 0, runs: int = 0
) -> MakeMachine:
    """The counter, right in mode bare, altered in the other."""

    def make(mode: str) -> Machine:
        if mode != OTHER:
            return counter(mode)
        machine = Altered(memory_mb=1, mode=mode)
        machine.at, machine.needs, machine.runs = at, needs, runs
        machine.alter = alter  # type: ignore[method-assign]
        return load(machine)

    return make

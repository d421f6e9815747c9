"""The profile of a workload: how many instructions of which class it runs, and its exceptions.

The bare machine goes through the loop one instruction at a time, and each is looked up in the
instruction table. Two loops of few rounds are enough: what one has more than the other is a round,
and a loop of any length is the first and so many rounds. A workload whose rounds differ is noticed,
because the profile's instructions must be those that the bare machine counted.

An exception completes no instruction: a step that ends before another instruction, a handler's,
with the same count as before was one. What comes before the loop (paging, descriptors) counts as
simple.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bt.lengths import LONGEST, locate
from monitor.bench.classes import SIMPLE, class_of
from monitor.bench.rows import Setup, Workload
from monitor.bench.runner import loaded
from monitor.machine import Machine
from monitor.vmm.errors import MonitorBug, UserError

FEW, MORE = 1, 3
EXCEPTIONS = "exceptions"
PAGE = 4096


@dataclass(frozen=True)
class Profile:
    """Instructions by class, and exceptions through the guest's own gates."""

    classes: Mapping[str, int]
    exceptions: int = 0

    @property
    def instructions(self) -> int:
        """All of them."""
        return sum(self.classes.values())


class UnevenError(MonitorBug):
    """The rounds of a workload differ in what they execute."""


@dataclass(frozen=True)
class Rounds:
    """What two loops of few rounds run: from them follows what one of any length does."""

    few: Mapping[str, int]
    more: Mapping[str, int]

    def profile(self, rounds: int) -> Profile:
        """Of so many rounds."""
        names = sorted({*self.few, *self.more})
        total = {
            name: self.few.get(name, 0) + self._in_a_round(name) * (rounds - FEW) for name in names
        }
        return Profile({name: n for name, n in total.items() if n and name != EXCEPTIONS},
                       total.get(EXCEPTIONS, 0))  # fmt: skip

    def _in_a_round(self, name: str) -> int:
        return (self.more.get(name, 0) - self.few.get(name, 0)) // (MORE - FEW)


def profile(make: Callable[[int], Workload], rounds: int) -> Profile:
    """Of the workload that `make` makes for a number of rounds."""
    return rounds_of(make).profile(rounds)


def rounds_of(make: Callable[[int], Workload], most: int | None = None) -> Rounds:
    """Steps through few rounds and some more. UnevenError where they differ, or where the loop has
    not come to its end after `most` instructions."""
    few, more = (_stepped(make(rounds), most) for rounds in (FEW, MORE))
    for name in sorted({*few, *more}):
        if (more[name] - few[name]) % (MORE - FEW):
            raise UnevenError(f"workload {make(FEW).name}: its rounds differ in {name}")
    return Rounds(few, more)


def _stepped(workload: Workload, most: int | None) -> Counter[str]:
    machine = loaded(workload, Setup("bare"))
    for address in workload.handlers:
        machine.debug.add_breakpoint(address)
    machine.run(until_address=workload.body)
    processor = machine.processor
    counts: Counter[str] = Counter({SIMPLE: processor.count()})
    kinds: dict[int, str] = {}  # by address: no guest changes the class of its code
    at, done = int(processor.ideal.eip), processor.count()
    while True:
        if at not in kinds:
            kinds[at] = _class_at(machine, at)
        kind, before, begun = kinds[at], done, at
        ended = machine.step().kind
        processor.sync()
        at, done = int(processor.ideal.eip), processor.count()
        if done > before:
            counts[kind] += 1
        elif at != begun:
            counts[EXCEPTIONS] += 1
        if ended not in ("instructions", "address"):
            return counts
        if most is not None and done > most:
            raise UnevenError(f"workload {workload.name}: its rounds do not end")


def _class_at(machine: Machine, at: int) -> str:
    found = locate(_code_at(machine, at), 0, 32)
    if found is None or found.row is None:
        raise MonitorBug(f"no instruction at {at:#x} to profile\n{machine.debug.where()}")
    return class_of(found.row)


def _code_at(machine: Machine, at: int) -> bytes:
    """As many bytes as an instruction may have, or as there are on its page."""
    try:
        return machine.read_memory(at, LONGEST)
    except UserError:
        return machine.read_memory(at, PAGE - at % PAGE)

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
from monitor.errors import MonitorBug
from monitor.machine import Machine

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


def profile(make: Callable[[int], Workload], rounds: int) -> Profile:
    """Of the workload that `make` makes for a number of rounds."""
    if rounds <= MORE:
        return _profile(_stepped(make(rounds)))
    few, more = _stepped(make(FEW)), _stepped(make(MORE))
    total: Counter[str] = Counter()
    for name in {*few, *more}:
        in_a_round, left = divmod(more[name] - few[name], MORE - FEW)
        if left:
            raise MonitorBug(f"workload {make(FEW).name}: its rounds differ in {name}")
        total[name] = few[name] + in_a_round * (rounds - FEW)
    return _profile(total)


def _profile(counts: Counter[str]) -> Profile:
    classes = {name: n for name, n in sorted(counts.items()) if n and name != EXCEPTIONS}
    return Profile(classes, counts[EXCEPTIONS])


def _stepped(workload: Workload) -> Counter[str]:
    machine = loaded(workload, Setup("bare"))
    for address in workload.handlers:
        machine.add_breakpoint(address)
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


def _class_at(machine: Machine, at: int) -> str:
    found = locate(machine.read_memory(at, min(LONGEST, PAGE - at % PAGE)), 0, 32)
    if found is None or found.row is None:
        raise MonitorBug(f"no instruction at {at:#x} to profile\n{machine.where()}")
    return class_of(found.row)

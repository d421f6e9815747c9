"""What one operation costs each machine, measured in turn.

A long run less a short one, each the least of several, so that what is paid once for a command
cancels out. Exits are those of the last turn, when all code has long been translated.

The guest's timer goes on meanwhile, so many guest instructions apart. Its interrupts are part of
the time, as they are in any system; but they are nobody's crossing, so what they exit is taken off
an operation's exits: so many for one, as counted while a program crosses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.crossings.machine import Guest, Spent
from benchmarks.crossings.operations import NOTHING, Operation
from benchmarks.timing import BenchmarkError

FLUSHES, FILLS = "flushes", "shadow fill"
Counts = Mapping[str, float]  # exits and flushes, by kind


@dataclass(frozen=True)
class Cost:
    """What one operation costs one machine; `exits` by kind, fills among them.

    `interrupts` of the timer are in its seconds, far less than one.
    """

    seconds: float
    exits: Counts = field(default_factory=dict)
    flushes: float = 0.0
    interrupts: float = 0.0


@dataclass
class Runs:
    """The runs of one operation by one machine."""

    operation: Operation
    few: list[Spent] = field(default_factory=list)
    many: list[Spent] = field(default_factory=list)

    def add(self, guest: Guest) -> None:
        """A short run and a long one."""
        self.few.append(guest.do(self.operation.command, self.operation.few))
        self.many.append(guest.do(self.operation.command, self.operation.rounds))

    def seconds(self) -> float:
        """For one operation."""
        least = [min(run.seconds for run in runs) for runs in (self.few, self.many)]
        if least[1] <= least[0]:
            raise BenchmarkError(f"{self.operation.command}: time was too short to be measured")
        return (least[1] - least[0]) / self._rounds

    def counts(self, of_interrupt: Counts) -> Counts:
        """Exits and flushes for one operation, without those of the timer's interrupts."""
        times = self.interrupts()
        return {
            kind: (total - times * of_interrupt.get(kind, 0.0)) / self._rounds
            for kind, total in self._more().items()
        }

    def of_interrupt(self) -> Counts:
        """Exits for one of the timer's interrupts, of a run that does nothing else."""
        times = self.interrupts()
        return {kind: total / times for kind, total in self._more().items()} if times else {}

    def interrupts(self) -> int:
        """How many more the long run had."""
        return self.many[-1].counts.interrupts - self.few[-1].counts.interrupts

    def _more(self) -> dict[str, int]:
        """Exits and flushes that the long run had more."""
        few, many = self.few[-1], self.many[-1]
        kinds = {**few.counts.exits, **many.counts.exits}
        more = {kind: many.counts.exits.get(kind, 0) - few.counts.exits.get(kind, 0)
                for kind in kinds}  # fmt: skip
        return {**more, FLUSHES: many.flushes - few.flushes}

    @property
    def _rounds(self) -> int:
        return self.operation.rounds - self.operation.few


class Race:
    """Results of several machines, which meet each operation in turn."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.operations = (NOTHING, *operations)
        self.boots: dict[str, list[float]] = {}
        self._runs: dict[tuple[str, str], Runs] = {}

    def enter(self, guests: Sequence[Guest], turns: int) -> None:
        """Let these machines go through all operations so many times."""
        for guest in guests:
            self.boots.setdefault(guest.name, []).append(guest.boot.seconds)
        _agree("the boot", [guest.boot for guest in guests])
        for _ in range(turns):
            for operation in self.operations:
                runs = [self._of(guest.name, operation) for guest in guests]
                for guest, each in zip(guests, runs, strict=True):
                    each.add(guest)
                _agree(operation.command, [each.many[-1] for each in runs])

    def boot(self, name: str) -> float:
        """The quickest boot of a machine, in seconds."""
        return min(self.boots[name])

    def cost(self, name: str, operation: Operation) -> Cost:
        """What one operation costs the machine with this name."""
        runs = self._runs[name, operation.command]
        counts = dict(runs.counts(self.of_interrupt(name)))
        flushes = counts.pop(FLUSHES)
        interrupts = runs.interrupts() / (operation.rounds - operation.few)
        return Cost(runs.seconds(), counts, flushes, interrupts)

    def of_interrupt(self, name: str) -> Counts:
        """Exits for one of the timer's interrupts."""
        return self._runs[name, NOTHING.command].of_interrupt()

    def more_for_interrupt(self, name: str, than: str) -> float:
        """Seconds more that one machine takes for an interrupt of the timer than the other."""
        runs = self._runs[name, NOTHING.command]
        more = runs.seconds() - self._runs[than, NOTHING.command].seconds()
        times = runs.interrupts()
        return more * (NOTHING.rounds - NOTHING.few) / times if times else 0.0

    def _of(self, name: str, operation: Operation) -> Runs:
        return self._runs.setdefault((name, operation.command), Runs(operation))


def _agree(what: str, spent: Sequence[Spent]) -> None:
    """Ours live the same life, in whatever mode; others do not count."""
    instructions = {each.counts.instructions for each in spent} - {0}
    if len(instructions) > 1:
        raise BenchmarkError(f"{what}: the modes ran different numbers of instructions")

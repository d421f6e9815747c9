"""Runs workloads in setups and makes rows of it, with the cost model's cycles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from monitor.bench.model import Model
from monitor.bench.profile import Profile, profile
from monitor.bench.rows import BARE, TRANSLATE, Row, Setup, Tell, Workload, silence
from monitor.bench.runner import engine_instructions, execute
from monitor.vmm.errors import MonitorBug


@dataclass(frozen=True)
class Source:
    """A workload for any number of rounds."""

    name: str
    make: Callable[[int], Workload]


@dataclass(frozen=True)
class SuitePlan:
    """What to run, and how often. A repetition runs everything once, so that a slow minute of the
    host meets all rows alike."""

    sources: Sequence[Source]
    setups: Sequence[Setup]
    rounds: int
    repetitions: int
    model: Model

    @property
    def size(self) -> int:
        """Rows that it comes to."""
        return len(self.sources) * len(self.setups) * self.repetitions

    def measure(self, tell: Tell = silence) -> Iterator[Row]:
        """Every row of the plan, as it is done."""
        tell("profiles")
        profiles = {source.name: profile(source.make, self.rounds) for source in self.sources}
        engines: dict[tuple[str, Setup], int] = {}
        for repetition in range(1, self.repetitions + 1):
            for source in self.sources:
                workload = source.make(self.rounds)
                for setup in self.setups:
                    tell(f"{source.name}, {setup}")
                    row = _measured(workload, setup, repetition, profiles[source.name], self.model)
                    key = source.name, setup
                    if key not in engines:
                        engines[key] = _executed(workload, row)
                    yield replace(row, engine=engines[key])


def _executed(workload: Workload, row: Row) -> int:
    """By engine and ideal processor. Where nothing is translated that is what the guest did."""
    if row.setup.mode != TRANSLATE.mode:
        return row.counts.instructions
    return engine_instructions(workload, row.setup)


def _measured(
    workload: Workload, setup: Setup, repetition: int, known: Profile, model: Model
) -> Row:
    counts, seconds, ended = execute(workload, setup)
    if setup == BARE and counts.instructions != known.instructions:
        raise MonitorBug(f"workload {workload.name}: its profile has {known.instructions} "
                         f"instructions, and the bare machine counted {counts.instructions}")
    cycles, parts = model.estimate(counts, known)
    return Row(workload.name, setup, workload.rounds, repetition, counts, None, cycles, parts,
               seconds, ended)  # fmt: skip

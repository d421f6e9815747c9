"""Runs workloads in setups and makes rows of it, with the cost model's cycles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from monitor.bench.model import Model
from monitor.bench.profile import Profile, profile
from monitor.bench.rows import Row, Setup, Workload
from monitor.bench.runner import execute
from monitor.errors import MonitorBug

ENDED_WELL = "exit"


@dataclass(frozen=True)
class Source:
    """A workload for any number of rounds."""

    name: str
    make: Callable[[int], Workload]


@dataclass(frozen=True)
class Plan:
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


def measure(plan: Plan) -> Iterator[Row]:
    """Every row of the plan, as it is done."""
    profiles = {source.name: profile(source.make, plan.rounds) for source in plan.sources}
    for repetition in range(1, plan.repetitions + 1):
        for source in plan.sources:
            workload = source.make(plan.rounds)
            for setup in plan.setups:
                yield _row(workload, setup, repetition, profiles[source.name], plan.model)


def _row(
    workload: Workload, setup: Setup, repetition: int, known: Profile, model: Model
) -> Row:
    counts, seconds, ended = execute(workload, setup)
    if setup.mode == "bare" and counts.instructions != known.instructions:
        raise MonitorBug(f"workload {workload.name}: its profile has {known.instructions} "
                         f"instructions, and the bare machine counted {counts.instructions}")
    cycles = model.cycles(counts, known)
    parts = {} if setup.mode == "bare" else model.parts(counts, known)
    return Row(workload.name, setup, workload.rounds, repetition, counts, cycles, parts,
               seconds, ended)  # fmt: skip

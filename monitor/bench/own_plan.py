"""Runs operations of one's own: each loop for several numbers of passes (apart.py), in every setup.

Nothing runs without end. Before anything is measured each operation is looked at (own_trial.py), a
run has at most so many instructions, and all of it at most so many seconds. What is wrong with an
operation is a UserError that names it; only in trap mode, where critical instructions give wrong
answers, may a run end otherwise than on the bare machine, and its row says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from monitor.bench import own_trial
from monitor.bench.apart import Cost, Loops, cost, lengths
from monitor.bench.model import Model
from monitor.bench.own_loop import OwnOperation
from monitor.bench.own_trial import TooLongError
from monitor.bench.profile import MORE, Profile, Rounds, UnevenError, rounds_of
from monitor.bench.rows import (
    BARE,
    ENDED_WELL,
    TRANSLATE,
    TRAP,
    Counts,
    Row,
    Setup,
    Tell,
    Workload,
    silence,
)
from monitor.bench.runner import engine_instructions, execute
from monitor.vmm.errors import MonitorBug, UserError

SECONDS = 600.0
INSTRUCTIONS = 100_000_000
SPARE = 100_000  # instructions that a run may have more than it should, to tell what it does
ASTRAY = 4  # times as many in trap mode
LATER = {
    "failed": "faults, where there is no handler",
    "stuck": "stops: HLT waits for an interrupt, and none comes",
    "instructions": "does not end",
    "shutdown": "shuts the processor down (triple fault)",
}
LATER_OTHERWISE = "ends the machine"
ENGINE = 50  # instructions that the engine may execute for one of the guest's


@dataclass(frozen=True)
class Bounds:
    """What is never exceeded: seconds for all of it, guest instructions for one run."""

    seconds: float = SECONDS
    instructions: int = INSTRUCTIONS

    def __post_init__(self) -> None:
        if not 0 < self.seconds < float("inf"):  # "nan" fails it too
            raise UserError(f"a limit of {self.seconds:g} seconds: give a number above 0")
        if self.instructions < 1:
            raise UserError(f"a limit of {self.instructions} instructions: give a number above 0")


USUAL = Bounds()


@dataclass(frozen=True)
class OwnPlan:
    """What to run, and how often."""

    operations: Sequence[OwnOperation]
    setups: Sequence[Setup]
    passes: int
    repetitions: int
    model: Model
    bounds: Bounds = USUAL
    memory_mb: int = Workload.memory_mb
    engine: bool = True  #: count what the engine executes as well

    @property
    def subjects(self) -> list[OwnOperation]:
        """Everything that runs: empty loops, and the operations."""
        empty = {one.empty.name: one.empty for one in self.operations}
        return [*empty.values(), *self.operations]

    @property
    def lengths(self) -> list[int]:
        """Numbers of passes."""
        return lengths(self.passes)

    @property
    def size(self) -> int:
        """Rows that it comes to."""
        per_subject = len(self.setups) * len(self.lengths) * self.repetitions
        return len(self.subjects) * per_subject

    def measure(self, tell: Tell = silence) -> Iterator[Row]:
        """Every row, as it is done. Raises UserError."""
        self._check_names()
        tell("a trial")
        run = _Run(self)
        for operation in self.operations:
            own_trial.check(operation, run.deadline, self.memory_mb)
        for repetition in range(1, self.repetitions + 1):
            for subject in self.subjects:
                tell(subject.name)
                yield from run.rows(subject, repetition)

    def _check_names(self) -> None:
        names = [subject.name for subject in self.subjects]
        for name in names:
            if names.count(name) > 1:
                raise UserError(f"two operations are named {name!r}: rename one")

    def costs(self, rows: Sequence[Row]) -> dict[tuple[str, Setup], Cost | None]:
        """By operation and setup; None where trap mode led the guest astray."""
        table: dict[tuple[str, Setup], dict[int, list[Row]]] = {}
        for row in rows:
            table.setdefault((row.workload, row.setup), {}).setdefault(row.rounds, []).append(row)

        def loops(operation: OwnOperation, setup: Setup) -> Loops:
            return Loops(table[operation.name, setup], table[operation.empty.name, setup],
                         self.passes)  # fmt: skip

        found: dict[tuple[str, Setup], Cost | None] = {}
        for operation in self.operations:
            bare = loops(operation, BARE) if BARE in self.setups else None
            for setup in self.setups:
                own = loops(operation, setup)
                found[operation.name, setup] = cost(own, bare) if own.ended_well else None
        return found


def profile_of(subject: OwnOperation, passes: int) -> Profile:
    """Of so many passes. Raises UserError."""
    return _rounds(subject).profile(passes)


@lru_cache(maxsize=256)
def _rounds(subject: OwnOperation) -> Rounds:
    try:
        return rounds_of(subject.workload, (MORE + 1) * own_trial.LONGEST_PASS)
    except UnevenError as error:
        raise _uneven(subject, "not even the first three are alike") from error


def priced(rows: Sequence[Row], subjects: Sequence[OwnOperation], model: Model) -> list[Row]:
    """The same rows by another model."""
    known = {subject.name: subject for subject in subjects}
    found = []
    for row in rows:
        profile = profile_of(known[row.workload], row.rounds)
        cycles, parts = model.estimate(row.counts, profile)
        found.append(replace(row, cycles=cycles, parts=parts))
    return found


class _Run:
    """One measuring: what is known by then, and how long it may still take."""

    def __init__(self, plan: OwnPlan) -> None:
        self._plan = plan
        self.deadline = time.monotonic() + plan.bounds.seconds
        self._engines: dict[tuple[str, Setup, int], int | None] = {}

    def rows(self, subject: OwnOperation, repetition: int) -> Iterator[Row]:
        for setup in self._plan.setups:
            for passes in self._plan.lengths:
                yield self._row(subject, setup, passes, repetition)

    def _row(self, subject: OwnOperation, setup: Setup, passes: int, repetition: int) -> Row:
        known = profile_of(subject, passes)
        self._check_size(subject, passes, known)
        workload = subject.workload(passes, self._plan.memory_mb)
        most = known.instructions * (ASTRAY if setup == TRAP else 1) + SPARE
        counts, seconds, ended = execute(workload, setup, self._left(subject, setup), most)
        self._check(subject, setup, passes, known, counts, ended)
        key = subject.name, setup, passes
        if key not in self._engines:
            self._engines[key] = self._engine(subject, workload, setup, counts, ended)
        cycles, parts = self._plan.model.estimate(counts, known)
        return Row(subject.name, setup, passes, repetition, counts, self._engines[key], cycles,
                   parts, seconds, ended)  # fmt: skip

    def _check_size(self, subject: OwnOperation, passes: int, known: Profile) -> None:
        if known.instructions > self._plan.bounds.instructions:
            raise UserError(
                f"operation {subject.name!r}: {passes:,} passes of it are {known.instructions:,} "
                f"instructions, and the limit is {self._plan.bounds.instructions:,}: choose fewer "
                "rounds"
            )

    def _check(
        self, subject: OwnOperation, setup: Setup, passes: int, known: Profile, counts: Counts,
        ended: str,
    ) -> None:  # fmt: skip
        """Did the run do what its profile says?"""
        if ended == "timeout":
            raise self._too_long(subject, setup)
        if setup == TRAP or _as_profiled(known, counts, ended):
            return
        if setup != BARE:
            bare, _, bare_ended = execute(
                subject.workload(passes, self._plan.memory_mb), BARE, self._left(subject, BARE),
                known.instructions + SPARE,
            )  # fmt: skip
            if _as_profiled(known, bare, bare_ended):
                raise MonitorBug(f"operation {subject.name!r}: bare it executes "
                                 f"{bare.instructions} instructions, {setup} "
                                 f"{counts.instructions}, and ends as {ended}")  # fmt: skip
        if ended == ENDED_WELL:
            how = (f"{passes:,} of them execute {counts.instructions:,} instructions with what is "
                   f"around them, and by the first three it should be {known.instructions:,}"
                   )  # fmt: skip
        else:
            how = f"the first three are alike, and a later one {LATER.get(ended, LATER_OTHERWISE)}"
        raise _uneven(subject, how)

    def _engine(
        self, subject: OwnOperation, workload: Workload, setup: Setup, counts: Counts, ended: str
    ) -> int | None:
        """Instructions executed for it; None where that is not known."""
        if ended != ENDED_WELL or not self._plan.engine:
            return None
        if setup.mode != TRANSLATE.mode:
            return counts.instructions
        most = ENGINE * counts.instructions + SPARE
        found = engine_instructions(workload, setup, self._left(subject, setup), most)
        if time.monotonic() >= self.deadline:
            raise self._too_long(subject, setup)
        return found if found < most else None

    def _left(self, subject: OwnOperation, setup: Setup) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise self._too_long(subject, setup)
        return left

    def _too_long(self, subject: OwnOperation, setup: Setup) -> TooLongError:
        return TooLongError(
            f"operation {subject.name!r}, {setup}: the time limit of {self._plan.bounds.seconds:g} "
            "seconds is over: choose fewer rounds or setups, or a longer limit"
        )


def _as_profiled(known: Profile, counts: Counts, ended: str) -> bool:
    return ended == ENDED_WELL and counts.instructions == known.instructions


def _uneven(subject: OwnOperation, how: str) -> UserError:
    return UserError(f"operation {subject.name!r}: its passes differ: {how}; each must execute the "
                     "same instructions")  # fmt: skip

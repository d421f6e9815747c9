"""A small guest's loop, translated against bare on the same interpreter, as two rows of a table."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks import ours
from benchmarks.alternate import least
from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Row, per_second

MODES = (ours.TRANSLATE, ours.BARE)


def rows(
    plan: BenchmarkPlan, name: str, guest: str, instructions: int, limit: float, **settings: int
) -> Iterator[Row]:
    """Real time of so many guest instructions, and what the engine executes for a round."""
    makes = (partial(ours.small, guest, mode, **settings) for mode in MODES)
    translated, bare = least(plan, instructions, *makes)
    figures = per_second(instructions / translated), per_second(instructions / bare)
    yield Row(name, *figures, translated / bare, limit)
    translated, bare = (ours.round_length(guest, mode, **settings) for mode in MODES)
    figures = f"{translated:.2f}", f"{bare:.2f}"
    yield Row("  engine instructions a round", *figures, translated / bare, limit)

"""The cost of the monitor: the same guest translated and bare, on the same interpreter.

In time, and in instructions: what the engine executes, stubs included, for one of the guest's.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks import ours
from benchmarks.alternate import least
from benchmarks.plan import Plan
from benchmarks.report import Row, Section, per_second

SLICE = 25_000_000
USER_LIMIT, FLAGS_LIMIT = 1.02, 3.0


def sections(plan: Plan) -> Iterator[Section]:
    """One table."""
    if plan.peers_only:
        return
    section = Section("Cost of the monitor, translate against bare")
    for name, guest, paging, limit in (
        ("ring 3 loop, run directly", "user_loop", 1, USER_LIMIT),
        ("ring 0 loop with PUSHF, CLI, POPF, STI", "flag_loop", 1, FLAGS_LIMIT),
        ("the same, paging off", "flag_loop", 0, FLAGS_LIMIT),
    ):
        section.rows.append(_time(plan, name, guest, paging, limit))
        section.rows.append(_length(guest, paging, limit))
    yield section


def _time(plan: Plan, name: str, guest: str, paging: int, limit: float) -> Row:
    make = partial(ours.small, guest, paging=paging)
    makes = (partial(make, mode=mode) for mode in (ours.TRANSLATE, ours.BARE))
    translated, bare = least(plan, SLICE, *makes)
    figures = per_second(SLICE / translated), per_second(SLICE / bare)
    return Row(name, *figures, translated / bare, limit)


def _length(guest: str, paging: int, limit: float) -> Row:
    translated, bare = (
        ours.round_length(guest, mode, paging) for mode in (ours.TRANSLATE, ours.BARE)
    )
    figures = f"{translated:.2f}", f"{bare:.2f}"
    return Row("  engine instructions a round", *figures, translated / bare, limit)

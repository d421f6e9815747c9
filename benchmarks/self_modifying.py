"""Code that changes, and data that only lives beside code."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks import ours
from benchmarks.alternate import least
from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Row, Section, per_second

COUNTER_SLICE = 10_000_000
BESIDE, ELSEWHERE = 0, 0x300000
COUNTER_LIMIT = 5.0

REWRITES = 2_000  # in a slice
REWRITERS = {
    "the next instruction": "rewrite",
    "the block that is running": "rewrite_block",
    "the next instruction, by another linear address": "rewrite_alias",
    "REP MOVS over itself": "rewrite_string",
}


def sections(plan: BenchmarkPlan) -> Iterator[Section]:
    """Two tables."""
    if plan.peers_only:
        return
    section = Section("A hot counter beside code, against the same with the counter elsewhere")
    section.rows += [_counter(plan, mode) for mode in (ours.BARE, ours.TRANSLATE)]
    yield section
    section = Section(
        "Code that rewrites itself, translate against bare", note="microseconds for one rewrite"
    )
    section.rows += [_rewriter(plan, what, guest) for what, guest in REWRITERS.items()]
    yield section


def _counter(plan: BenchmarkPlan, mode: str) -> Row:
    makes = (
        partial(ours.small, "hot_counter", mode, COUNTER_OFFSET=offset)
        for offset in (BESIDE, ELSEWHERE)
    )
    beside, elsewhere = least(plan, COUNTER_SLICE, *makes)
    figures = per_second(COUNTER_SLICE / beside), per_second(COUNTER_SLICE / elsewhere)
    return Row(mode, *figures, beside / elsewhere, COUNTER_LIMIT)


def _rewriter(plan: BenchmarkPlan, what: str, guest: str) -> Row:
    instructions = round(REWRITES * ours.round_length(guest))
    makes = (partial(ours.small, guest, mode) for mode in (ours.TRANSLATE, ours.BARE))
    times = least(plan, instructions, *makes)
    translated, bare = (seconds / REWRITES * 1e6 for seconds in times)
    return Row(what, f"{translated:.2f} us", f"{bare:.2f} us", translated / bare)

"""The cost of the monitor: the same guest translated and bare, on the same interpreter.

In time, and in instructions: what the engine executes, stubs included, for one of the guest's.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import against_bare
from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Section

SLICE = 25_000_000
USER_LIMIT, FLAGS_LIMIT = 1.02, 3.0


def sections(plan: BenchmarkPlan) -> Iterator[Section]:
    """One table."""
    if plan.peers_only:
        return
    section = Section("Cost of the monitor, translate against bare")
    for name, guest, paging, limit in (
        ("ring 3 loop, run directly", "user_loop", 1, USER_LIMIT),
        ("ring 0 loop with PUSHF, CLI, POPF, STI", "flag_loop", 1, FLAGS_LIMIT),
        ("the same, paging off", "flag_loop", 0, FLAGS_LIMIT),
    ):
        section.rows += against_bare.rows(plan, name, guest, SLICE, limit, paging=paging)
    yield section

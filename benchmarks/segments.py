"""The cost of FS and GS in the kernel, translated against bare, on the same interpreter.

One of the two is reserved for the stubs: the one that the guest uses less (bt/reserved.py). So a
kernel that uses one of them runs as if it used none, and one that uses both pays for stubs; neither
pays for exits. Those are counted, by the round.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import against_bare, ours
from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Row, Section

GUEST = "segment_loop"
SLICE = 10_000_000
ROUNDS = 10_000
DS, FS, GS = 0x3E, 0x64, 0x65
LOOPS = (
    ("no override", DS, DS, 1.1),
    ("FS", FS, FS, 1.1),
    ("GS", GS, GS, 1.1),
    ("FS and GS", FS, GS, 4.0),
)


def sections(plan: BenchmarkPlan) -> Iterator[Section]:
    """One table."""
    if plan.peers_only:
        return
    section = Section("Data through segment registers in ring 0, translate against bare")
    for name, one, other, limit in LOOPS:
        loop = f"loop with {name}"
        section.rows += against_bare.rows(plan, loop, GUEST, SLICE, limit, ONE=one, OTHER=other)
        section.rows.append(_exits(one, other))
    yield section


def _exits(one: int, other: int) -> Row:
    """Exits of a whole run, its start included, by the round."""
    machine = ours.small(GUEST, ours.TRANSLATE, ROUNDS, ONE=one, OTHER=other)
    ours.finish(machine, GUEST)
    exits = sum(machine.statistics()["exits"].values())
    return Row("  exits a round", f"{exits / ROUNDS:.3f}", "1", exits / ROUNDS, 0.1)

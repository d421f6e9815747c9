"""The cost of FS and GS in the kernel, translated against bare, on the same interpreter.

One of the two is reserved for the stubs: the one that the guest uses less (bt/reserved.py). So a
kernel that uses one of them runs as if it used none, and one that uses both pays for stubs; neither
pays for exits. Those are counted, by the round.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks import ours
from benchmarks.alternate import least
from benchmarks.plan import Plan
from benchmarks.report import Row, Section, per_second
from benchmarks.timing import BenchmarkError

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


def sections(plan: Plan) -> Iterator[Section]:
    """One table."""
    if plan.peers_only:
        return
    section = Section("Data through segment registers in ring 0, translate against bare")
    for name, one, other, limit in LOOPS:
        section.rows.append(_time(plan, f"loop with {name}", one, other, limit))
        section.rows.append(_length(one, other, limit))
        section.rows.append(_exits(one, other))
    yield section


def _time(plan: Plan, name: str, one: int, other: int, limit: float) -> Row:
    make = partial(ours.small, GUEST, ONE=one, OTHER=other)
    makes = (partial(make, mode=mode) for mode in (ours.TRANSLATE, ours.BARE))
    translated, bare = least(plan, SLICE, *makes)
    figures = per_second(SLICE / translated), per_second(SLICE / bare)
    return Row(name, *figures, translated / bare, limit)


def _length(one: int, other: int, limit: float) -> Row:
    translated, bare = (
        ours.round_length(GUEST, mode, ONE=one, OTHER=other)
        for mode in (ours.TRANSLATE, ours.BARE)
    )
    figures = f"{translated:.2f}", f"{bare:.2f}"
    return Row("  engine instructions a round", *figures, translated / bare, limit)


def _exits(one: int, other: int) -> Row:
    """Exits of a whole run, its start included, by the round."""
    machine = ours.small(GUEST, ours.TRANSLATE, ROUNDS, ONE=one, OTHER=other)
    outcome = machine.run(timeout=60)
    if outcome.kind != "exit" or outcome.status != ours.RIGHT:
        raise BenchmarkError(f"{GUEST}: {outcome.kind} {outcome.detail}\n{machine.where()}")
    exits = sum(machine.statistics()["exits"].values())
    return Row("  exits a round", f"{exits / ROUNDS:.3f}", "1", exits / ROUNDS, 0.1)

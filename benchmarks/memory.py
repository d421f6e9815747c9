"""What paging and unlucky addresses cost the interpreter, bare."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks import images, ours
from benchmarks.alternate import Make, least
from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Row, Section, per_second

MANY_ROUNDS, MIX_ROUNDS = 100_000, 4  # of the integer mix: what it could do, and a slice
COPY_SLICE = 25_000_000
ALIASED, APART = 0x400000, 0x410000
LIMIT = 1.10


def sections(plan: BenchmarkPlan) -> Iterator[Section]:
    """One table."""
    if plan.peers_only:
        return
    section = Section("Memory, bare, against the same work on easy addresses")
    section.rows.append(_mix(plan))
    for paging, name in ((1, "on"), (0, "off")):
        copies = (
            partial(ours.small, "copy", ours.BARE, paging=paging, DISTANCE=distance)
            for distance in (ALIASED, APART)
        )
        name = f"copy 4 MiB apart / not, paging {name}"
        section.rows.append(_compare(plan, name, COPY_SLICE, *copies))
    yield section


def _mix(plan: BenchmarkPlan) -> Row:
    """Slices of whole rounds, every one of which does the same."""
    rounds = 1 if plan.quick else MIX_ROUNDS
    elves = (images.integer_mix(MANY_ROUNDS, variant).elf for variant in ("paging", "bare"))
    makes = (partial(ours.loaded, ours.BARE, elf) for elf in elves)
    return _compare(plan, "integer mix, paging on / off", rounds * ours.mix_round(), *makes)


def _compare(plan: BenchmarkPlan, name: str, instructions: int, unlucky: Make, easy: Make) -> Row:
    times = least(plan, instructions, unlucky, easy)
    figures = per_second(instructions / times[0]), per_second(instructions / times[1])
    return Row(name, *figures, times[0] / times[1], LIMIT)

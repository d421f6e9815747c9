"""Random code: no escape, no crash, and the same however it is cut into runs.

A program is a page of instructions at random. It is tried from many places, in the middle of
instructions as well, and what follows a fault is run, too. The environment variable ENGINE_SEEDS
asks for more programs.
"""

from __future__ import annotations

import os
import random

import pytest
from engine_lab import (
    CEILING,
    CODE,
    DATA,
    FLAGS,
    FRAMES,
    FREE,
    MONITOR,
    MONITOR_SIZE,
    PAGE,
    RAM_SIZE,
    STACK,
    VECTORS,
    Lab,
    x87_image,
)
from random_code import SELF, program

from bt.contract import (
    EXIT_BREAKPOINT,
    EXIT_BUDGET,
    EXIT_EXCEPTION,
    EXIT_IO,
    EXIT_SOFTINT,
    PERM_EXEC,
    PERM_PINNED,
    PERM_WRITE,
)
from bt.engine import BUILD

SEEDS = range(int(os.environ.get("ENGINE_SEEDS", "40" if BUILD == "compiled" else "4")))
STARTS = 24
BUDGET = 300
WRITABLE = (*range(4, 8), 9, FREE)  # frames that the guest can reach for writing
RING3_FLAGS = 0x244CD5


def put(lab: Lab, rng: random.Random) -> None:
    """A page of code, which may write itself, random data, and registers to start with."""
    lab.write(FREE << 12, program(rng, PAGE))
    lab.poke(DATA, rng.randbytes(4 * PAGE))
    start(lab, rng)


def start(lab: Lab, rng: random.Random) -> None:
    places = (
        DATA + 0x800,
        DATA + PAGE - 2,
        SELF + 0x10,
        STACK + 0x100,
        CEILING - 4,
        0xFFFFFFFC,
        3,
        0x80000000,
    )
    for i in range(8):
        lab.ideal.set_reg(i, rng.choice(places) + rng.randrange(8) & 0xFFFFFFFF)
    lab.set(
        esp=STACK + 0x800,
        flags=FLAGS | rng.getrandbits(22) & RING3_FLAGS,
        eip=SELF + rng.randrange(PAGE),
    )
    for name in ("ds", "es", "fs", "gs"):
        lab.segment(name)


@pytest.fixture
def wild(lab: Lab) -> Lab:
    """The monitor's region is mapped, as it is under a monitor, and must not be reached."""
    lab.map(SELF, FREE, PERM_WRITE | PERM_EXEC)
    for offset in range(0, MONITOR_SIZE, PAGE):
        lab.map(CEILING + offset, MONITOR + offset >> 12, PERM_WRITE | PERM_EXEC | PERM_PINNED)
    lab.write(MONITOR, random.Random(7).randbytes(MONITOR_SIZE))
    return lab


@pytest.mark.parametrize("seed", SEEDS)
def test_random_code_stays_inside(wild: Lab, seed: int) -> None:
    rng = random.Random(seed)
    put(wild, rng)
    outside = untouched(wild)
    segments = [tuple(wild.ideal.segment(i)) for i in range(8)]
    seen = set()
    for _ in range(STARTS):
        start(wild, rng)
        for _ in range(4):
            exit_ = wild.run(BUDGET)  # checks the reason and the count
            seen.add(exit_.reason)
            assert exit_.reason != EXIT_BREAKPOINT, "nobody asked for one"
            if exit_.reason == EXIT_EXCEPTION:
                assert exit_.vector in VECTORS
            if exit_.address is not None:
                assert exit_.address < CEILING, "segments are truncated"
            assert wild.ideal.eip == exit_.eip
            assert wild.ideal.flags() & ~RING3_FLAGS == FLAGS
            assert [tuple(wild.ideal.segment(i)) for i in range(8)] == segments
            wild.set(eip=exit_.eip + 1 & 0xFFFFFFFF)
    assert EXIT_EXCEPTION in seen
    assert untouched(wild) == outside
    assert wild.ports.log == []


def untouched(lab: Lab) -> bytes:
    """All memory that the guest cannot write."""
    frames = [
        frame for frame in range(RAM_SIZE >> 12) if frame not in WRITABLE and frame != SCRATCH_FRAME
    ]
    assert FRAMES[CODE] in frames
    return b"".join(lab.read(frame << 12, PAGE) for frame in frames) + lab.read(
        MONITOR, MONITOR_SIZE
    )


SCRATCH_FRAME = 0x1F  # where save_x87() works


@pytest.mark.parametrize("seed", SEEDS)
def test_random_code_does_not_depend_on_the_budget(wild: Lab, seed: int) -> None:
    """In one run, in single steps, in steps of random size: the same end, and the same count."""
    ends = []
    for cut in ("whole", "single", "random"):
        rng = random.Random(seed)
        put(wild, rng)
        wild.write(STACK_FRAME << 12, bytes(PAGE))
        wild.load_x87(x87_image())
        cuts = random.Random(seed + 1)
        for _ in range(STARTS // 4):
            start(wild, rng)
            wild.count = 0
            while wild.count < BUDGET:
                left = BUDGET - wild.count
                exit_ = wild.run({"whole": left, "single": 1, "random": cuts.randint(1, left)}[cut])
                wild.engine.give_null_segments(wild.ideal)
                if exit_.reason not in (EXIT_BUDGET, EXIT_IO):
                    break
            ends.append((cut, exit_, wild.guest(), hash(wild.all_memory())))
    each = len(ends) // 3
    for i in range(each):
        whole, single, cut = (ends[i + each * k][1:] for k in range(3))
        assert whole == single == cut, f"start {i}"


STACK_FRAME = FRAMES[STACK]


def test_the_programs_go_far_enough(wild: Lab) -> None:
    """Else the tests above would show little."""
    rng = random.Random(1)
    reasons, longest = set(), 0
    for seed in range(8):
        put(wild, random.Random(seed))
        for _ in range(STARTS):
            start(wild, rng)
            before = wild.count
            reasons.add(wild.run(BUDGET).reason)
            longest = max(longest, wild.count - before)
    assert {EXIT_EXCEPTION, EXIT_SOFTINT} <= reasons
    assert longest > 100

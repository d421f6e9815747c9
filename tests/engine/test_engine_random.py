"""Random code: no escape, no crash, and the same however it is cut into runs.

A program is a page of instructions at random. It is tried from many places, in the middle of
instructions as well, and what follows a fault is run, too. The environment variable ENGINE_SEEDS
asks for more programs.
"""

from __future__ import annotations

import random

import pytest
from engine_lab import CEILING, FLAGS, VECTORS, Lab
from random_world import BUDGET, RING3_FLAGS, SEEDS, STARTS, put, start, untouched
from random_world import wild as wild

from bt.contract import EXIT_BREAKPOINT, EXIT_EXCEPTION, EXIT_SOFTINT

pytestmark = pytest.mark.engine("runs_directly")



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

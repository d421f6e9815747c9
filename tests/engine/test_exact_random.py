"""Random code on an engine with exact counts: the same however it is cut into runs."""

from __future__ import annotations

import random

import pytest
from engine_lab import PAGE, Lab, x87_image
from random_world import BUDGET, SEEDS, STACK_FRAME, STARTS, put, start
from random_world import wild as wild

from bt.contract import EXIT_BUDGET, EXIT_IO

pytestmark = pytest.mark.engine("exact_counts", "runs_directly")


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

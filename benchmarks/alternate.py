"""Timing guests against each other, a slice of each in turn: A B A B ...

Other work on the host comes and goes; slices that alternate meet the same weather, and the least
time of each is what the work costs when nothing disturbs it. A slice is so many guest
instructions, so start-up, translation and loading are over before the first one.

Where the host's memory happens to lie makes a difference of several per cent to one machine (cache
sets, aliases in the load-store unit), so the race is run again with machines made anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.plan import BenchmarkPlan
from benchmarks.timing import BenchmarkError
from monitor import Machine

Make = Callable[[], Machine]


def least(plan: BenchmarkPlan, instructions: int, *makes: Make) -> list[float]:
    """The least CPU seconds of a slice of each machine; their guests must not end."""
    times: list[list[float]] = [[] for _ in makes]
    for _ in range(plan.placements):
        machines = [make() for make in makes]
        for turn in range(plan.repeats + 1):
            for machine, found in zip(machines, times, strict=True):
                seconds = _slice(machine, instructions)
                if turn:  # the first one warms up
                    found.append(seconds)
    return [min(found) for found in times]


def _slice(machine: Machine, instructions: int) -> float:
    before = time.process_time()
    outcome = machine.run(max_instructions=instructions)
    spent = time.process_time() - before
    if outcome.kind != "instructions":
        raise BenchmarkError(f"the guest ended early: {outcome.kind}\n{machine.debug.where()}")
    return spent

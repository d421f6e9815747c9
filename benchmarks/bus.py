"""The board's bus: memory where nobody answers, and waits that poll a port.

A guest that polls waits for time to pass, so what counts is not what a poll takes us but how much
of the guest's time it brings: real time for a second of a wait.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from benchmarks import ours
from benchmarks.alternate import least
from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Row, Section, per_second, seconds

READS = 20_000_000
POLLS = 300_000  # instructions of the loop, of which a third are polls
OPEN_BUS, RAM = 0xC0000, 0x400000
OPEN_LIMIT = {ours.BARE: 6.0, ours.TRANSLATE: 1.1}
WAIT_LIMIT = 10.0


def sections(plan: BenchmarkPlan) -> Iterator[Section]:
    """Two tables."""
    if plan.peers_only:
        return
    section = Section("Reads where nobody answers, against reads of RAM")
    section.rows += [_open_bus(plan, mode) for mode in (ours.BARE, ours.TRANSLATE)]
    yield section
    section = Section("A wait that polls a port, against the guest's own time")
    section.rows += [_wait(plan, mode) for mode in (ours.BARE, ours.TRANSLATE)]
    yield section


def _open_bus(plan: BenchmarkPlan, mode: str) -> Row:
    makes = (partial(ours.small, "read", mode, PLACE=place) for place in (OPEN_BUS, RAM))
    times = least(plan, READS, *makes)
    figures = per_second(READS / times[0]), per_second(READS / times[1])
    return Row(mode, *figures, times[0] / times[1], OPEN_LIMIT[mode])


def _wait(plan: BenchmarkPlan, mode: str) -> Row:
    machine = ours.small("poll", mode)
    machine.run(max_instructions=POLLS)  # warm
    spent = []
    for _ in range(plan.repeats):
        begun, at = time.process_time(), machine.clock.now()
        machine.run(max_instructions=POLLS)
        spent.append((time.process_time() - begun, (machine.clock.now() - at) / 1e9))
    real, passed = min(spent)
    return Row(mode, seconds(real), seconds(passed), real / passed, WAIT_LIMIT)

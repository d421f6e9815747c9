"""How long `vp --help` takes, on the wall: what a user waits for before anything happens."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Row, Section, seconds
from benchmarks.timing import BenchmarkError

VP = Path(sys.executable).parent / "vp"
REPEATS = 7
LIMIT_SECONDS = 0.3


def sections(plan: BenchmarkPlan) -> Iterator[Section]:
    """One table."""
    if plan.peers_only:
        return
    commands: tuple[list[str | Path], ...] = ([VP, "--help"], [sys.executable, "-c", "pass"])
    rounds = [[_wall(command) for command in commands] for _ in range(REPEATS)]
    answer, nothing = (min(times) for times in zip(*rounds, strict=True))
    limit = f"{LIMIT_SECONDS:g} s"
    yield Section(
        "Start-up",
        [
            Row("vp --help", seconds(answer), limit, answer / LIMIT_SECONDS, 1.0),
            Row("vp --help / an empty Python", seconds(answer), seconds(nothing), answer / nothing),
        ],
    )


def _wall(command: list[str | Path]) -> float:
    before = time.perf_counter()
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        raise BenchmarkError(f"{command[0]} failed")
    return time.perf_counter() - before

"""Random code: the monitor never raises, hangs or crashes; bare and translate agree to the bit."""

from __future__ import annotations

from patience import PATIENCE

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("wild.py")
BATCH = 40
OUT_OF_TIME = "timeout"


def run_worlds(first: int, count: int, *modes: str) -> dict[tuple[str, int], str]:
    """How each world ended in each mode. In a process of its own, which must survive them all."""
    line = [sys.executable, str(SCRIPT), str(first), str(count), *modes]
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE)
    reached = done.stdout.splitlines()[-1:] or ["nothing"]
    assert done.returncode == 0, f"after {reached[0]}:\n{done.stderr}"
    ends = {}
    for end in done.stdout.splitlines():
        mode, seed, text = end.split(" ", 2)
        ends[mode, int(seed)] = text
    assert len(ends) == count * len(modes)
    return ends


def compare(first: int, count: int) -> None:
    ends = run_worlds(first, count, "bare", "translate")
    for seed in range(first, first + count):
        pair = [ends[mode, seed] for mode in ("bare", "translate")]
        if not any(end.startswith(OUT_OF_TIME) for end in pair):
            assert pair[0] == pair[1], (
                f"world {seed}: `python {SCRIPT.name} {seed} 1 bare translate`"
            )


def test_some_worlds_are_the_same_in_both_modes() -> None:
    compare(1, BATCH // 2)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 1000 + 6 * BATCH, BATCH))
def test_worlds_are_the_same_in_both_modes(first: int) -> None:
    compare(first, BATCH)


def test_trap_mode_survives() -> None:
    """It gives wrong answers, which is its nature, but it gives them in order."""
    run_worlds(1, BATCH // 2, "trap")

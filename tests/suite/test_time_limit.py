"""What hangs is ended and named; what only waits for its turn is left alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

TESTS = Path(__file__).parents[1]
NEXT = "\n\ndef test_next():\n    pass\n"
SPIN = [sys.executable, "-c", "while True: pass"]


def run(
    folder: Path, body: str, *options: str, limit: float = 0.6, mark: str = ""
) -> tuple[int, str]:
    """A test with this body and one after it, under the limit: exit status and output."""
    head = "import subprocess, sys, time, pytest\n"
    (folder / "test_it.py").write_text(f"{head}\n\n{mark}\ndef test_this():\n    {body}\n{NEXT}")
    (folder / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "time_limit", "-p", "no:cacheprovider",
         f"--timeout={limit}", *(options or ("-p", "no:xdist"))],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(TESTS)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    "body", ["while True: pass", f"subprocess.run({SPIN!r})"], ids=["itself", "a process of its"]
)
def test_one_that_spins_is_ended_by_its_processor_time(tmp_path: Path, body: str) -> None:
    status, said = run(tmp_path, body)
    assert status == 1 and "1 failed, 1 passed" in said, said
    assert re.search(r"test_it.py::test_this has used \d+ s of processor time, and is", said), said


def test_one_that_sleeps_for_ever_is_ended_by_the_clock(tmp_path: Path) -> None:
    status, said = run(tmp_path, "time.sleep(10 ** 6)", limit=0.1)
    assert status == 1 and "1 failed, 1 passed" in said, said
    assert "test_it.py::test_this has used" in said and "most of them idle" in said


def test_one_that_waits_while_others_work_is_left_alone(tmp_path: Path) -> None:
    """More than its limit passes, of which it uses nothing; the rest goes to somebody else."""
    other = subprocess.Popen(SPIN, preexec_fn=lambda: os.nice(19))
    try:
        status, said = run(tmp_path, "time.sleep(1.5)", limit=0.5)
    finally:
        other.kill()
        other.wait()
    assert status == 0 and "2 passed" in said, said


def test_a_limit_of_its_own(tmp_path: Path) -> None:
    body = "while time.process_time() < 1: pass"
    status, said = run(tmp_path, body, limit=0.1, mark="@pytest.mark.timeout(600)")
    assert status == 0 and "2 passed" in said, said


COMPILED = "import itertools; sum(itertools.repeat(1))"  # a loop in which Python sees no signal


def test_one_that_python_cannot_interrupt_is_ended_by_the_kernel(tmp_path: Path) -> None:
    status, said = run(tmp_path, COMPILED, limit=0.5)
    assert status < 0 or status > 128, said
    assert 'test_it.py", line 6 in test_this' in said


def test_on_several_workers_the_others_go_on(tmp_path: Path) -> None:
    status, said = run(tmp_path, COMPILED, "-n", "1", limit=0.5)
    assert status == 1 and "1 failed, 1 passed" in said, said
    assert "crashed while running 'test_it.py::test_this'" in said

"""A class, graded with the small lab of standin.py."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import standin

from monitor.grading.classroom import Course
from monitor.grading.limits import Limits
from monitor.grading.sandbox import Sandbox
from monitor.grading.verdict import Grade, judge

HERE = Path(__file__).parent
RIGHT = """
def add(a, b):
    return a + b

def double(a):
    return a + a

def greet(name):
    return "hello " + name
"""
LIMITS = Limits(cpu=1, wall=6, memory=256, file=4)
STANDIN = Course(f"{standin.__name__}:Check", HERE, (HERE,))

GradeOne = Callable[..., Grade]


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs have their folders: to see that none stays."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def grade(scratch: Path) -> GradeOne:
    """Grade one submission: source and, if they matter, limits."""

    def run(source: str | bytes, limits: Limits = LIMITS, *, filtered: bool = True) -> Grade:
        text = source if isinstance(source, bytes) else source.encode()
        sandbox = Sandbox(STANDIN.check, limits, STANDIN.extra, filtered=filtered)
        return judge("ada", 1, sandbox.run(1, "lab1.py", text), limits)

    return run

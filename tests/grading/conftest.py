"""Runs whose folders are seen to go, and one submission graded with the small lab."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from small_lab import LIMITS, STANDIN, GradeOne

from monitor.grading.limits import Limits
from monitor.grading.sandbox import Sandbox
from monitor.grading.verdict import Grade, judge


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

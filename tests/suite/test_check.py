"""What `make check` and `make test` run; every folder of tests has been thought of."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = [line for line in (ROOT / "tests" / "check.txt").read_text(encoding="utf-8").splitlines()
         if line and not line.startswith("#")]  # fmt: skip
CHOSEN = [line.split()[0] for line in LINES if not line.startswith("-")]
LEFT_OUT = [line[1:].split()[0] for line in LINES if line.startswith("-")]


def recipe(target: str) -> str:
    """The commands of a target, as make would run them."""
    # Without what a make around this one was told.
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "PYTEST")}  # fmt: skip
    done = subprocess.run(
        ["make", "-n", "-o", "build", "VP_PURE=", target],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split()[0])
def test_what_is_listed_exists_and_has_a_reason(line: str) -> None:
    name, reason = line.removeprefix("-").split(maxsplit=1)
    assert (ROOT / name).exists() and len(reason.split()) > 1


def test_every_folder_is_chosen_or_left_out_for_a_reason() -> None:
    folders = {f"tests/{path.parent.name}" for path in (ROOT / "tests").glob("*/test_*.py")}
    assert folders <= {*CHOSEN, *LEFT_OUT}, "a line in tests/check.txt is missing"
    assert not set(CHOSEN) & set(LEFT_OUT)


def test_check_runs_what_is_listed() -> None:
    [line] = [line for line in recipe("check").splitlines() if "-m pytest" in line]
    assert re.findall(r" (tests/\S+)", line) == CHOSEN
    assert "not slow and not guest" in line and "ORACLE_STATES=64" in line


@pytest.mark.parametrize("target", ["check", "test"])
def test_it_says_what_took_long(target: str) -> None:
    [line] = [line for line in recipe(target).splitlines() if "-m pytest" in line]
    assert "--durations=10" in line and "--numprocesses=auto" in line
    assert ("tests/" in line) == (target == "check")

"""The labs themselves, in the sandbox: what they need is allowed, and their grades are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.grading.classroom import LABS
from monitor.grading.limits import Limits
from monitor.grading.sandbox import Sandbox
from monitor.grading.verdict import Grade, judge
from monitor.labs import all_labs

FOLDER = Path(__file__).parents[2] / "notebooks" / "labs"
NUMBERS = [lab.number for lab in all_labs()]

pytestmark = pytest.mark.slow


def grade(lab: int, file: Path, limits: Limits) -> Grade:
    run = Sandbox(LABS.check, limits).run(lab, f"lab{lab}.py", file.read_bytes())
    return judge("ada", lab, run, limits)


@pytest.mark.parametrize("lab", NUMBERS)
def test_a_solution_has_the_full_score(scratch: Path, lab: int) -> None:
    found = grade(lab, FOLDER / "solutions" / f"lab{lab}.py", Limits())
    assert (found.status, found.flags, found.notes) == ("graded", (), ()), found
    assert found.report is not None and found.report.full


def test_a_skeleton_has_none(scratch: Path) -> None:
    found = grade(NUMBERS[0], FOLDER / f"lab{NUMBERS[0]}" / f"lab{NUMBERS[0]}.py", Limits())
    assert (found.status, found.score, found.flags) == ("graded", 0, ())


def test_a_solution_cannot_be_read_from_the_source_tree(scratch: Path, tmp_path: Path) -> None:
    cheat = tmp_path / "lab1.py"
    solution = FOLDER / "solutions" / "lab1.py"
    cheat.write_text(f"exec(open({str(solution)!r}).read())\n")
    found = grade(1, cheat, Limits())
    assert found.score == 0 and "read" in found.flags
    assert found.report is not None and "PermissionError" in found.report.results[0].feedback

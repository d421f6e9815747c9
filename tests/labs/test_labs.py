"""Solutions have the full score, skeletons have none, and say what is missing."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from monitor.labs import FOLDER, all_labs, check, find_lab
from monitor.labs.check import Check, check_lab
from monitor.labs.report import LabReport, TestResult
from monitor.vmm.errors import UserError

SOLUTIONS = FOLDER / "solutions"
NUMBERS = [lab.number for lab in all_labs()]


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS)
def test_a_solution_has_the_full_score(number: int) -> None:
    report = check_lab(number, SOLUTIONS / f"lab{number}.py")
    assert report.full, "\n".join(each.feedback for each in report.results)
    assert (report.out_of, report.lab) == (20, number)


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS)
def test_a_skeleton_has_no_points_and_helpful_feedback(number: int) -> None:
    lab = find_lab(number)
    report = check_lab(number, lab.folder / lab.file_name)
    assert report.score == 0
    for result in report.results:
        told = "expected: " in result.feedback and "hint: " in result.feedback
        assert told or f"lab{number}.py:" in result.feedback, result.feedback
        assert "Traceback" not in result.feedback and "the monitor stopped" not in result.feedback


def test_a_report_survives_json() -> None:
    report = LabReport.of(2, (TestResult("one", 0, 3, "why\nnot"), TestResult("two", 2, 2)))
    assert LabReport.from_json(report.to_json()) == report
    assert (report.score, report.out_of, report.full) == (2, 5, False)


@pytest.mark.parametrize("text", [
    "", "{}", "[]", "null",
    '{"lab": 1, "score": 3, "out_of": 3, "results": []}',
    '{"lab": 1, "score": 3, "out_of": 2, "results": '
    '[{"name": "a", "points": 3, "out_of": 2, "feedback": ""}]}',
])  # fmt: skip
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        LabReport.from_json(text)


def test_every_handout_names_its_parts() -> None:
    for lab in all_labs():
        text = (lab.folder / "handout.md").read_text(encoding="utf-8")
        for part in ("## Background", "## The task", "## Hints", "## How it is graded",
                     "## Questions", f"vp lab check {lab.number} {lab.file_name}"):  # fmt: skip
            assert part in text, f"lab {lab.number} has no {part}"
        title = lab.title[0].lower() + lab.title[1:]
        assert text.startswith(f"# Lab {lab.number}: {title}\n")


def write(folder: Path, text: str) -> Path:
    path = folder / "lab3.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize(("text", "said"), [
    ("def (:\n", "lab3.py:1: SyntaxError"),
    ("\nraise RuntimeError('no')\n", "lab3.py:2, in <module>: RuntimeError: no"),
    ("import no_such_module\n", "lab3.py:1, in <module>: ModuleNotFoundError"),
    ("raise SystemExit(0)\n", "lab3.py:1, in <module>: SystemExit"),
])  # fmt: skip
def test_a_file_that_cannot_be_imported_is_told_once(
    tmp_path: Path, text: str, said: str
) -> None:
    report = check_lab(3, write(tmp_path, text))
    assert report.score == 0 and report.out_of == 20
    assert said in report.results[0].feedback
    assert {each.feedback for each in report.results[1:]} == {"not run"}


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    report = check_lab(3, write(tmp_path, "TEMPLATES = {}\n"))
    assert report.results[0].feedback == "lab3.py has no STUBS: keep the skeleton's names"


def test_a_loop_ends_when_its_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.labs.check.LIMIT", 0.2)
    monkeypatch.setattr("monitor.labs.check.PATIENCE", 500)  # processor time ends it, or nothing
    text = "def spin():\n    while True:\n        try:\n            pass\n" \
           "        except Exception:\n            pass\nspin()\n"  # fmt: skip
    check = Check(2, write(tmp_path, text))
    result = check.run().results[0]
    assert result.points == 0 and "still running after 0.2 seconds" in result.feedback
    assert "lab3.py:" in result.feedback and "in spin" in result.feedback


def test_there_are_five_labs_and_files_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lab 6: choose from 1 to 5"):
        check_lab(6, tmp_path)
    with pytest.raises(UserError, match=r"no such file; `vp lab start N` writes a skeleton"):
        check_lab(1, tmp_path / "lab1.py")


def test_invented_instructions_are_classed_as_the_derivation_would() -> None:
    from types import SimpleNamespace
    from typing import Any, cast

    from bt.virtualizability.classify import Trial, classify
    from bt.virtualizability.worlds import PROTECTED
    from monitor.labs.lab1 import invented_questions

    form = cast(Any, SimpleNamespace(name="invented"))
    for question in invented_questions():
        trials = [Trial(cast(Any, None), dict(trial)) for trial in question.evidence.trials]
        assert classify(PROTECTED, form, trials).verdict.value == question.verdict, question.name


def test_a_timer_of_the_callers_goes_on() -> None:
    """A test's time limit borrows the process's timer, which may be in use."""
    before = signal.setitimer(signal.ITIMER_REAL, 100_000)
    try:
        with check._time_limit(check.LIMIT):
            assert signal.getitimer(signal.ITIMER_REAL)[0] <= check.PATIENCE * check.LIMIT
        assert signal.getitimer(signal.ITIMER_REAL)[0] > check.PATIENCE * check.LIMIT
    finally:
        signal.setitimer(signal.ITIMER_REAL, *before)

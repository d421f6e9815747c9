"""The gradebook: the same whatever the jobs, taken up again, and safe to open."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_lab import LIMITS, RIGHT, STANDIN
from test_class import WRONG, tree

from monitor.grading.classroom import Classroom
from monitor.vmm.errors import UserError


@pytest.fixture
def handed_in(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, source in enumerate((RIGHT, *WRONG)):
        (folder / f"lab1-student{number}.py").write_text(source)
    (folder / "anna").mkdir()
    (folder / "anna" / "lab1.py").write_text(f"import os\nprint(os.getcwd(), id(os) > 0)\n{RIGHT}")
    return folder


def grade(folder: Path, out: Path, jobs: int = 2, **options: object) -> Classroom:
    limits = options.pop("limits", LIMITS)
    classroom = Classroom(folder, out, STANDIN, limits, **options)  # type: ignore[arg-type]
    for _ in classroom.grade(jobs):
        pass
    return classroom


def test_the_same_grades_whatever_the_jobs(handed_in: Path, scratch: Path, tmp_path: Path) -> None:
    contents = []
    for jobs in (1, 4):
        out = tmp_path / f"out{jobs}"
        grade(handed_in, out, jobs)
        contents.append({path.relative_to(out): path.read_bytes()
                         for path in out.rglob("*") if path.is_file()})  # fmt: skip
    assert contents[0] == contents[1] and len(contents[0]) == 11


def test_what_was_graded_is_not_graded_again(
    handed_in: Path, scratch: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert len(grade(handed_in, out).to_run) == 5
    before = {name: line for name, line in tree(out).items() if name != "grades.csv"}
    again = grade(handed_in, out)
    assert (len(again.to_run), again.kept) == (0, 5)
    assert {name: line for name, line in tree(out).items() if name != "grades.csv"} == before
    (handed_in / "lab1-student1.py").write_text(RIGHT)
    changed = grade(handed_in, out)
    assert [work[0].student for work in changed.to_run] == ["student1"]
    assert {each.student: each.score for each in changed.grades}["student1"] == 20


def test_other_limits_or_a_wish_grade_again(handed_in: Path, scratch: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    grade(handed_in, out)
    other = replace(LIMITS, cpu=2)
    assert len(Classroom(handed_in, out, STANDIN, other).to_run) == 5
    assert len(Classroom(handed_in, out, STANDIN, LIMITS, again=True).to_run) == 5


def test_an_interrupted_grading_goes_on(handed_in: Path, scratch: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    classroom = Classroom(handed_in, out, STANDIN, LIMITS)
    grades = classroom.grade(1)
    first = next(grades)
    grades.close()
    statuses = {grade.student: grade.status for grade in classroom.grades}
    assert statuses[first.student] == "graded" and "not graded" in statuses.values()
    with (out / "grades.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["student"]: row["status"] for row in rows} == statuses
    rest = grade(handed_in, out)
    assert len(rest.to_run) < 5 and {each.status for each in rest.grades} == {"graded"}


def test_only_one_student(handed_in: Path, scratch: Path, tmp_path: Path) -> None:
    classroom = grade(handed_in, tmp_path / "out", only=["anna"])
    assert [each.status for each in classroom.grades] == ["graded", *["not graded"] * 4]


def test_a_damaged_gradebook_is_graded_again(
    handed_in: Path, scratch: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    grade(handed_in, out)
    (out / "lab1" / "anna.json").write_text("{")
    document = json.loads((out / "lab1" / "student0.json").read_text())
    document["report"]["score"] = 999  # no longer the sum of its tests
    (out / "lab1" / "student0.json").write_text(json.dumps(document))
    again = Classroom(handed_in, out, STANDIN, LIMITS)
    assert [work[0].student for work in again.to_run] == ["anna", "student0"]


def test_names_are_no_formulas(tmp_path: Path, scratch: Path) -> None:
    folder = tmp_path / "in"
    for name in ("=HYPERLINK(1)", "-1+1", "a,b\nc", "\x1b[31mred", "long" + "g" * 240):
        (folder / name).mkdir(parents=True)
        (folder / name / "lab1.py").write_text(RIGHT)
    grade(folder, tmp_path / "out")
    with (tmp_path / "out" / "grades.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = {row["student"] for row in rows}
    assert {"'=HYPERLINK(1)", "'-1+1", "a,b\nc", "\\x1b[31mred"} <= names
    assert {row["score"] for row in rows} == {"20"} and len(rows) == 5


def test_the_gradebook_is_not_among_the_submissions(handed_in: Path) -> None:
    for out in (handed_in, handed_in / "grades"):
        with pytest.raises(UserError, match="choose a folder outside of"):
            Classroom(handed_in, out, STANDIN, LIMITS)
    assert not (handed_in / "grades").exists()


def test_a_gradebook_that_cannot_be_written(handed_in: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write there"):
        Classroom(handed_in, tmp_path / "file" / "out", STANDIN, LIMITS)

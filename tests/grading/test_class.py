"""A class with everything in it: each gets what is right for it, and nothing else is touched."""

from __future__ import annotations

import csv
import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import LIMITS, RIGHT, STANDIN
from generate import FILES, Expected, Sources, generate
from hostile import PAYLOADS

from monitor.grading.classroom import Classroom
from monitor.grading.verdict import Grade

# Nothing of this depends on the interpreter: once, on the compiled build, is enough.
pytestmark = pytest.mark.slow

COUNT, SEED = 60, 1999
WRONG = (RIGHT.replace("a + a", "a"), RIGHT.replace("hello", "bye"), "def add(a, b): return a + b")
WRONG_SCORES = {10, 15, 5}
FULL = 20


@dataclass(frozen=True)
class Graded:
    expected: dict[str, Expected]
    grades: dict[str, Grade]
    rows: dict[str, dict[str, str]]
    before: dict[str, str]
    after: dict[str, str]
    gradebook: Path
    scratch: Path


def tree(folder: Path) -> dict[str, str]:
    """Names, modes, and what is in it; large files by their size."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else str(status.st_size)
        if stat.S_ISREG(status.st_mode) and status.st_size < 1 << 20:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(folder))] = f"{status.st_mode:o} {status.st_mtime_ns} {content}"
    return found


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    folder, out, scratch = (tmp_path_factory.mktemp(name) for name in ("in", "out", "scratch"))
    (out / "grades.csv").write_text("from before")
    expected = generate(folder, out, lab=1, sources=Sources(RIGHT, WRONG), count=COUNT, seed=SEED)
    before = tree(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(scratch))
        classroom = Classroom(folder, out, STANDIN, LIMITS)
        for _ in classroom.grade(jobs=2):
            pass
    with (out / "grades.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["student"]: row for row in csv.DictReader(stream)}
    grades = {grade.student: grade for grade in classroom.grades}
    return Graded(expected, grades, rows, before, tree(folder), out, scratch)


@pytest.mark.parametrize("kind", [payload.name for payload in PAYLOADS] + [row[0] for row in FILES]
                         + ["right", "wrong", "missing"])  # fmt: skip
def test_each_kind_gets_what_is_right_for_it(graded: Graded, kind: str) -> None:
    students = [name for name, expected in graded.expected.items() if expected.kind == kind]
    assert students
    for student in students:
        expected, grade = graded.expected[student], graded.grades[student]
        assert grade.status == expected.status, grade
        scores = WRONG_SCORES if expected.full is None else {FULL * expected.full}
        assert grade.score in scores, grade
        assert expected.flags <= set(grade.flags), grade


def test_the_right_and_the_wrong_are_not_suspected(graded: Graded) -> None:
    for student, expected in graded.expected.items():
        if expected.kind in ("right", "wrong", "missing", "CRLF and BOM"):
            assert graded.grades[student].flags == (), student


def test_every_row_is_in_the_table_in_order(graded: Graded) -> None:
    assert list(graded.rows) == sorted(graded.expected)
    for student, grade in graded.grades.items():
        row = graded.rows[student]
        assert (row["status"], row["score"]) == (grade.status, str(grade.score))
        assert row["out_of"] == str(FULL)


def test_every_student_has_a_text_and_the_data(graded: Graded) -> None:
    for student in graded.expected:
        text = (graded.gradebook / "lab1" / f"{student}.txt").read_text(encoding="utf-8")
        assert text.startswith(f"Lab 1: {student}\n{graded.grades[student].score} of {FULL} points")
        assert "\x1b" not in text and str(graded.scratch) not in text
        assert (graded.gradebook / "lab1" / f"{student}.json").stat().st_size > 100


def test_the_submissions_are_as_they_were(graded: Graded) -> None:
    assert graded.after == graded.before


def test_the_gradebook_holds_nothing_else(graded: Graded) -> None:
    wanted = {f"lab1/{name}.{end}" for name in graded.expected for end in ("txt", "json")}
    assert set(tree(graded.gradebook)) == wanted | {"lab1", "grades.csv"}


def test_no_file_stays(graded: Graded) -> None:
    assert list(graded.scratch.iterdir()) == []
    for path in ("/tmp/created", "/tmp/made", "/tmp/node", "/tmp/hoard", "/dev/shm/hoard"):
        assert not os.path.lexists(path)


def test_no_process_stays(graded: Graded) -> None:
    """A run's processes work in its folder."""
    marker = os.fsencode(str(graded.scratch))
    for place in Path("/proc").glob("[0-9]*"):
        try:
            told = os.fsencode(os.readlink(place / "cwd"))
        except OSError:
            continue  # gone, or not ours
        assert marker not in told, place.name

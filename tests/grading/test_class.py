"""A class with everything in it: each gets what is right for it, and nothing else is touched."""

from __future__ import annotations

import csv
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from generate import FILES, Expected, Sources, generate
from hostile import PAYLOADS
from small_lab import LIMITS, RIGHT, STANDIN

from monitor.grading.classroom import Classroom
from monitor.grading.verdict import Grade

# Nothing of this depends on the interpreter: once, on the compiled build, is enough.
pytestmark = pytest.mark.slow

COUNT, SEED = 60, 1999
# Two of them sleep for ever, and are waited for. Ten times what the longest of the others needs.
CLASS_LIMITS = replace(LIMITS, wall=12)
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


def grade_class(folder: Path, out: Path, scratch: Path) -> Graded:
    (out / "grades.csv").write_text("from before")
    expected = generate(folder, out, lab=1, sources=Sources(RIGHT, WRONG), count=COUNT, seed=SEED)
    before = tree(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(scratch))
        classroom = Classroom(folder, out, STANDIN, CLASS_LIMITS)
        for _ in classroom.grade(jobs=2):
            pass
    with (out / "grades.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["student"]: row for row in csv.DictReader(stream)}
    grades = {grade.student: grade for grade in classroom.grades}
    return Graded(expected, grades, rows, before, tree(folder), out, scratch)


def test_a_class_with_everything_in_it(tmp_path: Path) -> None:
    """One test: the class is graded once, however the tests are spread over processes."""
    places = [tmp_path / name for name in ("in", "out", "scratch")]
    for place in places:
        place.mkdir()
    graded = grade_class(*places)
    kinds = {payload.name for payload in PAYLOADS} | {row[0] for row in FILES}
    assert {each.kind for each in graded.expected.values()} == kinds | {"right", "wrong", "missing"}
    checks = (wrong_grades, wrong_rows, wrong_texts, wrong_folders, left_behind)
    assert [problem for check in checks for problem in check(graded)] == []


def wrong_grades(graded: Graded) -> Iterator[str]:
    for student, expected in graded.expected.items():
        grade = graded.grades[student]
        scores = WRONG_SCORES if expected.full is None else {FULL * expected.full}
        good = grade.status == expected.status and grade.score in scores
        if not good or not expected.flags <= set(grade.flags):
            yield f"{expected}: {grade}"
        if expected.kind in ("right", "wrong", "missing", "CRLF and BOM") and grade.flags:
            yield f"suspected: {expected}: {grade}"


def wrong_rows(graded: Graded) -> Iterator[str]:
    """Every student has one, in order, and it says what the grade says."""
    if list(graded.rows) != sorted(graded.expected):
        yield f"rows: {list(graded.rows)}"
    for student, row in graded.rows.items():
        grade = graded.grades[student]
        wanted = (grade.status, str(grade.score), str(FULL))
        if (row["status"], row["score"], row["out_of"]) != wanted:
            yield f"{row}: {grade}"


def wrong_texts(graded: Graded) -> Iterator[str]:
    for student in graded.expected:
        text = (graded.gradebook / "lab1" / f"{student}.txt").read_text(encoding="utf-8")
        begin = f"Lab 1: {student}\n{graded.grades[student].score} of {FULL} points"
        if not text.startswith(begin) or "\x1b" in text or str(graded.scratch) in text:
            yield text


def wrong_folders(graded: Graded) -> Iterator[str]:
    """The submissions are as they were, and the gradebook holds what it has to hold."""
    for name in graded.before.keys() | graded.after.keys():
        if graded.before.get(name) != graded.after.get(name):
            yield f"changed: {name}"
    wanted = {f"lab1/{name}.{end}" for name in graded.expected for end in ("txt", "json")}
    yield from (tree(graded.gradebook).keys() ^ (wanted | {"lab1", "grades.csv"}))


def left_behind(graded: Graded) -> Iterator[str]:
    yield from (f"stayed: {path}" for path in graded.scratch.iterdir())
    for path in ("/tmp/created", "/tmp/made", "/tmp/node", "/tmp/hoard", "/dev/shm/hoard"):
        if os.path.lexists(path):
            yield f"made: {path}"
    for place in Path("/proc").glob("[0-9]*/cwd"):  # a run's processes work in its folder
        with suppress(OSError):  # gone, or not ours
            if os.readlink(place).startswith(str(graded.scratch)):
                yield f"still runs: {place}"

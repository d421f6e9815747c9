"""The gradebook: a folder that is complete after every run graded, so that grading can go on later.

    grades.csv           a row per student and lab
    lab3/ada.json        everything about one submission
    lab3/ada.txt         the same for the student, to read

No grade in it depends on when, how fast or in which order the submissions ran. A grade is taken
over from an earlier run if the submission, the limits and the labs are still the same (`key`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from monitor.grading import feedback
from monitor.grading.limits import Limits
from monitor.grading.reports import printable, without_points
from monitor.grading.verdict import Grade
from monitor.labs.report import LabReport
from monitor.vmm.errors import UserError
from monitor.writing.whole_file import write_whole

COLUMNS = ("student", "lab", "status", "score", "out_of", "tests_passed", "tests", "flags", "why")
NOT_GRADED = "not graded"  # left out by --only, or by an interruption
LONGEST_NAME = 200  # bytes, of 255 that a file's name may have


class Gradebook:
    def __init__(self, folder: Path) -> None:
        """UserError if the folder cannot be made."""
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / ".writable", "")
            (folder / ".writable").unlink()
        except OSError as error:
            raise self._trouble(error) from error

    def keep(self, grade: Grade, key: str) -> None:
        place = self._place(grade)
        self._write(place.with_name(place.name + ".txt"), feedback.text(grade))
        document = {"key": key, **asdict(grade), "score": grade.score}
        self._write(place.with_name(place.name + ".json"),
                    json.dumps(document, indent=1, ensure_ascii=True) + "\n")  # fmt: skip

    def find(self, student: str, lab: int, key: str) -> Grade | None:
        """A grade from before, if it is for just this."""
        place = self._place(Grade(student, lab, ""))
        try:
            text = place.with_name(place.name + ".json").read_text(encoding="utf-8")
            document: dict[str, Any] = json.loads(text)
            same = (document["key"], document["student"]) == (key, student)
            return _grade(document) if same else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None  # none, or not one of ours: it is graded again

    def write_table(self, grades: Iterable[Grade]) -> None:
        """grades.csv, whole."""
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(COLUMNS)
        for grade in grades:
            writer.writerow(_cell(each) for each in _row(grade))
        self._write(self.folder / "grades.csv", table.getvalue())

    def _place(self, grade: Grade) -> Path:
        name = grade.student
        if len(os.fsencode(name)) > LONGEST_NAME:
            name = "long-" + hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
        return self.folder / f"lab{grade.lab}" / name

    def _write(self, path: Path, text: str) -> None:
        """Whole or not at all."""
        try:
            path.parent.mkdir(exist_ok=True)
            write_whole(path, text)
        except OSError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError) -> UserError:
        why = (error.strerror or "").lower()
        return UserError(f"--out {self.folder}: cannot write there ({why})")


def key(source: bytes, limits: Limits, labs: str) -> str:
    """What a grade depends on; `labs` stands for the code that grades."""
    digest = hashlib.sha256(source).hexdigest()
    return hashlib.sha256(f"{digest} {limits} {labs}".encode()).hexdigest()


def with_totals(grades: list[Grade]) -> list[Grade]:
    """Submissions that never ran get their lab's empty report, so that 0 is 0 of something."""
    known: dict[int, LabReport] = {}
    for grade in grades:
        if grade.report is not None:
            known.setdefault(grade.lab, without_points(grade.report, NOT_GRADED))
    return [
        grade if grade.report or grade.status == NOT_GRADED
        else replace(grade, report=known.get(grade.lab))
        for grade in grades
    ]  # fmt: skip


def _grade(document: dict[str, Any]) -> Grade:
    report = document["report"]
    return Grade(
        document["student"], document["lab"], document["status"],
        report and LabReport.from_json(json.dumps(report)), document["why"],
        tuple(document["flags"]), tuple(document["notes"]), document["printed"],
    )  # fmt: skip


def _row(grade: Grade) -> tuple[object, ...]:
    report = grade.report
    passed = sum(result.passed for result in report.results) if report else ""
    score = "" if grade.status == NOT_GRADED else grade.score
    return (grade.student, grade.lab, grade.status, score, report.out_of if report else "", passed,
            len(report.results) if report else "", " ".join(grade.flags), grade.why)  # fmt: skip


def _cell(value: object) -> object:
    """Text that a spreadsheet takes for text: a name may begin with an equals sign."""
    if isinstance(value, str):
        value = printable(value)
        if value.startswith(("=", "+", "-", "@", "\t")):
            return f"'{value}"
    return value

"""Grade a class: what is there, what was graded before, what has to run, and the gradebook.

    classroom = Classroom(Path("submissions"), Path("grades"), LABS, Limits())
    for grade in classroom.grade(jobs=2):
        ...
    classroom.grades  # all of them, in the gradebook's order
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from monitor.grading import gradebook, pool, submissions
from monitor.grading.gradebook import NOT_GRADED, Gradebook
from monitor.grading.limits import Limits
from monitor.grading.reports import printable
from monitor.grading.sandbox import SOURCES, Sandbox
from monitor.grading.submissions import Rejected, Submission
from monitor.grading.verdict import BROKEN_RUN, MISNAMED, MISSING, REJECTED, Grade
from monitor.labs import PARTS
from monitor.vmm.errors import UserError


@dataclass(frozen=True)
class Course:
    """Which code grades: `check` is "module:class" (worker.py), found in `sources`."""

    check: str
    sources: Path
    extra: tuple[Path, ...] = ()
    parts: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # what submissions define

    def digest(self) -> str:
        """Of the sources: other code may give other grades."""
        found = hashlib.sha256()
        for path in sorted(self.sources.rglob("*.py")):
            found.update(path.read_bytes())
        return found.hexdigest()


LABS = Course("monitor.labs.check:Check", SOURCES / "monitor" / "labs", parts=PARTS)


class Classroom:
    """A class's submissions and their gradebook."""

    def __init__(
        self, folder: Path, out: Path, course: Course, limits: Limits, *,
        labs: Iterable[int] = (), only: Iterable[str] = (), again: bool = False,
        take_strays: bool = False,
    ) -> None:
        """UserError where the folders cannot be used, or `only` names nobody."""
        _check_apart(folder, out)
        handed_in = submissions.find(folder, labs, course.parts, take_strays=take_strays)
        self.submissions = handed_in.submissions
        self.ignored = handed_in.ignored
        self._only = set(only)
        self.strays = [each for each in handed_in.strays
                       if not self._only or each.student in {"", *self._only}]  # fmt: skip
        _check_names(self._only, {each.student for each in self.submissions})
        self._limits = limits
        self._again = again
        self._digest = course.digest()
        self._sandbox = Sandbox(course.check, limits, course.extra)
        self._book = Gradebook(out)
        self._grades: dict[tuple[str, int], Grade] = {}
        self.to_run = [work for each in self.submissions for work in self._without_run(each)]
        self.kept = len(self._grades)

    @property
    def grades(self) -> list[Grade]:
        """In order of students and labs; what was not graded says so."""
        return gradebook.with_totals([
            self._grades.get((each.student, each.lab))
            or Grade(each.student, each.lab, NOT_GRADED)
            for each in self.submissions
        ])  # fmt: skip

    def grade(self, jobs: int) -> Generator[Grade, None, None]:
        """Each as it is graded; the gradebook's table is written at the end, however it comes."""
        try:
            with closing(pool.run_all(self.to_run, self._sandbox, jobs)) as results:
                for (submission, source), found in results:
                    grade = _as_taken(found, submission)
                    self._grades[submission.student, submission.lab] = grade
                    if grade.status != BROKEN_RUN:
                        self._book.keep(grade, self._key(submission, source))
                    yield grade
        finally:
            self._finish()

    def _finish(self) -> None:
        for grade in self.grades:
            if grade.status in (MISSING, MISNAMED, REJECTED):
                self._book.keep(grade, "")
        self._book.write_table(self.grades)

    def _without_run(self, submission: Submission) -> list[pool.Work]:
        """Grades what needs no run; what is left to do."""
        wanted = not self._only or submission.student in self._only
        student, lab = submission.student, submission.lab
        grade: Grade | None
        if submission.strays:
            why = printable("; ".join(each.why for each in submission.strays))
            grade = Grade(student, lab, MISNAMED, why=why, flags=(MISNAMED,))
        elif submission.missing:
            grade = Grade(student, lab, MISSING)
        else:
            try:
                source = submission.read(self._limits.submission)
            except Rejected as why:
                grade = Grade(student, lab, REJECTED, why=printable(str(why)), flags=(REJECTED,))
            else:
                grade = self._book.find(student, lab, self._key(submission, source))
                if wanted and (grade is None or self._again):
                    return [(submission, source)]
        if grade is not None:
            self._grades[student, lab] = grade
        return []

    def _key(self, submission: Submission, source: bytes) -> str:
        taken = f" {submission.taken.shown}" if submission.taken else ""
        return gradebook.key(source, self._limits, self._digest + taken)


def _as_taken(grade: Grade, submission: Submission) -> Grade:
    """Says so if it was for a file of another name."""
    if submission.taken is None:
        return grade
    note = printable(f"{MISNAMED}: {submission.taken.why}; taken for it")
    return replace(grade, flags=tuple(sorted({*grade.flags, MISNAMED})),
                   notes=(note, *grade.notes))  # fmt: skip


def _check_apart(folder: Path, out: Path) -> None:
    """Grading writes nothing among the submissions."""
    if out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"--out {out}: choose a folder outside of {folder}")


def _check_names(only: set[str], students: set[str]) -> None:
    unknown = sorted(only - students)
    if unknown:
        raise UserError(f"--only {unknown[0]}: no such student among {len(students)}")

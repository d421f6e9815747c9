"""A grade as a text for the student: each test, what was wrong, and what was printed in it."""

from __future__ import annotations

from monitor.grading.reports import printable
from monitor.grading.verdict import GRADED, Grade

PRINTED = 4000  # characters


def text(grade: Grade) -> str:
    lines = [f"Lab {grade.lab}: {printable(grade.student)}", _status(grade), ""]
    for result in grade.report.results if grade.report else ():
        mark = "ok" if result.passed else "--"
        lines.append(f"[{mark}] {result.points} of {result.out_of}  {result.name}")
        lines += [f"     {line}" for line in result.feedback.splitlines()]
        if result.printed:
            lines.append("     it printed:")
            lines += [f"     | {line}" for line in result.printed.split("\n")]
    if grade.notes:
        lines += ["", "The grader noticed:", *(f"  {note}" for note in grade.notes)]
    by_test = grade.report and any(result.printed for result in grade.report.results)
    if grade.printed and not by_test:
        lines += ["", "The program printed:", grade.printed[:PRINTED].rstrip("\n")]
        if len(grade.printed) > PRINTED:
            lines.append("... (more is left out)")
    return "\n".join(lines) + "\n"


def _status(grade: Grade) -> str:
    score = f"{grade.score} of {grade.report.out_of} points" if grade.report else "0 points"
    if grade.status == GRADED:
        return score
    return f"{score}; {grade.status}: {grade.why}" if grade.why else f"{score}; {grade.status}"

"""A class's grades as tables for a terminal: how they are spread, what fails, what to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import mean, median

from rich import box
from rich.text import Text

from monitor.grading.gradebook import NOT_GRADED
from monitor.grading.misnamed import Stray
from monitor.grading.reports import printable
from monitor.grading.verdict import GRADED, MISNAMED, MISSING, Grade
from monitor.writing.whole_table import Table

BINS = 10
BAR = 40  # columns
FAILING = 8  # tests to show
NOTES = 3  # of one submission
NOBODY = (MISSING, MISNAMED)  # statuses without a submission


def tables(grades: Sequence[Grade], strays: Sequence[Stray] = ()) -> Iterator[Table]:
    """For each lab its scores and what fails most; then everything to look at."""
    for lab in sorted({grade.lab for grade in grades}):
        of_lab = [grade for grade in grades if grade.lab == lab and grade.status != NOT_GRADED]
        if of_lab:
            yield _distribution(lab, of_lab)
            yield from _failing(lab, of_lab)
    yield from _suspicious(grades, strays)


def _distribution(lab: int, grades: Sequence[Grade]) -> Table:
    handed_in = [grade for grade in grades if grade.status not in NOBODY]
    scores = [grade.score for grade in handed_in]
    most = max((grade.report.out_of for grade in grades if grade.report), default=0)
    statuses = Counter(grade.status for grade in grades)
    said = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
    title = f"Lab {lab}: {said}"
    if scores:
        title += f"; mean {mean(scores):.1f}, median {median(scores):g} of {most}"
    table = Table("points", "students", "", box=box.SIMPLE_HEAD, title=title)
    counts = Counter(_bin(score, most) for score in scores)
    tallest = max(counts.values(), default=1)
    for number in range(BINS):
        count = counts[number]
        low, high = (-(-most * edge // BINS) for edge in (number, number + 1))
        last = high if number == BINS - 1 else max(low, high - 1)
        table.add_row(f"{low} to {last}", str(count), "█" * -(-BAR * count // tallest))
    return table


def _bin(score: int, most: int) -> int:
    return min(BINS - 1, score * BINS // most) if most else 0


def _failing(lab: int, grades: Sequence[Grade]) -> Iterator[Table]:
    ran = [grade.report for grade in grades if grade.report and grade.status not in NOBODY]
    failed = Counter(each.name for report in ran for each in report.results if not each.passed)
    if not failed:
        return
    table = Table("fails for", "test", box=box.SIMPLE_HEAD,
                  title=f"Lab {lab}: what fails most, of {len(ran)} handed in")  # fmt: skip
    order = {each.name: place for place, each in enumerate(ran[0].results)}
    ranked = sorted(failed, key=lambda name: (-failed[name], order.get(name, 0)))
    for name in ranked[:FAILING]:
        table.add_row(str(failed[name]), name)
    yield table


def _suspicious(grades: Sequence[Grade], strays: Sequence[Stray]) -> Iterator[Table]:
    odd = [grade for grade in grades if grade.flags]
    if not odd and not strays:
        return
    table = Table("student", "lab", "status", "points", "look at", box=box.SIMPLE_HEAD,
                  title=f"To look at: {len(odd) + len(strays)}", title_justify="left",
                  keys=2)  # fmt: skip
    for grade in odd:
        status = Text(grade.status, "" if grade.status == GRADED else "red")
        table.add_row(printable(grade.student), str(grade.lab), status, str(grade.score),
                      _looks(grade))  # fmt: skip
    for stray in strays:
        table.add_row(printable(stray.student or "?"), str(stray.lab or "?"),
                      Text(MISNAMED, "red"), "", printable(stray.why))  # fmt: skip
    yield table


def _looks(grade: Grade) -> str:
    lines = [" ".join(grade.flags), grade.why, *grade.notes[:NOTES]]
    if len(grade.notes) > NOTES:
        lines.append(f"and {len(grade.notes) - NOTES} more")
    return "\n".join(line for line in lines if line)

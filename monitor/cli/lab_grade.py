"""Grade a class: every submission of a folder, in processes that cannot harm the host.

vp lab grade submissions --out grades

DIR has a folder (NAME/lab3.py) or a file (lab3-NAME.py) for each student, and is only read. --out
gets grades.csv, and for each submission a JSON file and a text for the student. What has been
graded there before is not graded again unless the submission, the limits or the labs have changed.
docs/grading.md says what a submission can and cannot do.

Exit status: 0 if every submission was graded, whatever its grade; 1 if the grader itself had
trouble with one, or with --check-host if the host lacks a protection; 2 for bad usage.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.cli.pieces import positive
from monitor.cli.progress import bar
from monitor.errors import UserError

if TYPE_CHECKING:
    from monitor.grading.classroom import Classroom
    from monitor.grading.limits import Limits
    from monitor.grading.verdict import Grade

NAME = "grade"
HELP = "grade a class's submissions, with limits on what they can do"
BROKEN_STATUS = 1
DEFAULT_OUT = Path("grades")
CPU, CPU_UNCOMPILED = 50, 600  # seconds
WALL_PER_CPU = 4
PIPE_WIDTH = 120  # columns where the output is no terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR",
                        help="the submissions: NAME/lab3.py or lab3-NAME.py")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, metavar="DIR",
                        help=f"where the grades go (default {DEFAULT_OUT})")
    parser.add_argument("--lab", type=positive, action="append", default=[], metavar="N",
                        help="only this lab; may be repeated (default: all that were handed in)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        help="only this student; may be repeated")
    parser.add_argument("--again", action="store_true", help="grade also what was graded before")
    parser.add_argument("--jobs", type=positive, metavar="N",
                        help="submissions at once (default: as many as processors)")
    parser.add_argument("--cpu", type=positive, metavar="SECONDS",
                        help=f"processor time of one submission (default {CPU})")
    parser.add_argument("--wall", type=positive, metavar="SECONDS",
                        help=f"time that may pass (default: {WALL_PER_CPU} times --cpu)")
    parser.add_argument("--memory", type=positive, metavar="MIB",
                        help="memory of one submission (default 1024)")
    parser.add_argument("--check-host", action="store_true",
                        help="say what this host can protect against, and grade nothing")


def run(args: argparse.Namespace) -> int:
    from monitor.grading import protections

    limits = _limits(args)
    if args.check_host:
        return _show_host(limits)
    if args.folder is None:
        raise UserError("vp lab grade takes a folder of submissions; --help shows how to name them")
    _check_labs(args.lab)
    warning = protections.require([args.folder, args.out])
    classroom = _classroom(args, limits)
    error = _console(stderr=True)
    if warning:
        error.print(f"vp: {warning}", soft_wrap=True, markup=False)
    _grade(classroom, args.jobs or len(os.sched_getaffinity(0)))
    return _show(classroom, args.out)


def _limits(args: argparse.Namespace) -> Limits:
    from bt.engine import BUILD
    from monitor.grading.limits import Limits

    given = {"cpu": args.cpu or (CPU if BUILD == "compiled" else CPU_UNCOMPILED),
             "wall": args.wall, "memory": args.memory}  # fmt: skip
    if args.wall is None:
        given["wall"] = WALL_PER_CPU * given["cpu"]
    return Limits(**{name: value for name, value in given.items() if value is not None})


def _check_labs(numbers: list[int]) -> None:
    from monitor.labs import find_lab

    for number in numbers:
        find_lab(number)


def _classroom(args: argparse.Namespace, limits: Limits) -> Classroom:
    from monitor.grading.classroom import LABS, Classroom

    return Classroom(args.folder, args.out, LABS, limits, labs=args.lab, only=args.only,
                     again=args.again)  # fmt: skip


def _grade(classroom: Classroom, jobs: int) -> None:
    total = len(classroom.to_run)
    with bar("grading", total) as shown, closing(classroom.grade(jobs)) as grades:
        for number, grade in enumerate(grades, 1):
            shown.advance(f"{number} of {total}, {_last(grade)}")


def _last(grade: Grade) -> str:
    from monitor.grading.reports import printable

    return f"{printable(grade.student)}: {grade.status} {grade.score}"


def _show(classroom: Classroom, out: Path) -> int:
    from monitor.grading import summary
    from monitor.grading.verdict import BROKEN_RUN

    console = _console()
    grades = classroom.grades
    for table in summary.tables(grades):
        console.print(table)
    for line in _endnotes(classroom, out):
        console.print(line, soft_wrap=True, markup=False)
    return BROKEN_STATUS if any(grade.status == BROKEN_RUN for grade in grades) else 0


def _endnotes(classroom: Classroom, out: Path) -> Iterator[str]:
    from monitor.grading.reports import printable
    from monitor.grading.verdict import BROKEN_RUN

    ignored = [printable(name) for name in classroom.ignored]
    if ignored:
        yield f"ignored in the folder: {', '.join(ignored)}"
    for grade in classroom.grades:
        if grade.status == BROKEN_RUN:
            yield f"not graded, by no fault of its own: {printable(grade.student)} ({grade.why})"
    ran = len(classroom.to_run)
    yield f"vp: graded {ran}, {classroom.kept} needed no run; {out / 'grades.csv'}"


def _show_host(limits: Limits) -> int:
    from rich import box
    from rich.table import Table

    from monitor.grading import protections

    table = Table("against", "", "how", box=box.SIMPLE_HEAD)
    found = protections.of_this_host(limits)
    for each in found:
        table.add_row(each.against, "[green]yes[/]" if each.there else "[red]no[/]", each.how)
    _console().print(table)
    return 0 if all(each.there for each in found) else BROKEN_STATUS


def _console(**options: Any) -> Any:
    from rich.console import Console

    console = Console(highlight=False, **options)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console

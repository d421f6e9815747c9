"""Grade a class: every submission of a folder, in processes that cannot harm the host.

vp lab grade submissions --out grades

DIR has a folder (NAME/lab3.py) or a file (lab3-NAME.py) for each student, and is only read. What is
named otherwise, or has another lab's functions inside, is not graded, but told, with a guess. --out
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
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.cli.json_output import JsonOutput, add_json
from monitor.cli.quantities import positive, positive_size, whole_seconds
from monitor.vmm.errors import UserError
from monitor.writing.progress import bar

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR",
                        help="the submissions: NAME/lab3.py or lab3-NAME.py")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, metavar="DIR",
                        help=f"where the grades go (default {DEFAULT_OUT})")
    parser.add_argument("--lab", type=positive, action="append", default=[], metavar="N",
                        help="only this lab; may be repeated (default: all that were handed in)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        help="only this student; may be repeated")
    parser.add_argument("--take-misnamed", action="store_true",
                        help="grade a file of another name as what it is guessed to be, if that is "
                        "clear and nothing else was handed in for it")
    parser.add_argument("--again", action="store_true", help="grade also what was graded before")
    parser.add_argument("--jobs", type=positive, metavar="N",
                        help="submissions at once (default: as many as processors)")
    parser.add_argument("--cpu", type=whole_seconds, metavar="SECONDS",
                        help=f"processor time of one submission (default {CPU})")
    parser.add_argument("--wall", type=whole_seconds, metavar="SECONDS",
                        help=f"time that may pass (default: {WALL_PER_CPU} times --cpu)")
    parser.add_argument("--memory", type=positive_size, metavar="MIB",
                        help="memory of one submission (default 1024)")
    parser.add_argument("--check-host", action="store_true",
                        help="say what this host can protect against, and grade nothing")
    add_json(parser, "the grades, or with --check-host the protections,")


def run(args: argparse.Namespace) -> int:
    from monitor.grading import protections

    limits = _limits(args)
    if args.check_host:
        return _show_host(limits, args.json)
    if args.folder is None:
        raise UserError("vp lab grade takes a folder of submissions; --help shows how to name them")
    _check_labs(args.lab)
    warning = protections.require([args.folder, args.out])
    error = _console(stderr=True)
    with JsonOutput(args.json) as json:
        classroom = _classroom(args, limits)
        if warning:
            error.print(f"vp: {warning}", soft_wrap=True, markup=False)
        _grade(classroom, args.jobs or len(os.sched_getaffinity(0)))
        json.write(lambda: _document(classroom))
    return _show(classroom, args.out, shown=not json.alone)


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
                     again=args.again, take_strays=args.take_misnamed)  # fmt: skip


def _grade(classroom: Classroom, jobs: int) -> None:
    total = len(classroom.to_run)
    with bar("grading", total) as shown, closing(classroom.grade(jobs)) as grades:
        for number, grade in enumerate(grades, 1):
            shown.advance(f"{number} of {total}, {_last(grade)}")


def _last(grade: Grade) -> str:
    from monitor.grading.reports import printable

    return f"{printable(grade.student)}: {grade.status} {grade.score}"


def _document(classroom: Classroom) -> dict[str, Any]:
    """For JSON: what each submission printed is in its file of --out, and not here."""
    grades = [asdict(grade) | {"score": grade.score} for grade in classroom.grades]
    for grade in grades:
        del grade["printed"]
    return {"grades": grades, "graded": len(classroom.to_run), "kept": classroom.kept,
            "ignored": list(classroom.ignored)}  # fmt: skip


def _show(classroom: Classroom, out: Path, shown: bool) -> int:
    from monitor.grading import summary
    from monitor.grading.verdict import BROKEN_RUN

    console = _console()
    grades = classroom.grades
    if shown:
        for table in summary.tables(grades, classroom.strays):
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


def _show_host(limits: Limits, name: str | None) -> int:
    from rich import box
    from rich.text import Text

    from monitor.grading import protections
    from monitor.writing.whole_table import Table

    table = Table("against", "", "how", box=box.SIMPLE_HEAD)
    found = protections.of_this_host(limits)
    for each in found:
        there = Text("yes", "green") if each.there else Text("no", "red")
        table.add_row(each.against, there, each.how)
    with JsonOutput(name) as json:
        json.write(lambda: {"protections": [asdict(each) for each in found]})
    if not json.alone:
        _console().print(table)
    return 0 if all(each.there for each in found) else BROKEN_STATUS


def _console(**options: Any) -> Any:
    from monitor.writing.whole_console import whole_console

    return whole_console(**options)

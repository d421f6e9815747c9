"""Hand out, check and grade the labs of a course on virtual machine monitors.

    vp lab list              the labs
    vp lab start N [DIR]     copy lab N's handout and skeleton to DIR (default: here)
    vp lab check N [FILE]    run the lab's tests on FILE (default: labN.py); those behind one that
                             timed out only with --all
    vp lab grade DIR         a whole class, in processes that can do no harm

notebooks/labs/README.md is for the teacher. `check` runs the file in a process of its own, with no
limits but time: it is for one's own work. docs/grading.md says what limits `grade` has.

Exit status: 0 done, and the full score; 1 less than that, or a submission that could not be graded;
2 bad usage or input.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.cli import lab_grade
from monitor.cli.json_output import JsonOutput, add_json
from monitor.vmm.errors import UserError
from monitor.writing.progress import bar
from monitor.writing.whole_file import write_whole

if TYPE_CHECKING:
    from monitor.labs.report import LabReport

NAME = "lab"
HELP = "labs for a course: start one, check it, grade a class"
EXAMPLES = (
    "vp lab list",
    "vp lab start 3 my-work",
    "vp lab check 3 my-work/lab3.py",
    "vp lab check 3 my-work/lab3.py --all",
    "vp lab check 3 my-work/lab3.py --json",
    "vp lab grade submissions --out grades --lab 3",
)
HANDOUT = "handout.md"
INDENT = " " * 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the labs")
    add_json(listing, "the list")
    listing.set_defaults(act=_list)
    start = actions.add_parser("start", help="copy a handout and its skeleton")
    start.add_argument("number", type=int, metavar="N", help="which lab")
    start.add_argument("folder", type=Path, nargs="?", default=Path(), metavar="DIR",
                       help="where to (default: here)")
    start.set_defaults(act=_start)
    check = actions.add_parser("check", help="run a lab's tests")
    check.add_argument("number", type=int, metavar="N", help="which lab")
    check.add_argument("file", type=Path, nargs="?", metavar="FILE",
                       help="the submission (default labN.py)")
    check.add_argument("--all", action="store_true",
                       help="go on after a test that timed out")
    add_json(check, "the report")
    check.set_defaults(act=_check)
    grade = actions.add_parser(lab_grade.NAME, help=lab_grade.HELP, description=lab_grade.__doc__,
                               formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    lab_grade.add_arguments(grade)
    grade.set_defaults(act=lab_grade.run)


def run(args: argparse.Namespace) -> int:
    status: int = args.act(args)
    return status


def _list(args: argparse.Namespace) -> int:
    from monitor.labs import all_labs

    labs = [
        {"number": lab.number, "title": lab.title,
         "points": sum(case.points for case in lab.cases()), "tests": len(lab.cases())}
        for lab in all_labs()
    ]  # fmt: skip
    with JsonOutput(args.json) as json:
        json.write(lambda: {"labs": labs})
        if not json.alone:
            for lab in labs:
                print("{number}  {title:48} {points} points, {tests} tests".format(**lab))
    return 0


def _start(args: argparse.Namespace) -> int:
    from monitor.labs import find_lab

    lab = find_lab(args.number)
    wanted = [lab.folder / HANDOUT, lab.folder / lab.file_name]
    goals = [args.folder / f"lab{lab.number}.md", args.folder / lab.file_name]
    for goal in goals:
        if goal.exists():
            raise UserError(f"{goal} is there already: move it away, or name another folder")
    try:
        args.folder.mkdir(parents=True, exist_ok=True)
        for source, goal in zip(wanted, goals, strict=True):
            text = source.read_bytes()
            if goal.name == lab.file_name:  # the handout has another name there
                text = text.replace(HANDOUT.encode(), goals[0].name.encode())
            write_whole(goal, text)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UserError(f"{args.folder}: cannot write there ({why})") from None
    print(f"{goals[0]}  read this\n{goals[1]}  complete this; grade it with")
    print(f"vp lab check {lab.number} {goals[1]}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from monitor.labs import find_lab
    from monitor.labs.process import check_in_process

    path = args.file if args.file is not None else Path(find_lab(args.number).file_name)
    names = [case.name for case in find_lab(args.number).cases()]
    with JsonOutput(args.json) as json:
        with bar("checking", len(names)) as shown:

            def on_test(test: int) -> None:
                shown.reach(test, names[test] if test < len(names) else None)

            report = check_in_process(args.number, path, run_all=args.all, on_test=on_test)
        json.write(lambda: asdict(report))
        if not json.alone:
            _show(report)
    return 0 if report.full else 1


def _show(report: LabReport) -> None:
    from monitor.labs.check import NOT_RUN

    console = _console()
    said = ""
    for result in report.results:
        mark, style = ("passed", "green") if result.passed else ("failed", "red")
        points = f"{result.points}/{result.out_of}"
        console.print(f"{mark}  {points:>5}  {result.name}", style=style)
        short = result.feedback.startswith(NOT_RUN)  # and is said each time
        same = result.feedback and result.feedback == said and not short
        said = result.feedback or said
        for line in _lines("as above" if same else result.feedback, result.printed):
            console.print(line, soft_wrap=True)
    console.print(f"lab {report.lab}: {report.score} of {report.out_of} points", style="bold")


def _lines(feedback: str, printed: str) -> Iterator[str]:
    """What stands below a test: what is said of it, and apart from that what the file printed."""
    from monitor.grading.reports import printable

    for line in feedback.splitlines():
        yield f"{INDENT}{line}"
    if printed:
        yield f"{INDENT}it printed:"
    for line in printed.split("\n") if printed else ():
        yield f"{INDENT}| {printable(line)}"


def _console() -> Any:
    from monitor.cli.pieces import plain_console

    return plain_console()

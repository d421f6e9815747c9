"""Check one submission in a process of its own.

    python -m monitor.labs.worker 3 lab3.py --report-fd 5 5>report.json

The report goes to the file descriptor, as JSON (report.py), and nowhere else: what the submission
prints goes where it likes to print, with `--marks` in between (printed.py). Exit status 0: there is
a report, whatever the score; 2: bad usage. A submission that makes the machine itself loop, or
catches what should end a test, is given up GRACE seconds after the test's time, or after
`--seconds` in all, with a report on the tests before. Limits on memory, files and processes are the
caller's to set; and since a submission can do anything that this process can, it could write a
report of its own.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bt.engine import BUILD
from monitor.labs.printed import Marks
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from monitor.labs.check import Check

SECONDS = 100.0 if BUILD == "compiled" else 1200.0
GRACE = 2.0  # seconds that Python has to end a test
LOOKS = 4  # a second
STANDARD_OUTPUT = 1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m monitor.labs.worker", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("number", type=int, help="which lab")
    parser.add_argument("file", type=Path, help="the submission")
    parser.add_argument("--report-fd", type=int, required=True, metavar="N",
                        help="an open file descriptor for the report")
    parser.add_argument("--seconds", type=float, default=SECONDS,
                        help=f"limit for all tests together (default {SECONDS:g})")
    parser.add_argument("--all", action="store_true", help="go on after a test that timed out")
    parser.add_argument("--marks", metavar="TOKEN",
                        help="say on standard output which test and case begins")
    options = parser.parse_args(arguments)
    try:
        channel = Channel(options.report_fd)
    except OSError:
        print(f"worker: --report-fd {options.report_fd} is not open", file=sys.stderr)
        return UserError.status
    try:
        _check(options, channel)
    except UserError as error:
        print(f"worker: {error}", file=sys.stderr)
        return error.status
    return 0


def _leave_folder() -> None:
    """A submission is one file, as in grading: nothing in the current folder is to be imported."""
    for package in ("bt", "devices"):  # found by then, if the current folder is the project's
        importlib.import_module(package)
    if sys.path and sys.path[0] in ("", os.getcwd()):  # -m puts it there
        del sys.path[0]


def _check(options: argparse.Namespace, channel: Channel) -> None:
    from monitor.labs.check import Check

    _leave_folder()
    marks = Marks(STANDARD_OUTPUT, options.marks) if options.marks else None
    check = Check(options.number, options.file, stop_after_timeout=not options.all,
                  on_case=marks.begin if marks else lambda _test, _name: None)  # fmt: skip
    watchdog = threading.Thread(target=_watch, args=(check, channel, options.seconds), daemon=True)
    watchdog.start()
    channel.send(check.run().to_json())


def _watch(check: Check, channel: Channel, seconds: float) -> None:
    """Ends this process when a test has gone on for too long, or all of them together."""
    end = time.monotonic() + seconds
    while len(check.results) < len(check.cases):
        time.sleep(1 / LOOKS)
        if time.monotonic() > end:
            _give_up(check, channel, f"still running when the {seconds:g} seconds for all tests "
                                     "were over")  # fmt: skip
        elif check.overdue(GRACE):
            _give_up(check, channel, f"still running after {check.limit:g} seconds, and could not "
                                     "be interrupted; is this a loop without an end?")  # fmt: skip


def _give_up(check: Check, channel: Channel, why: str) -> None:
    running = check.cases[len(check.results)].name
    rest = f'not run, since the process had to be ended in "{running}"'
    channel.send(check.report(why, rest).to_json())
    os._exit(0)


class Channel:
    """The way for the report: a copy of the descriptor, so that printing does not get there."""

    def __init__(self, descriptor: int) -> None:
        self._copy = os.dup(descriptor)
        with open(os.devnull, "r+b") as nowhere:
            os.dup2(nowhere.fileno(), descriptor)
        self._sending = threading.Lock()

    def send(self, text: str) -> None:
        """Once: who comes second, comes too late."""
        if self._sending.acquire(blocking=False):
            with os.fdopen(self._copy, "w") as stream:
                stream.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())

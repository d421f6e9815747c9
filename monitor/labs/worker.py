"""Check one submission in a process of its own.

    python -m monitor.labs.worker 3 lab3.py --report-fd 5 5>report.json

The report goes to the file descriptor, as JSON (report.py), and nowhere else: what the submission
prints goes where it likes to print. Exit status 0: there is a report, whatever the score; 2: bad
usage. A submission that makes the machine itself loop is given up after `--seconds`, with a report
on the tests before. Limits on memory, files and processes are the
caller's to set; and since a submission can do anything that this process can, it could write a
report of its own.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from monitor.errors import UserError

SECONDS = 100.0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m monitor.labs.worker", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("number", type=int, help="which lab")
    parser.add_argument("file", type=Path, help="the submission")
    parser.add_argument("--report-fd", type=int, required=True, metavar="N",
                        help="an open file descriptor for the report")
    parser.add_argument("--seconds", type=float, default=SECONDS,
                        help=f"limit for all tests together (default {SECONDS:g})")
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


def _check(options: argparse.Namespace, channel: Channel) -> None:
    from monitor.labs.check import Check

    check = Check(options.number, options.file)

    def give_up() -> None:
        why = f"still running when the {options.seconds:g} seconds for all tests were over"
        channel.send(check.report(why).to_json())
        os._exit(0)

    watchdog = threading.Timer(options.seconds, give_up)
    watchdog.daemon = True
    watchdog.start()
    report = check.run()
    watchdog.cancel()
    channel.send(report.to_json())


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

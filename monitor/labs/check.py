"""Check a submission: import it, run the lab's tests in this process, report.

    report = check_lab(3, Path("lab3.py"))

A test ends after LIMIT seconds, as far as Python can end it: in a loop of the submission's. Where
a submission has made the machine itself loop, only the end of the process helps; worker.py sees to
that, and knows from `Check` how far it had come.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from bt.engine import BUILD
from monitor.labs import find_lab
from monitor.labs.cases import Case, Failed
from monitor.labs.report import LabReport, TestResult
from monitor.labs.submission import Submission, check_readable, describe, load

LIMIT = 20.0 if BUILD == "compiled" else 240.0  # seconds for a test; a right submission needs few
NOT_RUN = "not run"
MOST = 4000  # characters of feedback


class TimeIsUp(BaseException):
    """Not an Exception, so that a submission that catches those does not catch it."""


def check_lab(number: int, submission: Path) -> LabReport:
    """Run the lab's tests on a submission. UserError: no such lab, no such file."""
    return Check(number, submission).run()


class Check:
    """A check under way."""

    def __init__(self, number: int, submission: Path) -> None:
        self.number = number
        self.path = submission.resolve()
        self.cases = find_lab(number).cases()
        check_readable(self.path)
        self.results: list[TestResult] = []

    def run(self) -> LabReport:
        try:
            with _time_limit():
                loaded = load(self.path)
        except (Exception, SystemExit, TimeIsUp) as error:
            first = self.cases[0]
            text = f"the file cannot be imported: {describe(error, self.path)}"
            self.results.append(TestResult(first.name, 0, first.points, text))
            return self.report()
        for case in self.cases:
            self.results.append(self._run(case, loaded))
        return self.report()

    def report(self, why: str = NOT_RUN) -> LabReport:
        """The report so far; `why`: what to say of the test that is running."""
        results = list(self.results)
        for case in self.cases[len(results) :]:
            results.append(TestResult(case.name, 0, case.points, why))
            why = NOT_RUN
        return LabReport.of(self.number, tuple(results))

    def _run(self, case: Case, submission: Submission) -> TestResult:
        try:
            with _time_limit():
                case.run(submission)
        except Failed as failure:
            return TestResult(case.name, 0, case.points, _cut(str(failure)))
        except (Exception, SystemExit, TimeIsUp) as error:
            return TestResult(case.name, 0, case.points, _cut(describe(error, self.path)))
        return TestResult(case.name, case.points, case.points)


def _cut(feedback: str) -> str:
    """A submission may have had a say in it, and much to say."""
    return feedback if len(feedback) <= MOST else f"{feedback[:MOST]} ..."


@contextmanager
def _time_limit() -> Iterator[None]:
    """Raise TimeIsUp where the main thread is when LIMIT has passed. Elsewhere: no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def time_is_up(_signal: int, _frame: FrameType | None) -> None:
        raise TimeIsUp(f"still running after {LIMIT:g} seconds; is this a loop without an end?")

    before = signal.signal(signal.SIGALRM, time_is_up)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

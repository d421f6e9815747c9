"""Check a submission: import it, run the lab's tests in this process, report.

    report = check_lab(3, Path("lab3.py"))

A test ends after LIMIT seconds, as far as Python can end it: in a loop of the submission's. Where
a submission has made the machine itself loop, only the end of the process helps; worker.py sees to
that, and knows from `Check` how far it had come.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from bt.engine import BUILD
from monitor.labs import find_lab
from monitor.labs.cases import Case, Failed
from monitor.labs.report import LabReport, TestResult
from monitor.labs.submission import Submission, TimeIsUp, check_readable, describe, load

LIMIT = 20.0 if BUILD == "compiled" else 240.0  # seconds for a test; a right submission needs few
PATIENCE = 4
NOT_RUN = "not run"
MOST = 4000  # characters of feedback


def check_lab(number: int, submission: Path) -> LabReport:
    """Run the lab's tests on a submission. UserError: no such lab, no such file."""
    return Check(number, submission).run()


class Check:
    """A check under way. `on_result` is called after each test, with the check as it stands."""

    def __init__(
        self, number: int, submission: Path, on_result: Callable[[], None] = lambda: None
    ) -> None:
        self.number = number
        self.path = submission.resolve()
        self.cases = find_lab(number).cases()
        check_readable(self.path)
        self.results: list[TestResult] = []
        self._on_result = on_result

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
            self._on_result()
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
    """Raise TimeIsUp where the main thread is when LIMIT is over. Elsewhere: no limit.

    Processor time, so that a grade does not depend on what else the host does; what sleeps uses
    none, and gets PATIENCE times as long by the clock.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def time_is_up(number: int, _frame: FrameType | None) -> None:
        seconds = LIMIT if number == signal.SIGPROF else PATIENCE * LIMIT
        raise TimeIsUp(f"still running after {seconds:g} seconds; is this a loop without an end?")

    before = {number: signal.signal(number, time_is_up)
              for number in (signal.SIGPROF, signal.SIGALRM)}  # fmt: skip
    limits = {signal.ITIMER_PROF: LIMIT, signal.ITIMER_REAL: PATIENCE * LIMIT}
    timers = {timer: signal.setitimer(timer, seconds) for timer, seconds in limits.items()}
    try:
        yield
    finally:
        for timer in timers:
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        for timer, left in timers.items():  # the caller's own go on where they were
            signal.setitimer(timer, *left)

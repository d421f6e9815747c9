"""Check a submission: import it, run the lab's tests in this process, report.

    report = check_lab(3, Path("lab3.py"))

A test ends after LIMIT seconds, as far as Python can end it: in a loop of the submission's. Where
a submission has made the machine itself loop, only the end of the process helps; worker.py sees to
that, and knows from `Check` how far it had come.

A submission that loops in one test tends to do so in the next. After the first that timed out the
others have a share of the time only, SHARE of it, which is still several times what a right
submission needs: so that all that loop are known in the time of two, and a right answer counts
wherever it stands. With `stop_after_timeout` they are not run at all.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from bt.engine import BUILD
from monitor.labs import find_lab
from monitor.labs.cases import Case, Failed, listening
from monitor.labs.report import LabReport, TestResult
from monitor.labs.submission import Submission, TimeIsUp, check_readable, describe, load

LIMIT = 20.0 if BUILD == "compiled" else 240.0  # seconds for a test; a right submission needs few
SHARE = 1 / 8  # of it, once a test has timed out
PATIENCE = 4
IMPORT = "while the file was imported"  # a case of the first test
NOT_RUN = "not run"
MOST = 4000  # characters of feedback


def check_lab(number: int, submission: Path) -> LabReport:
    """Run the lab's tests on a submission. UserError: no such lab, no such file."""
    return Check(number, submission).run()


class Check:
    """A check under way. `on_result` is called after each test, with the check as it stands;
    `on_case` as a test begins, and a case of it: with the test's number and the case's name."""

    def __init__(
        self, number: int, submission: Path, on_result: Callable[[], None] = lambda: None, *,
        on_case: Callable[[int, str], None] = lambda _test, _name: None,
        stop_after_timeout: bool = False,
    ) -> None:  # fmt: skip
        self.number = number
        self.path = submission.resolve()
        self.cases = find_lab(number).cases()
        check_readable(self.path)
        self.results: list[TestResult] = []
        self.timed_out = ""  # the first test that did
        self._on_result = on_result
        self._on_case = on_case
        self._stop = stop_after_timeout
        self._begun = (time.process_time(), time.monotonic())

    @property
    def limit(self) -> float:
        """Seconds of processor time for a test from here on; of the clock's, PATIENCE times."""
        return LIMIT * SHARE if self.timed_out else LIMIT

    def overdue(self, grace: float) -> bool:
        """Has the test that is running gone on for `grace` seconds after it should have ended?"""
        processor, clock = self._begun
        return (time.process_time() - processor > self.limit + grace
                or time.monotonic() - clock > PATIENCE * self.limit + grace)  # fmt: skip

    def run(self) -> LabReport:
        self._begin(IMPORT)
        try:
            with _time_limit(self.limit):
                loaded = load(self.path)
        except (Exception, SystemExit, TimeIsUp) as error:
            first = self.cases[0]
            text = f"the file cannot be imported: {describe(error, self.path)}"
            self.results.append(TestResult(first.name, 0, first.points, text))
            return self.report()
        for case in self.cases:
            if self.timed_out and self._stop:
                why = not_run_after(self.timed_out)
                self.results.append(TestResult(case.name, 0, case.points, why))
                continue
            self._begin("")
            self.results.append(self._run(case, loaded))
            self._on_result()
        return self.report()

    def report(self, why: str = NOT_RUN, rest: str = NOT_RUN) -> LabReport:
        """The report so far; `why`: what to say of the test that is running, `rest`: of others."""
        results = list(self.results)
        for case in self.cases[len(results) :]:
            results.append(TestResult(case.name, 0, case.points, why))
            why = rest
        return LabReport.of(self.number, tuple(results))

    def _begin(self, name: str) -> None:
        self._begun = (time.process_time(), time.monotonic())
        self._on_case(len(self.results), name)

    def _run(self, case: Case, submission: Submission) -> TestResult:
        number = len(self.results)
        try:
            with listening(lambda name: self._on_case(number, name)), _time_limit(self.limit):
                case.run(submission)
        except Failed as failure:
            return TestResult(case.name, 0, case.points, _cut(str(failure)))
        except (Exception, SystemExit, TimeIsUp) as error:
            if isinstance(error, TimeIsUp):
                self.timed_out = self.timed_out or case.name
            return TestResult(case.name, 0, case.points, _cut(describe(error, self.path)))
        return TestResult(case.name, case.points, case.points)


def not_run_after(name: str) -> str:
    """What is said of the tests behind one that timed out."""
    return f'{NOT_RUN}, since "{name}" timed out; --all runs them'


def _cut(feedback: str) -> str:
    """A submission may have had a say in it, and much to say."""
    return feedback if len(feedback) <= MOST else f"{feedback[:MOST]} ..."


@contextmanager
def _time_limit(limit: float) -> Iterator[None]:
    """Raise TimeIsUp where the main thread is when `limit` is over. Elsewhere: no limit.

    Processor time, so that a grade does not depend on what else the host does; what sleeps uses
    none, and gets PATIENCE times as long by the clock.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def time_is_up(number: int, _frame: FrameType | None) -> None:
        seconds = limit if number == signal.SIGPROF else PATIENCE * limit
        raise TimeIsUp(f"still running after {seconds:g} seconds; is this a loop without an end?")

    before = {number: signal.signal(number, time_is_up)
              for number in (signal.SIGPROF, signal.SIGALRM)}  # fmt: skip
    limits = {signal.ITIMER_PROF: limit, signal.ITIMER_REAL: PATIENCE * limit}
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

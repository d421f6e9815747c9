"""Check one submission in a process of its own, and read its report.

What a submission prints is sorted by tests into the report (printed.py), and it has nothing to read
from; one that ends its process, or kills it, has no points. Memory and processes are not limited
here: `vp lab grade` does that.
"""

from __future__ import annotations

import os
import secrets
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

from monitor.labs import find_lab
from monitor.labs.check import LIMIT, PATIENCE
from monitor.labs.printed import Sorter
from monitor.labs.report import LabReport, TestResult
from monitor.labs.submission import check_readable
from monitor.labs.worker import GRACE, SECONDS

SPARE = 60.0  # seconds that a worker has beyond its own limit: it starts slowly on a busy host
TICK = 0.05  # seconds between looks whether it has ended
LEFT_OVER = 1.0  # seconds for what it has printed, after its end


def check_in_process(
    number: int,
    path: Path,
    seconds: float | None = None,
    *,
    run_all: bool = False,
    on_test: Callable[[int], None] = lambda _: None,
) -> LabReport:
    """The report of a worker. UserError: no such lab, no such file.

    `on_test` is called with the number of each test that begins, counted from 0; a submission can
    make it hear numbers of its own.

    `run_all`: go on after a test that timed out. `seconds`: for all tests together.
    """
    lab = find_lab(number)
    check_readable(path)
    if seconds is None:
        longest = (len(lab.cases()) + 1) * (PATIENCE * LIMIT + GRACE)
        seconds = longest if run_all else SECONDS
    token = secrets.token_hex(16)
    printed = Sorter(token, on_test=on_test)
    with tempfile.TemporaryFile() as report:  # no pipe, which is full at 64 KiB
        command = [sys.executable, "-u", "-m", "monitor.labs.worker", str(number), str(path),
                   "--report-fd", str(report.fileno()), "--seconds", str(seconds),
                   "--marks", token, *(["--all"] if run_all else [])]  # fmt: skip
        # In a session of its own: Ctrl-C is for us, and we end it.
        with subprocess.Popen(command, pass_fds=[report.fileno()], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              start_new_session=True) as worker:  # fmt: skip
            try:
                assert worker.stdout is not None
                _listen(worker, worker.stdout, printed, time.monotonic() + seconds + SPARE)
                status = worker.poll()
            finally:
                worker.kill()
        report.seek(0)
        text = report.read()
    printed.close()
    try:
        found = LabReport.from_json(text.decode(errors="replace"))
    except ValueError:
        found = _no_report(lab.number, status)
    return LabReport.of(found.lab, tuple(
        replace(result, printed=printed.of(place)) for place, result in enumerate(found.results)
    ))  # fmt: skip


def _listen(
    worker: subprocess.Popen[bytes], stream: IO[bytes], printed: Sorter, end: float
) -> None:
    """Until it has ended and all is read that it printed, or the time is over."""
    ended, open_ = False, True
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while time.monotonic() < end and not (ended and not open_):
            ready = open_ and selector.select(0 if ended else TICK)
            if ready:
                piece = os.read(stream.fileno(), 1 << 16)
                printed.feed(piece)
                open_ = bool(piece)
            elif ended:
                return
            elif not open_:
                time.sleep(TICK)
            if not ended and worker.poll() is not None:
                ended, end = True, min(end, time.monotonic() + LEFT_OVER)


def _no_report(number: int, status: int | None) -> LabReport:
    """Nothing came, or nothing that is a report."""
    if status is None:
        why = "the tests did not come to an end, and could not be interrupted"
    elif status < 0:
        why = f"the process that ran the tests was killed by signal {-status}"
    else:
        why = f"the process that ran the tests ended with status {status} and no report; is it "
        why += "the submission that ends it?"
    cases = find_lab(number).cases()
    results = [TestResult(case.name, 0, case.points, "not run") for case in cases]
    results[0] = TestResult(cases[0].name, 0, cases[0].points, why)
    return LabReport.of(number, tuple(results))

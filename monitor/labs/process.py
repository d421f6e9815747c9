"""Check one submission in a process of its own, and read its report.

What a submission prints is let through on standard error; a submission that ends its process, or
kills it, has no points. Memory and processes are not limited here: `vp lab grade` does that.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from monitor.labs import find_lab
from monitor.labs.report import LabReport, TestResult
from monitor.labs.submission import check_readable
from monitor.labs.worker import SECONDS

STANDARD_ERROR = 2
GRACE = 10.0  # seconds that a worker has beyond its own limit


def check_in_process(number: int, path: Path, seconds: float = SECONDS) -> LabReport:
    """The report of a worker. UserError: no such lab, no such file."""
    lab = find_lab(number)
    check_readable(path)
    with tempfile.TemporaryFile() as report:  # no pipe, which is full at 64 KiB
        command = [sys.executable, "-m", "monitor.labs.worker", str(number), str(path),
                   "--report-fd", str(report.fileno()), "--seconds", str(seconds)]  # fmt: skip
        # In a session of its own: Ctrl-C is for us, and we end it.
        worker = subprocess.Popen(command, pass_fds=[report.fileno()], stdout=STANDARD_ERROR,
                                  start_new_session=True)  # fmt: skip
        try:
            status: int | None = worker.wait(seconds + GRACE)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            worker.kill()
            worker.wait()
        report.seek(0)
        text = report.read()
    try:
        return LabReport.from_json(text.decode(errors="replace"))
    except ValueError:
        return _no_report(lab.number, status)


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

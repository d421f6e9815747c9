"""The worker: gives up its rights, checks the submission, and reports after every test.

The report's descriptor carries lines of JSON, each with the nonce that the grader gave this run.
The first is sent before a line of the submission has run, so it says for certain which tests there
are. One line per test follows: what a submission had earned counts even where it then takes its
process down. The last has "final".

A check is a class like monitor.labs.check.Check: `Check(number, path, on_result=f, on_case=g)` with
`results`, `report()` and `run()`, which calls f() after every test, and g() as a test or a case of
it begins.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from monitor.grading import oddities
from monitor.grading.confine import confine
from monitor.grading.notes import Notes
from monitor.grading.plan import GradingPlan
from monitor.labs.printed import Marks
from monitor.vmm.errors import UserError

STANDARD_OUTPUT = 1
LEFT, BROKEN = 1, 3  # exit statuses: out through an exception; no fault of the submission's


def work(plan: GradingPlan) -> int:
    """Run the check; the exit status of this process."""
    file = Path(plan.file)
    try:
        confine(plan.limits, [*plan.readable_paths(), file.parent], filtered=plan.filtered)
        _check(plan, file)
    except UserError as error:
        print(error, file=sys.stderr)
        return BROKEN
    except BaseException:  # KeyboardInterrupt and classes of the submission's own among them
        traceback.print_exc(limit=-8)
        return LEFT
    return 0


def _check(plan: GradingPlan, file: Path) -> None:
    module, _, name = plan.check.partition(":")
    channel = _Channel(plan.report, plan.nonce)
    marks = Marks(STANDARD_OUTPUT, plan.marks)
    check = getattr(import_module(module), name)(
        plan.lab, file, on_result=lambda: progress(), on_case=marks.begin)  # fmt: skip

    def progress() -> None:
        channel.send(done=len(check.results), report=json.loads(check.report().to_json()))

    progress()
    for odd in oddities.find(file.read_bytes()):
        channel.send(flag=oddities.FLAG, note=odd)
    Notes(lambda flag, note: channel.send(flag=flag, note=note), plan.readable_paths())
    report = check.run()
    channel.send(final=True, done=len(report.results), report=json.loads(report.to_json()))


class _Channel:
    def __init__(self, descriptor: int, nonce: str) -> None:
        self._descriptor = descriptor
        self._nonce = nonce

    def send(self, **fields: Any) -> None:
        line = json.dumps({"nonce": self._nonce, **fields}).encode() + b"\n"
        while line:
            line = line[os.write(self._descriptor, line) :]

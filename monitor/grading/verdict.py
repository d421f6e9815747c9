"""From a run to a grade: which report counts, what to call the run, and what to look at.

A line of the report without the run's nonce was not written by the worker. Neither was one whose
tests differ from those of the first line, which came before any of the submission had run. Such a
run has no points: its status is "forged".
"""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass, field
from typing import Any

from monitor.grading import notes, oddities
from monitor.grading.limits import Limits
from monitor.grading.reports import printable, without_points
from monitor.grading.sandbox import Run
from monitor.grading.worker import BROKEN
from monitor.labs.report import LabReport, TestResult

GRADED = "graded"  # the check ran to its end
TIMEOUT = "timeout"  # processor time or the wall clock
CRASHED = "crashed"  # ended by a signal
LEFT = "left"  # ended by itself before the check was over
OUTPUT = "output"  # printed too much
MEMORY = "memory"  # used too much
FORGED = "forged"  # wrote a report of its own
MISSING = "missing"  # handed in nothing
MISNAMED = "misnamed"  # handed in what may be it, under another name
REJECTED = "rejected"  # handed in what is no file to grade
BROKEN_RUN = "error"  # the grader's own trouble: grade it again

ENDED = {
    TIMEOUT: "the time was over: {limit}",
    CRASHED: "the process was ended here: {limit}",
    LEFT: "the process left here, before the check was over",
    OUTPUT: "the process was ended here: it had printed {limit}",
    MEMORY: "the process was ended here: it used {limit} of memory",
}
NEARLY = 0.75  # of the memory limit: worth a look
FLAGS = {oddities.FLAG, *notes.EVENTS.values(), notes.READ}  # that a worker raises
LONGEST_WHY = 200  # characters


@dataclass(frozen=True)
class Grade:
    """A student's row of the gradebook for one lab."""

    student: str
    lab: int
    status: str
    report: LabReport | None = None
    why: str = ""  # the status in words
    flags: tuple[str, ...] = ()  # what to look at, in a word each
    notes: tuple[str, ...] = ()  # and in detail
    printed: str = ""

    @property
    def score(self) -> int:
        return 0 if self.report is None else self.report.score


@dataclass
class _Heard:
    """What came over the report's descriptor, in order."""

    reports: list[tuple[int, LabReport]] = field(default_factory=list)  # tests done, report
    final: bool = False
    notes: list[tuple[str, str]] = field(default_factory=list)
    forged: str = ""


def judge(student: str, lab: int, run: Run, limits: Limits) -> Grade:
    """The grade for a run."""
    heard = _listen(run, lab)
    status, limit = _status(run, heard, limits)
    flags = {flag for flag, _ in heard.notes} | _flags(run, heard, limits)
    if status == CRASHED and run.ending and run.ending.status == -signal.SIGKILL:
        flags.add("killed")
    if status != GRADED:
        flags.add(status)
    report = None
    why = limit
    if status == FORGED:
        why = printable(heard.forged)[:LONGEST_WHY]
        report = _without_points(heard)
    elif status == BROKEN_RUN:
        why = _printed(run).strip().rpartition("\n")[2] or "the run did not begin"
    elif heard.reports:
        done, report = heard.reports[-1]
        if status != GRADED:
            why = ENDED[status].format(limit=limit)
            report = _ended_in(report, done, why)
    return Grade(
        student, lab, status, report and _without_path(report, run), why, tuple(sorted(flags)),
        tuple(dict.fromkeys(f"{flag}: {_plain(text, run)}" for flag, text in heard.notes)),
        _printed(run),
    )  # fmt: skip


def _listen(run: Run, lab: int) -> _Heard:
    heard = _Heard()
    lines = run.reports.split(b"\n")
    for number, line in enumerate(lines):
        if not line or (number == len(lines) - 1 and run.ended_for):
            continue  # the last may be cut short
        try:
            message = json.loads(line)
            if message.pop("nonce") != run.nonce:
                raise ValueError("it is not the worker's")
            _take(message, heard, lab)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            heard.forged = f"line {number + 1} of the report was not written by the check ({error})"
            return heard
    return heard


def _take(message: dict[str, Any], heard: _Heard, lab: int) -> None:
    if "flag" in message:
        if message["flag"] not in FLAGS:
            raise ValueError("no such flag")
        heard.notes.append((message["flag"], str(message["note"])))
        return
    report = LabReport.from_json(json.dumps(message["report"]))
    done = message["done"]
    if type(done) is not int or any(type(each.feedback) is not str for each in report.results):
        raise ValueError("it has other types")
    before = heard.reports[-1] if heard.reports else None
    if heard.final:
        raise ValueError("it comes after the end")
    if before is not None and (_tests(report) != _tests(before[1]) or done < before[0]):
        raise ValueError("its tests are others")
    if before is None and (done != 0 or report.score != 0 or report.lab != lab):
        raise ValueError("it is no beginning")
    heard.reports.append((done, report))
    heard.final = bool(message.get("final"))


def _tests(report: LabReport) -> list[tuple[str, int]]:
    return [(result.name, result.out_of) for result in report.results]


def _status(run: Run, heard: _Heard, limits: Limits) -> tuple[str, str]:
    """The status, and in words which limit it was."""
    ending = run.ending
    if heard.forged:
        return FORGED, ""
    if run.ended_for == "reports":
        heard.forged = "more was written over the report's descriptor than a check writes"
        return FORGED, ""
    if run.ended_for:
        return OUTPUT, f"more than {limits.output >> 20} MiB"
    if ending is None or ending.status == BROKEN or not heard.reports:
        return BROKEN_RUN, ""
    if ending.ended_for == "memory":
        return MEMORY, f"more than {limits.memory} MiB"
    if ending.ended_for:
        return TIMEOUT, f"{limits.wall} s passed"
    if ending.status == -signal.SIGXCPU or (ending.status < 0 and ending.cpu >= limits.cpu):
        return TIMEOUT, f"{limits.cpu} s of processor time"
    if ending.status < 0:
        return CRASHED, signal.Signals(-ending.status).name
    return (GRADED, "") if heard.final else (LEFT, "")


def _flags(run: Run, heard: _Heard, limits: Limits) -> set[str]:
    flags = set()
    texts = [result.feedback for _, report in heard.reports[-1:] for result in report.results]
    used = run.ending.peak if run.ending else 0
    if used >= NEARLY * limits.memory or any("MemoryError" in each for each in [*texts,
                                             run.output.decode(errors="replace")]):  # fmt: skip
        flags.add("memory")
    if run.ending and run.ending.strays:
        flags.add("process")
    return flags


def _ended_in(report: LabReport, done: int, why: str) -> LabReport:
    """The report on a run that did not end: the test that was running says why."""
    results = list(report.results)
    if done < len(results):
        running = results[done]
        results[done] = TestResult(running.name, 0, running.out_of, why)
    return LabReport.of(report.lab, tuple(results))


def _without_points(heard: _Heard) -> LabReport | None:
    if not heard.reports:
        return None
    return without_points(heard.reports[0][1], "no points: the report was tampered with")


def _without_path(report: LabReport, run: Run) -> LabReport:
    """Nor what the report says was printed: that is known from the run itself."""
    return LabReport.of(report.lab, tuple(
        TestResult(each.name, each.points, each.out_of, _plain(each.feedback, run),
                   _plain(run.by_test.get(place, ""), run))
        for place, each in enumerate(report.results)
    ))  # fmt: skip


def _printed(run: Run) -> str:
    return _plain(run.output.decode(errors="backslashreplace"), run)


def _plain(text: str, run: Run) -> str:
    """Without the run's folder, which is another one every time, and without control characters."""
    text = text.replace(f"{run.folder}/", "").replace(run.folder, ".")
    return printable(text)

"""Small things done to a lab's report, and to texts that a submission had a hand in."""

from __future__ import annotations

from monitor.labs.report import LabReport, TestResult


def without_points(report: LabReport, why: str) -> LabReport:
    """The same tests, none passed."""
    return LabReport.of(report.lab, tuple(
        TestResult(each.name, 0, each.out_of, why) for each in report.results
    ))  # fmt: skip


def printable(text: str) -> str:
    """Control characters, and bytes that are no UTF-8, as escapes; lines and tabs stay."""
    return "".join(
        each if each in "\n\t" or each.isprintable() else each.encode("unicode_escape").decode()
        for each in text
    )

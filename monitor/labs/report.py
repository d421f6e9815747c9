"""What the check of a lab found: the results of its tests and the score, to JSON and back.

    report = check_lab(3, Path("lab3.py"))
    report.score, report.out_of
    LabReport.from_json(report.to_json()) == report
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class TestResult:
    """One test: the points it gave, and what to do about those it did not give."""

    __test__: ClassVar[bool] = False  # for pytest: no test of ours, in spite of its name

    name: str
    points: int
    out_of: int
    feedback: str = ""  # empty if there is nothing to say; several lines if there is
    printed: str = ""  # what the submission printed meanwhile, cut (printed.py)

    @property
    def passed(self) -> bool:
        return self.points == self.out_of


@dataclass(frozen=True)
class LabReport:
    """All tests of a lab on one submission."""

    lab: int
    score: int
    out_of: int
    results: tuple[TestResult, ...]

    @classmethod
    def of(cls, lab: int, results: tuple[TestResult, ...]) -> LabReport:
        """The report on these results: the score is their sum."""
        score = sum(result.points for result in results)
        return cls(lab, score, sum(result.out_of for result in results), results)

    @property
    def full(self) -> bool:
        """Is this the full score?"""
        return self.score == self.out_of

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> LabReport:
        """ValueError where the text is no such report."""
        try:
            document: dict[str, Any] = json.loads(text)
            results = tuple(_checked(TestResult(**each)) for each in document.pop("results"))
            report = cls(**document, results=results)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no report of a lab: {error}") from error
        if (report.score, report.out_of) != (
            sum(result.points for result in results),
            sum(result.out_of for result in results),
        ):
            raise ValueError("no report of a lab: its score is not the sum of its results")
        return report


def _checked(result: TestResult) -> TestResult:
    numbers = (result.points, result.out_of)
    if not all(type(number) is int for number in numbers) or not 0 <= numbers[0] <= numbers[1]:
        raise ValueError(f"no report of a lab: {numbers[0]} of {numbers[1]} points")
    if not all(type(text) is str for text in (result.name, result.feedback, result.printed)):
        raise ValueError("no report of a lab: its texts are none")
    return result

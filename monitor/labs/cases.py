"""A test of a lab, and how it says that a submission has failed it.

    def interrupts_come(submission):
        if count != 10:
            raise Failed("10 interrupts", f"{count}", "Does STI set VSYS?")

    CASES = (Case("interrupts come", 10, interrupts_come),)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from monitor.labs.submission import Submission


class Failed(Exception):
    """What was expected, what came out, and where to look."""

    def __init__(self, expected: str, got: str, hint: str) -> None:
        super().__init__(f"expected: {expected}\ngot:      {got}\nhint:     {hint}")


@dataclass(frozen=True)
class Case:
    """One test: `run` returns if it passes, and raises Failed if not."""

    name: str
    points: int
    run: Callable[[Submission], None]

"""A small lab, for tests of the grader: no monitor, so that a run takes a tenth of a second.

The interface is monitor.labs.check.Check's. A submission has `add` and `double`, and may have
`greet`; each test calls one of them.
"""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monitor.labs.report import LabReport, TestResult


def _add(module: Any) -> None:
    assert module.add(2, 3) == 5, "2 + 3"


def _double(module: Any) -> None:
    assert module.double(21) == 42, "twice 21"


def _greet(module: Any) -> None:
    assert module.greet("you") == "hello you"


CASES: tuple[tuple[str, int, Callable[[Any], None]], ...] = (
    ("adds", 5, _add),
    ("doubles", 10, _double),
    ("greets", 5, _greet),
)


class Check:
    def __init__(
        self, number: int, path: Path, on_result: Callable[[], None] = lambda: None,
        on_case: Callable[[int, str], None] = lambda _test, _name: None,
    ) -> None:  # fmt: skip
        self.number = number
        self.path = path
        self.results: list[TestResult] = []
        self._on_result = on_result
        self._on_case = on_case

    def run(self) -> LabReport:
        try:
            spec = importlib.util.spec_from_file_location("submission", self.path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            return self.report(f"cannot be imported: {type(error).__name__}: {error}")
        for name, points, case in CASES:
            self._on_case(len(self.results), name)
            try:
                case(module)
            except Exception as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                why = f"{type(error).__name__}: {error} ({last.filename}:{last.lineno})"
                self.results.append(TestResult(name, 0, points, why))
            else:
                self.results.append(TestResult(name, points, points))
            self._on_result()
        return self.report()

    def report(self, why: str = "not run") -> LabReport:
        rest = [TestResult(name, 0, out_of, why) for name, out_of, _ in CASES[len(self.results) :]]
        return LabReport.of(self.number, (*self.results, *rest))

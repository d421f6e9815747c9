"""`vp bench --json`: what the suites measured, and what a comparison found, as documents.

Counts are those of rows.csv, run by run; `table` is what people are shown, its numbers as numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.bench.compare import Comparison
    from monitor.bench.results import Results
    from monitor.bench.rows import Row


def measured(results: Iterable[Results], left_out: Mapping[str, str]) -> dict[str, Any]:
    """Suites, and why others are not among them."""
    return {"suites": list(map(_suite, results)), "left_out": dict(left_out)}


def compared(comparisons: Iterable[Comparison]) -> dict[str, Any]:
    return {"comparisons": [
        asdict(each) | {"changed": each.changed, "noise": each.noise, "by_chance": each.by_chance}
        for each in comparisons
    ]}  # fmt: skip


def _suite(results: Results) -> dict[str, Any]:
    host_clock = results.about["clock"] == "host"
    return {
        "suite": results.suite,
        "title": results.title,
        "about": dict(results.about),
        "table": [
            {name: _value(cell) for name, cell in zip(results.head, line, strict=True)}
            for line in results.lines
        ],
        "notes": list(results.notes),
        "failed": results.failed,
        "rows": [_row(row, host_clock) for row in results.rows],
    }


def _value(cell: str) -> float | str | None:
    from monitor.bench.tables import NONE

    if cell == NONE:
        return None
    try:
        return float(cell)
    except ValueError:
        return cell


def _row(row: Row, host_clock: bool) -> dict[str, Any]:
    return {
        "workload": row.workload,
        "mode": row.setup.mode,
        "without": list(row.setup.without),
        "rounds": row.rounds,
        "repetition": row.repetition,
        "ended": row.ended,
        "counts": asdict(row.counts),
        "engine": row.engine,
        "cycles": row.cycles,
        "parts": dict(row.parts),
        "seconds": row.seconds if host_clock else None,
    }

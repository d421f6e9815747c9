"""A sweep in one table for people: every point beside its baseline.

Repetitions are one line: with the clock icount they are the same, and of seconds the median counts.
What differs from the baseline's console behaves differently, or ran for another time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich import box

from monitor.bench.tables import WRONG
from monitor.sweep.grid import Point
from monitor.sweep.guests import OwnImage
from monitor.sweep.own import STEADY
from monitor.sweep.spec import Spec
from monitor.sweep.task import CYCLES, MONITOR_CYCLES, Row
from monitor.writing.whole_table import Table

MOST_LINES = 60
FIGURES = ("instructions", "exits", "cycles", "by the monitor")
SAME, OTHER = "same", "differs"


@dataclass(frozen=True)
class SummaryLine:
    """One line: a point, its rows, and those of its baseline."""

    point: Point
    rows: Sequence[Row]
    baseline: Sequence[Row]

    def ratio(self, column: str) -> str:
        """To the baseline; empty where one has no figure, or zero."""
        own, other = (_middle(rows, column) for rows in (self.rows, self.baseline))
        return f"{own / other:.2f}" if own is not None and other else ""

    def ended(self) -> str:
        """How, and how often if not always."""
        counts: dict[str, int] = {}
        for row in self.rows:
            counts[row["ended"]] = counts.get(row["ended"], 0) + 1
        return ", ".join(f"{kind} {n}x" if len(counts) > 1 else kind for kind, n in counts.items())

    def console(self) -> str:
        if not self.baseline or "console" not in self.rows[0] or "console" not in self.baseline[0]:
            return ""
        outputs = {row.get("console") for row in (*self.rows, *self.baseline)}
        return SAME if len(outputs) == 1 else OTHER

    @property
    def ok(self) -> bool:
        return all(row["ok"] for row in self.rows)


def lines(spec: Spec, rows: Mapping[int, Row]) -> list[SummaryLine]:
    """One for each point of the grid but for its repetitions."""
    found: dict[Point, list[Row]] = {}
    for number, point in enumerate(spec.points()):
        found.setdefault(point.at({"repetition": 0}), []).append(rows[number])
    return [
        SummaryLine(point, own, found.get(point.at(spec.baseline), ()) if spec.baseline else ())
        for point, own in found.items()
    ]


def _middle(rows: Sequence[Row], column: str) -> float | None:
    values = [float(row[column]) for row in rows if row.get(column) is not None]
    return median(values) if values else None


def table(spec: Spec, rows: Mapping[int, Row]) -> Table:
    found = lines(spec, rows)
    axes = {"memory_mb": spec.grid.memory, "clock": spec.grid.clock, "cpu": spec.grid.cpu}
    varying = [name for name, values in axes.items() if len(values) > 1]
    compared = _compared(spec)
    shown = Table(keys=2 + len(varying), title=_title(spec), box=box.SIMPLE_HEAD)
    for head in ("guest", "setup", *varying, "ended"):
        shown.add_column(head)
    for head in (*FIGURES, *compared):
        shown.add_column(head, justify="right")
    for line in found[:MOST_LINES]:
        cells = _cells(line, varying, spec.models[0].name, compared)
        shown.add_row(*cells, style=None if line.ok else "red")
    if len(found) > MOST_LINES:
        shown.caption = f"and {len(found) - MOST_LINES} lines more: the file has them all"
    return shown


def _title(spec: Spec) -> str:
    cycles = f"cycles of {spec.models[0].name}"
    if not spec.baseline:
        return cycles.capitalize()
    settings = ", ".join(f"{key} {_setting(value)}" for key, value in spec.baseline.items())
    return f"Compared with {settings}; {cycles}"


def _cells(
    line: SummaryLine, varying: Sequence[str], model: str, compared: Mapping[str, str | None]
) -> list[str]:
    point, row = line.point, line.rows[0]
    setup = " ".join((point.mode, *(f"-{name}" for name in point.without)))
    if any(one.get("wrong") for one in line.rows):  # its figures are of another program
        setup += WRONG
    columns = ("instructions", "exits", CYCLES + model, MONITOR_CYCLES + model)
    return [
        point.guest,
        setup,
        *(str(getattr(point, name)) for name in varying),
        line.ended(),
        *(_number(row.get(column)) for column in columns),
        *(line.console() if column is None else line.ratio(column)
          for column in compared.values()),
    ]  # fmt: skip


def _compared(spec: Spec) -> dict[str, str | None]:
    """Columns of ratios; None for the console's."""
    if not spec.baseline:
        return {}
    ratios: dict[str, str | None] = {"cycles ratio": CYCLES + spec.models[0].name}
    if any(isinstance(guest.image, OwnImage) for guest in spec.guests):
        ratios["steady ratio"] = STEADY + spec.models[0].name
    if spec.time:
        ratios["time ratio"] = "seconds"
    return ratios | {"console": None}


def _setting(value: Any) -> str:
    return " ".join(value) if isinstance(value, tuple) else str(value)


def _number(value: Any) -> str:
    return "" if value is None else f"{value:,}"

"""The table of a sweep: one CSV file, a line for each point in the order of the grid.

No cell needs quotes. Empty is what a row does not have. Every reason for which a machine exited
is a column, 0 in the rows that count and did not exit for it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from monitor.sweep.grid import KEY, Point
from monitor.sweep.task import CONSOLE, COUNTED, CYCLES, ENDING, EXIT, MONITOR_CYCLES, Row


def as_csv(points: Sequence[Point], rows: Mapping[int, Row], models: Sequence[str]) -> str:
    """The file's text."""
    exits = sorted({name for row in rows.values() for name in row if name.startswith(EXIT)})
    cycles = [kind + model for model in models for kind in (CYCLES, MONITOR_CYCLES)]
    columns = (*KEY, *ENDING, *COUNTED, *cycles, *CONSOLE, "seconds", *exits)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for number, point in enumerate(points):
        line = {**point.cells(), **rows[number]}
        if "instructions" in line:
            line = dict.fromkeys(exits, 0) | line
        writer.writerow([_cell(line.get(name)) for name in columns])
    return text.getvalue()


def _cell(value: Any) -> str:
    return "" if value is None else str(value)

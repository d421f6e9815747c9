"""The table of a sweep: one CSV file, a line for each point in the order of the grid.

No cell needs quotes. Empty is what a row does not have. Every reason for which a machine exited
is a column, 0 in the rows that count and did not exit for it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monitor.bench.store import Stored
from monitor.sweep.grid import KEY, Point
from monitor.sweep.own import COLUMNS as OWN
from monitor.sweep.task import CONSOLE, COUNTED, CYCLES, ENDING, EXIT, MONITOR_CYCLES, Row
from monitor.vmm.errors import UserError

REPETITION = "repetition"
INEXACT = ("detail", "seconds")  # words, and the host's own time


def as_csv(points: Sequence[Point], rows: Mapping[int, Row], models: Sequence[str]) -> str:
    """The file's text."""
    exits = sorted({name for row in rows.values() for name in row if name.startswith(EXIT)})
    cycles = [kind + model for model in models for kind in (CYCLES, MONITOR_CYCLES)]
    own = [kind + model for model in models for kind in OWN]
    apart = [name for name in own if any(name in row for row in rows.values())]
    columns = (*KEY, *ENDING, *COUNTED, *cycles, *apart, *CONSOLE, "seconds", *exits)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for number, point in enumerate(points):
        line = {**point.cells(), **rows[number]}
        if "instructions" in line:
            line = dict.fromkeys(exits, 0) | line
        writer.writerow([_cell(line.get(name)) for name in columns])
    return text.getvalue()


def read(path: Path) -> Stored:
    """A table, to be compared with another. Raises UserError."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"cannot read the table {path}: {error}") from error
    columns = reader.fieldnames or ()
    if tuple(columns[: len(KEY)]) != KEY or any(None in row.values() for row in rows):
        raise UserError(f"{path}: not a table of vp sweep")
    key = [name for name in KEY if name != REPETITION]
    exact = [name for name in columns if name not in (*KEY, *INEXACT)]
    return Stored({"suite": "sweep"}, rows, key, exact)


def _cell(value: Any) -> str:
    return "" if value is None else str(value)

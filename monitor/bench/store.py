"""Results as CSV files: rows.csv has every run, table.csv what people are shown.

about.json says what was measured and how; with the host's clock also on which host.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.bench.model import real_exits
from monitor.bench.rows import KINDS, Counts, Row
from monitor.vmm.errors import UserError
from monitor.writing.whole_file import write_whole

ROWS, TABLE, ABOUT = "rows.csv", "table.csv", "about.json"
COUNTS = ("instructions", *KINDS, "exits", "exits_by_reason", "fills", "code_translated", "lookups",
          "world_switches", "port_accesses", "interrupts", "wrong")  # fmt: skip
KEY = ("workload", "mode", "without")
MORE_KEY = {"own": ("rounds",)}  # by suite: there each loop runs for several numbers of rounds
EXACT = (*COUNTS, "engine", "cycles", "ended")
COLUMNS = (*KEY, "rounds", "repetition", "ended", *COUNTS, "engine", "cycles", "seconds")


@dataclass(frozen=True)
class Stored:
    """Results read back: the columns of rows.csv as text, and about.json.

    `key` are the columns that say which row it is, `exact` those that repeat exactly.
    """

    about: Mapping[str, Any]
    rows: Sequence[Mapping[str, str]]
    key: Sequence[str] = KEY
    exact: Sequence[str] = EXACT


def line(row: Row, host_clock: bool) -> dict[str, object]:
    """A row as the line of rows.csv. Without the host's clock, seconds stay empty."""
    return {
        "workload": row.workload,
        "mode": row.setup.mode,
        "without": " ".join(row.setup.without),
        "rounds": row.rounds,
        "repetition": row.repetition,
        "ended": row.ended,
        **count_columns(row.counts),
        "engine": "" if row.engine is None else row.engine,
        "cycles": row.cycles,
        "seconds": f"{row.seconds:.6f}" if host_clock else "",
    }


def count_columns(counts: Counts) -> dict[str, object]:
    """The columns of COUNTS."""
    return {
        "instructions": counts.instructions,
        **{kind: counts.by_kind.get(kind, 0) for kind in KINDS},
        "exits": real_exits(counts),
        "exits_by_reason": "; ".join(f"{word}={n}" for word, n in sorted(counts.exits.items())),
        "fills": counts.fills,
        "code_translated": counts.translated,
        "lookups": counts.lookups,
        "world_switches": counts.world_switches,
        "port_accesses": counts.port_accesses,
        "interrupts": counts.interrupts,
        "wrong": counts.wrong,
    }


def write(
    folder: Path,
    about: Mapping[str, Any],
    rows: Iterable[Mapping[str, object]],
    head: Sequence[str],
    table: Iterable[Sequence[str]],
) -> None:
    """All three files; UserError where they cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_csv(folder / ROWS, COLUMNS, ([line[name] for name in COLUMNS] for line in rows))
        _write_csv(folder / TABLE, head, table)
        text = json.dumps(about, indent=2, sort_keys=True) + "\n"
        write_whole(folder / ABOUT, text)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}") from error


def _write_csv(path: Path, head: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(lines)
    write_whole(path, text.getvalue())


def read(folder: Path) -> Stored:
    """Results that `write` left. Raises UserError."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        with (folder / ROWS).open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}: give a folder that `vp bench --out` wrote"
                        ) from error  # fmt: skip
    except (ValueError, csv.Error) as error:
        raise UserError(f"{folder}: damaged: {error}; run `vp bench --out` again") from error
    if tuple(reader.fieldnames or ()) != COLUMNS or not isinstance(about, dict):
        raise UserError(f"{folder}: not of this version; run `vp bench --out` again")
    return Stored(about, rows, (*KEY, *MORE_KEY.get(str(about.get("suite")), ())))

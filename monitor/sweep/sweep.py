"""A sweep from spec to table: rows that are there are read, the others run, the table written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from monitor.sweep.backend import Backend
from monitor.sweep.cluster import DaskBackend
from monitor.sweep.grid import Point, running_order
from monitor.sweep.journal import Journal, replace_file
from monitor.sweep.local import LocalBackend
from monitor.sweep.spec import Spec, load
from monitor.sweep.table import as_csv
from monitor.sweep.task import DIED, Job, Row
from monitor.vmm.errors import UserError


@dataclass(frozen=True)
class State:
    """How far it is. `failed` are rows that are not ok."""

    total: int
    done: int
    failed: int
    running: int


Watcher = Callable[[State], None]


def sweep(
    spec: Spec,
    out: Path,
    backend: Callable[[], Backend],
    fresh: bool = False,
    watch: Watcher = lambda state: None,
) -> Mapping[int, Row]:
    """Rows by the number of their point; `out` has them as a table. Raises UserError.

    The backend is made only when there is something to run.
    """
    points = spec.points()
    check_place(out)
    with Journal(out, spec.identity, fresh) as journal:
        todo = [n for n in running_order(points) if _open(journal.rows.get(n))]
        if todo:
            _run(spec, points, todo, journal, backend(), watch)
        replace_file(out, as_csv(points, journal.rows, [model.name for model in spec.models]))
    return journal.rows


def _open(row: Row | None) -> bool:
    """Not run yet, or lost with its worker."""
    return row is None or row["ended"] == DIED


def _run(
    spec: Spec, points: list[Point], todo: list[int], journal: Journal, backend: Backend,
    watch: Watcher,
) -> None:  # fmt: skip
    job = Job({guest.name: guest for guest in spec.guests}, spec.models, spec.time)
    done = {n for n in journal.rows if n not in todo}

    def tell() -> None:
        bad = sum(not journal.rows[n]["ok"] for n in done)
        watch(State(len(points), len(done), bad, backend.running))

    tell()
    with closing(backend.run(job, [(n, points[n]) for n in todo])) as rows:
        for number, row in rows:
            journal.add(number, row)
            done.add(number)
            tell()


def check_place(out: Path) -> None:
    """Can a table be written there? Better known before it is made."""
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; name a file")
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}")
    if not os.access(out.parent, os.W_OK) or (out.exists() and not os.access(out, os.W_OK)):
        raise UserError(f"--out {out}: cannot be written; choose another place")


def run(
    spec: str | Path, out: str | Path, jobs: int = 1, dask: str | None = None, fresh: bool = False
) -> list[Row]:
    """A sweep from Python: the rows in the order of the table. Raises UserError."""
    loaded = load(Path(spec))
    address = dask or loaded.dask

    def backend() -> Backend:
        return DaskBackend(address) if address else LocalBackend(jobs)

    rows = sweep(loaded, Path(out), backend, fresh)
    return [point.cells() | rows[number] for number, point in enumerate(loaded.points())]

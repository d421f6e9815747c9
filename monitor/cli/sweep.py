"""Run a grid of guests, modes, ablations and settings, and put all rows into one table.

    vp sweep SPEC.toml                   on this machine; goes on with one that was interrupted
    vp sweep SPEC.toml --dry-run         what would be run
    vp sweep SPEC.toml --dask ADDRESS    on a cluster, by Dask's scheduler there

Every finished row is safe in FILE.journal, beside the table: after an interruption of whatever kind
the same command goes on, and the table is the same to the byte as without one. A guest that fails
is a row that says so. docs/sweeps.md explains the spec and the columns.

Exit status: 0 every row was run; 1 some have no result, because a worker died or the monitor
failed; 2 bad usage or input; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.cli.json_output import JsonOutput, add_json
from monitor.cli.pieces import plain_console
from monitor.cli.quantities import positive
from monitor.vmm.errors import UserError
from monitor.writing.progress import bar

if TYPE_CHECKING:
    from monitor.sweep.backend import Backend
    from monitor.sweep.spec import Spec
    from monitor.sweep.sweep import State, Watcher

NAME = "sweep"
HELP = "run a grid of guests, modes and settings, and put it into one table"
EXAMPLES = (
    "vp sweep benchmarks/sweeps/first.toml",
    "vp sweep benchmarks/sweeps/first.toml --dry-run",
    "vp sweep benchmarks/sweeps/first.toml --jobs 1 --out one-by-one.csv",
)
NOT_ALL = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", type=Path, metavar="SPEC", help="what to run: a TOML file")
    parser.add_argument("--out", type=Path, metavar="FILE",
                        help="the table (default: the spec's name with .csv, here)")
    parser.add_argument("--jobs", type=positive, metavar="N",
                        help="processes on this machine (default: one for each processor)")
    parser.add_argument("--dask", metavar="ADDRESS",
                        help="run on the cluster with this scheduler, tcp://HOST:PORT")
    parser.add_argument("--fresh", action="store_true",
                        help="forget the rows that are there, and start afresh")
    parser.add_argument("--dry-run", action="store_true", help="list the grid and run nothing")
    parser.add_argument("--quiet", action="store_true", help="no progress and no summary")
    add_json(parser, "the rows, or with --dry-run the grid,")


def run(args: argparse.Namespace) -> int:
    from monitor.sweep.spec import load

    spec = load(args.spec)
    address = args.dask or spec.dask
    if args.jobs and address:
        raise UserError("--jobs is for this machine; how many run on a cluster, the cluster knows")
    with JsonOutput(args.json) as json:
        if args.dry_run:
            json.write(lambda: {"points": [point.cells() for point in spec.points()]})
            _list(spec, shown=not json.alone)
            return 0
        out = args.out or Path(f"{args.spec.stem}.csv")
        return _sweep(args, spec, out, address, json)


def _sweep(
    args: argparse.Namespace, spec: Spec, out: Path, address: str | None, json: JsonOutput
) -> int:
    from monitor.sweep.sweep import sweep
    from monitor.sweep.task import DIED, ERROR

    jobs = args.jobs or len(os.sched_getaffinity(0))
    progress = Progress(len(spec.points()))
    try:
        with progress.shown(not args.quiet) as watch:
            rows = sweep(spec, out, lambda: _backend(address, jobs), args.fresh, watch)
    except KeyboardInterrupt:
        if progress.state is not None:
            _say(f"interrupted: {progress.state.done} of {progress.state.total} rows are done, and "
                 "the same command goes on")  # fmt: skip
        raise
    json.write(lambda: {"rows": [point.cells() | dict(rows[number])
                                 for number, point in enumerate(spec.points())]})
    if not args.quiet:
        from monitor.sweep.summary import table

        if not json.alone:
            plain_console().print(table(spec, rows))
        _say(f"{len(rows)} rows, {progress.new} of them now: {out}")
    lost = sum(row["ended"] in (DIED, ERROR) for row in rows.values())
    if lost:
        _say(f"{lost} rows have no result: the column `detail` says why")
    return NOT_ALL if lost else 0


def _backend(address: str | None, jobs: int) -> Backend:
    from monitor.sweep.cluster import DaskBackend
    from monitor.sweep.local import LocalBackend

    return DaskBackend(address) if address else LocalBackend(jobs)


def _list(spec: Spec, shown: bool) -> None:
    points = spec.points()
    names = list(points[0].cells())
    widths = [max(len(str(point.cells()[name])) for point in points) for name in names]
    widths = [max(width, len(name)) for width, name in zip(widths, names, strict=True)]
    lines = [names, *([str(x) for x in point.cells().values()] for point in points)]
    for values in lines if shown else ():
        line = "  ".join(x.ljust(width) for x, width in zip(values, widths, strict=True))
        print(line.rstrip())
    _say(f"{len(points)} rows")


class Progress:
    """How far it is, for the display and for the last words."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._before: int | None = None
        self.state: State | None = None

    @property
    def new(self) -> int:
        """Rows of this process's."""
        return self.state.done - (self._before or 0) if self.state else 0

    @contextmanager
    def shown(self, wanted: bool) -> Iterator[Watcher]:
        with bar("sweep", self._total, wanted) as display:

            def watch(state: State) -> None:
                if self._before is None:
                    self._before = state.done
                    display.begin(state.done)
                self.state = state
                display.reach(state.done, f"{state.done} of {state.total} rows, {state.running} "
                                          f"running, {state.failed} failed")  # fmt: skip

            yield watch


def _say(text: str) -> None:
    print(f"vp: {text}", file=sys.stderr)

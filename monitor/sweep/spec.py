"""The spec of a sweep: a TOML file, read and checked whole before anything runs.

    models = ["pentium2-450"]       # a column of cycles for each
    baseline = { mode = "bare" }    # what the summary compares with
    time = false                    # processor seconds too

    [grid]
    mode = ["bare", "translate"]
    without = ["", "chaining", "chaining,stubs"]
    memory = [8, 64]
    clock = ["icount"]
    cpu = ["pentiumpro"]
    repetitions = 1

    [[guest]]                       # spec_guest.py

docs/sweeps.md explains the keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.bench import model
from monitor.bench.model import Model
from monitor.settings import units
from monitor.settings.config import parse_names
from monitor.settings.did_you_mean import choose
from monitor.settings.machine import CLOCKS, CPUS, MODES, check_ablations, check_memory
from monitor.settings.toml_file import known, parse, read, table
from monitor.sweep.grid import TRANSLATE, Grid, Point, points
from monitor.sweep.guests import Guest
from monitor.sweep.identity import Identity, identity
from monitor.sweep.spec_guest import read_guests
from monitor.vmm.errors import UserError

KEYS = ("models", "baseline", "time", "dask", "grid", "guest")
AXES = ("mode", "without", "memory", "clock", "cpu")
NO_ROWS_CHANGE = ("baseline", "dask")  # keys that say nothing about what is in a row
BASELINE = {"mode": "bare"}


@dataclass(frozen=True)
class Spec:
    """A sweep. `baseline` is what a point changes to be that with which it is compared."""

    path: Path
    guests: Sequence[Guest]
    grid: Grid
    models: Sequence[Model]
    baseline: Mapping[str, Any]
    time: bool
    dask: str | None
    identity: Identity

    def points(self) -> list[Point]:
        """The grid, in the order of the table."""
        return points(self.guests, self.grid)


def load(path: Path) -> Spec:
    """Raises UserError, which names the key."""
    where = str(path)
    data = parse(read(path, "spec"), where)
    known(data, KEYS, where)
    grid = _grid(table(data.get("grid", {}), f"{where}: grid"), f"{where}: grid")
    guests = read_guests(data.get("guest"), path.parent, bool(grid.memory), where)
    models = _models(data.get("models", [model.DEFAULT]), path.parent, f"{where}: models")
    dask = data.get("dask")
    if dask is not None and (not isinstance(dask, str) or not dask):
        raise UserError(f"{where}: dask: must be the address of a scheduler, as text")
    time = data.get("time", False)
    if not isinstance(time, bool):
        raise UserError(f"{where}: time: must be true or false")
    written = {key: value for key, value in data.items() if key not in NO_ROWS_CHANGE}
    baseline = _baseline(data.get("baseline"), grid, f"{where}: baseline")
    return Spec(path, guests, grid, models, baseline, time, dask,
                identity(written, guests, models))  # fmt: skip


# --- axes -----------------------------------------------------------------------------------------


def _grid(data: Mapping[str, Any], where: str) -> Grid:
    known(data, (*AXES, "repetitions"), where)
    given = {key: _axis(data[key], READERS[key], f"{where}.{key}") for key in AXES if key in data}
    repetitions = data.get("repetitions", 1)
    if type(repetitions) is not int or repetitions < 1:
        raise UserError(f"{where}.repetitions: must be a whole number, 1 or more")
    grid = Grid(**given, repetitions=repetitions)
    if any(grid.without) and TRANSLATE not in grid.mode:
        raise UserError(f"{where}.without: goes with mode {TRANSLATE}, which grid.mode has not")
    return grid


def _axis(values: Any, one: Callable[[Any, str], Any], where: str) -> tuple[Any, ...]:
    if not isinstance(values, list) or not values:
        raise UserError(f"{where}: must be a list with something in it")
    found = tuple(one(value, where) for value in values)
    for number, value in enumerate(found):
        if value in found[:number]:
            raise UserError(f"{where}: {values[number]!r} is there twice")
    return found


def _mode(value: Any, where: str) -> str:
    return _one_of(MODES, value, where)


def _clock(value: Any, where: str) -> str:
    return _one_of(CLOCKS, value, where)


def _cpu(value: Any, where: str) -> str:
    return _one_of(CPUS, value, where)


def _one_of(choices: Sequence[str], value: Any, where: str) -> str:
    if value not in choices:
        raise UserError(f"{where}: {value!r}: {choose(str(value), choices)}")
    return str(value)


def _memory(value: Any, where: str) -> int:
    if isinstance(value, str):
        try:
            value = units.mebibytes(value)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
    if type(value) is not int:
        raise UserError(f"{where}: {value!r}: must be a whole number of MiB, or a size like 64M")
    try:
        check_memory(value)
    except UserError as error:
        raise UserError(f"{where}: {str(error).removeprefix('memory ')}") from error
    return value


def _without(value: Any, where: str) -> tuple[str, ...]:
    """As `vp run --without` takes it; an empty text leaves nothing out."""
    if not isinstance(value, str):
        raise UserError(f"{where}: {value!r}: must be text, names with commas between them")
    names = tuple(sorted(set(parse_names(value))))
    try:
        check_ablations(TRANSLATE, names)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return names


READERS: Mapping[str, Callable[[Any, str], Any]] = {
    "mode": _mode, "without": _without, "memory": _memory, "clock": _clock,
    "cpu": _cpu,
}  # fmt: skip


# --- models, baseline -----------------------------------------------------------------------------


def _models(names: Any, folder: Path, where: str) -> list[Model]:
    def one(name: Any, where: str) -> Model:
        if not isinstance(name, str):
            raise UserError(f"{where}: {name!r}: must be text, a model's name or its .toml file")
        try:
            return model.load(str(folder / name) if name.endswith(".toml") else name)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error

    models = list(_axis(names, one, where))
    titles = [found.name for found in models]
    for name in titles:
        if titles.count(name) > 1 or not name.isprintable() or "," in name or '"' in name:
            raise UserError(f"{where}: {name!r} names a column: it has to be the only one of that "
                            "name, without commas and quotes")  # fmt: skip
    return models


def _baseline(given: Any, grid: Grid, where: str) -> dict[str, Any]:
    """Its settings as a point has them; none if the usual one is not in the grid."""
    if given is None:
        return dict(BASELINE) if BASELINE["mode"] in grid.mode else {}
    known(table(given, where), AXES, where)
    settings = {}
    for key, value in given.items():
        wanted = READERS[key](value, f"{where}.{key}") if key in ("without", "memory") else value
        if wanted not in getattr(grid, key):
            raise UserError(f"{where}.{key}: {value!r} is not in grid.{key}")
        settings["memory_mb" if key == "memory" else key] = wanted
    return settings

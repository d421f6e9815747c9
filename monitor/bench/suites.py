"""The suites by name, and their results as tables, notes and files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from monitor.bench import nano, store, tables, talk
from monitor.bench.figures import Figure, figures
from monitor.bench.host import describe
from monitor.bench.model import Model
from monitor.bench.rows import Row, Setup
from monitor.bench.suite import Plan, measure
from monitor.errors import UserError


@dataclass(frozen=True)
class Results:
    """What a suite found. `lines` is the table as text, `figures` the nanobenchmarks' own,
    `slowdowns` those of the talk's table, `draw` makes captions and pictures."""

    suite: str
    title: str
    model: Model
    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    rows: Sequence[Row]
    notes: Sequence[str]
    about: Mapping[str, Any]
    host_clock: bool
    draw: Callable[[], Sequence[tuple[str, str]]]
    figures: Sequence[Figure] = field(default=())
    slowdowns: Sequence[talk.Slowdown] = field(default=())

    def figure(self, operation: str, mode: str, *without: str) -> Figure:
        """One operation in one setup."""
        wanted = Setup(mode, without)
        return next(f for f in self.figures if (f.operation, f.setup) == (operation, wanted))

    def tables(self) -> list[Table]:
        """For the terminal."""
        return [tables.table(self.title, self.head, self.lines)]

    def pictures(self) -> Sequence[tuple[str, str]]:
        """Captions and SVG; needs matplotlib."""
        return self.draw()

    def write(self, folder: Path) -> None:
        """The CSV files, and about.json. UserError where they cannot be written."""
        rows = [store.line(row, self.host_clock) for row in self.rows]
        store.write(folder, self.about, rows, self.head, self.lines)


class Suite(ABC):
    """A plan, and how its rows are to be read."""

    name: str
    plan: Plan

    @property
    def size(self) -> int:
        """How many rows measure() makes."""
        return self.plan.size

    def measure(self) -> Iterator[Row]:
        """Run everything, a row at a time."""
        return measure(self.plan)

    @abstractmethod
    def results(self, rows: Sequence[Row], host_clock: bool) -> Results:
        """What the rows come to; with `host_clock` real time as well."""

    def about(self, host_clock: bool) -> dict[str, Any]:
        """What was measured, and how: for about.json."""
        plan = self.plan
        about = {
            "suite": self.name,
            "rounds": plan.rounds,
            "repetitions": plan.repetitions,
            "model": plan.model.name,
            "clock": "host" if host_clock else "icount",
        }
        return about | {"host": describe()} if host_clock else about


class Nano(Suite):
    """The nanobenchmarks: single operations, each in every setup (nano.py)."""

    name = "nano"

    def __init__(
        self, names: Sequence[str], rounds: int | None, repetitions: int, model: Model
    ) -> None:
        self.operations = nano.choose(names)
        sources = nano.sources(self.operations)
        self.plan = Plan(sources, nano.SETUPS, rounds or nano.ROUNDS, repetitions, model)

    def results(self, rows: Sequence[Row], host_clock: bool) -> Results:
        found = figures(rows, self.operations)
        model = self.plan.model
        return Results(
            self.name,
            f"One operation, of {self.plan.rounds} in a loop; cycles of a {model.title}",
            model,
            tables.head(host_clock),
            tables.lines(found, host_clock),
            rows,
            _notes(found),
            self.about(host_clock),
            host_clock,
            lambda: _pictures(found),
            found,
        )


def _pictures(found: Sequence[Figure]) -> list[tuple[str, str]]:
    from monitor.bench import plots  # matplotlib is not everybody's

    return [
        ("What an operation costs, bare, trapped and translated.", plots.operations(found)),
        ("Cycles that an operation takes more when one technique is left out.",
         plots.ablations(found)),
        ("What the translating monitor spends the cycles on.", plots.spending(found)),
    ]  # fmt: skip


def _notes(found: Sequence[Figure]) -> list[str]:
    wrong = sorted({figure.operation for figure in found if figure.wrong})
    if not wrong:
        return []
    return [f"(wrong): trap mode let critical instructions give wrong answers in "
            f"{', '.join(wrong)}; its cycles there buy no right result"]


class Talk(Suite):
    """The table of the talk of 1999, with stand-ins (talk.py)."""

    name = "talk"

    def __init__(
        self, names: Sequence[str], rounds: int | None, repetitions: int, model: Model
    ) -> None:
        self.programs = talk.choose(names)
        sources = talk.sources(self.programs)
        self.plan = Plan(sources, talk.SETUPS, rounds or talk.ROUNDS, repetitions, model)

    def results(self, rows: Sequence[Row], host_clock: bool) -> Results:
        found = talk.slowdowns(rows, self.programs)
        model = self.plan.model
        return Results(
            self.name,
            f"The talk's table with stand-ins; cycles of a {model.title}",
            model,
            talk.HEAD + (talk.HOST_HEAD if host_clock else ()),
            talk.lines(found, host_clock),
            rows,
            [STAND_INS],
            self.about(host_clock),
            host_clock,
            lambda: _talk_pictures(found),
            slowdowns=found,
        )


STAND_INS = ("Stand-ins, not the talk's programs: what they share is where the instructions run. "
             "docs/benchmarks.md says why the figures differ.")  # fmt: skip


def _talk_pictures(found: Sequence[talk.Slowdown]) -> list[tuple[str, str]]:
    from monitor.bench import plots  # matplotlib is not everybody's

    return [
        ("Slowdown of the stand-ins by the model, beside the talk's figures (under 10% is drawn "
         "as 10%).", plots.slowdowns(found)),
    ]  # fmt: skip


SUITES: Mapping[str, type[Nano] | type[Talk]] = {"nano": Nano, "talk": Talk}


def make(
    name: str, only: Sequence[str], rounds: int | None, repetitions: int, model: Model
) -> Suite:
    """A suite by its name in SUITES, with the rows named by `only` (all of them for none).

    `rounds` is the length of the loops, None for the suite's own. UserError for an unknown row.
    """
    return SUITES[name](only, rounds, repetitions, model)


def check_folder(folder: Path) -> None:
    """Can results be written there? Better known before they are measured."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write --out {folder}: {error.strerror}") from error

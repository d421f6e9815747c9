"""What a suite found, and what is common to all suites."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from monitor.bench import store, tables
from monitor.bench.figures import Figure
from monitor.bench.host import describe
from monitor.bench.model import Model
from monitor.bench.rows import Row, Setup, Tell, silence
from monitor.bench.talk import Slowdown
from monitor.writing.whole_table import Table

Pictures = Sequence[tuple[str, str]]
"""Captions and SVG."""


def no_pictures() -> Pictures:
    return ()


@dataclass(frozen=True)
class Options:
    """What can be asked of any suite. `only` names its rows, none meaning all; `rounds` None is
    the suite's own choice."""

    model: Model
    only: Sequence[str] = ()
    rounds: int | None = None
    repetitions: int = 1
    host_clock: bool = False


@dataclass(frozen=True)
class Results:
    """A suite's results. `lines` is the table as text, `figures` what it was made from, if a line
    is one, `slowdowns` those of the talk's table; `draw` needs matplotlib. `failed`: something is
    not as it must be.
    """

    suite: str
    title: str
    model: Model
    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    rows: Sequence[Row]
    notes: Sequence[str]
    about: Mapping[str, Any]
    draw: Callable[[], Pictures] = no_pictures
    figures: Sequence[Figure] = field(default=())
    slowdowns: Sequence[Slowdown] = field(default=())
    failed: bool = False

    def figure(self, operation: str, mode: str, *without: str) -> Figure:
        """One operation in one setup."""
        wanted = Setup(mode, without)
        return next(f for f in self.figures if (f.operation, f.setup) == (operation, wanted))

    def table(self) -> Table:
        """For the terminal."""
        return tables.table(self.title, self.head, self.lines)

    def write(self, folder: Path) -> None:
        """The CSV files, and about.json. UserError where they cannot be written."""
        host_clock = self.about["clock"] == "host"
        rows = [store.line(row, host_clock) for row in self.rows]
        store.write(folder, self.about, rows, self.head, self.lines)


class Plan(Protocol):
    """What is to run."""

    @property
    def size(self) -> int:
        """How many rows there will be."""

    def measure(self, tell: Tell = silence) -> Iterator[Row]:
        """The rows, each as it is done; `tell` is called with what comes next."""


class Suite(ABC):
    """What to measure, and how its rows are to be read. `rounds` is how long its loops are."""

    name: str
    plan: Plan

    def __init__(self, options: Options, rounds: int) -> None:
        self.options = options
        self.rounds = options.rounds or rounds

    @abstractmethod
    def results(self, rows: Sequence[Row]) -> Results:
        """What the rows say."""

    def about(self) -> dict[str, Any]:
        """How it was measured; with the host's clock also on which host."""
        about = {
            "suite": self.name,
            "rounds": self.rounds,
            "repetitions": self.options.repetitions,
            "model": self.options.model.name,
            "clock": "host" if self.options.host_clock else "icount",
        }
        return about | {"host": describe()} if self.options.host_clock else about

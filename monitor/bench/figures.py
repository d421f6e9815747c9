"""Figures of a table: one operation's, or one load's, in each setup.

An operation's are its loop's less those of the empty loop, divided by the rounds; a load's are its
sums. Everything is exact (whole numbers and fractions) until it is written down, so that a table is
the same to the last digit on every machine. Seconds are the exception: `Spread` has those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

from monitor.bench.model import real_exits
from monitor.bench.nano import Operation, empty_name
from monitor.bench.rows import BARE, ENDED_WELL, Row, Setup


@dataclass(frozen=True)
class Spread:
    """Real times, or their ratios, over repetitions."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Median, least and most of some values."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True)
class Figure:
    """One operation or load in one setup. `ratio` is cycles over the bare machine's, `slowdown`
    the same of real time, repetition by repetition."""

    operation: str
    setup: Setup
    instructions: Fraction
    engine: Fraction | None
    stubs: Fraction
    emulated: Fraction
    exits: Fraction
    fills: Fraction
    cycles: Fraction
    ratio: Fraction | None
    reasons: Mapping[str, Fraction]
    parts: Mapping[str, Fraction]
    seconds: Spread
    slowdown: Spread | None
    wrong: bool  #: the guest got wrong answers, or did not end well

    @property
    def name(self) -> str:
        """Operation and setup, as "in translate -stubs"."""
        return f"{self.operation} {self.setup}"


class Rows:
    """Rows by workload and setup."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows: dict[tuple[str, Setup], list[Row]] = {}
        for row in rows:
            self._rows.setdefault((row.workload, row.setup), []).append(row)

    def of(self, workload: str, setup: Setup) -> list[Row]:
        """Its repetitions."""
        return self._rows[workload, setup]

    def setups(self) -> list[Setup]:
        """Every setup once, in the order of the rows."""
        return list(dict.fromkeys(setup for _, setup in self._rows))


@dataclass(frozen=True)
class Measured:
    """The repetitions of something, those of what is subtracted, and what both are divided by."""

    full: Sequence[Row]
    empty: Sequence[Row] = ()
    rounds: int = 1

    def each(self, figure: Callable[[Row], int]) -> Fraction:
        """A figure of one round, without what is subtracted."""
        less = figure(self.empty[0]) if self.empty else 0
        return Fraction(figure(self.full[0]) - less, self.rounds)

    def by_name(self, names: Callable[[Row], Mapping[str, int]]) -> dict[str, Fraction]:
        """The same of figures by name; those that come to nothing are left out."""
        known = sorted({name for row in (self.full[0], *self.empty[:1]) for name in names(row)})
        found = {name: self.each(lambda row, name=name: names(row).get(name, 0))  # type: ignore[misc]
                 for name in known}  # fmt: skip
        return {name: value for name, value in found.items() if value}

    def seconds(self) -> list[float]:
        """Of one round, repetition by repetition."""
        less = [row.seconds for row in self.empty] or [0.0] * len(self.full)
        return [(row.seconds - other) / self.rounds
                for row, other in zip(self.full, less, strict=True)]  # fmt: skip


def operations(rows: Sequence[Row], chosen: Sequence[Operation]) -> list[Figure]:
    """Every operation in every setup, in that order."""
    table = Rows(rows)
    has_bare = BARE in table.setups()

    def measured(operation: Operation, setup: Setup) -> Measured:
        full = table.of(operation.name, setup)
        return Measured(full, table.of(empty_name(operation.loop), setup), full[0].rounds)

    return [
        figure_of(measured(operation, setup), measured(operation, BARE) if has_bare else None)
        for operation in chosen for setup in table.setups()
    ]  # fmt: skip


def loads(rows: Sequence[Row], names: Sequence[str]) -> list[Figure]:
    """Every load in every setup, in that order."""
    table = Rows(rows)
    return [
        figure_of(Measured(table.of(name, setup)), Measured(table.of(name, BARE)))
        for name in names for setup in table.setups()
    ]  # fmt: skip


def figure_of(measured: Measured, bare: Measured | None) -> Figure:
    """What was measured, beside the same on the bare machine."""
    row, each = measured.full[0], measured.each
    cycles = each(lambda row: row.cycles)
    bare_cycles = bare.each(lambda row: row.cycles) if bare else None
    return Figure(
        row.workload,
        row.setup,
        instructions=each(lambda row: row.counts.instructions),
        engine=None if row.engine is None else each(lambda row: row.engine or 0),
        stubs=each(lambda row: row.counts.by_kind.get("stubs", 0)),
        emulated=each(lambda row: row.counts.by_kind.get("emulated", 0)),
        exits=each(lambda row: real_exits(row.counts)),
        fills=each(lambda row: row.counts.fills),
        cycles=cycles,
        ratio=cycles / bare_cycles if bare_cycles else None,
        reasons=measured.by_name(lambda row: row.counts.exits),
        parts=measured.by_name(lambda row: row.parts),
        seconds=Spread.of(measured.seconds()),
        slowdown=slowdown(measured.seconds(), bare.seconds() if bare else [0.0]),
        wrong=row.counts.wrong > 0 or row.ended != ENDED_WELL,
    )


def slowdown(seconds: Sequence[float], bare: Sequence[float]) -> Spread | None:
    """None where a time is not positive: a difference of noisy ones, or less than a clock tick."""
    if min(bare) <= 0:
        return None
    return Spread.of([here / there for here, there in zip(seconds, bare, strict=True)])


def decimal(value: Fraction, places: int) -> str:
    """A fraction with so many places, halves away from zero.

    >>> decimal(Fraction(1, 3), 2), decimal(Fraction(-1, 200), 2), decimal(Fraction(5), 0)
    ('0.33', '-0.01', '5')
    """
    scaled = abs(value) * 10**places
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    digits = f"{whole:0{places + 1}d}"
    text = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return f"-{text}" if value < 0 and whole else text

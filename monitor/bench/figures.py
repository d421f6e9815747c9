"""Figures per operation: a loop's rows less those of the empty loop, divided by the rounds.

Everything is exact (whole numbers and fractions) until it is written down, so that a table is the
same to the last digit on every machine. Seconds are the exception: `Spread` has those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

from monitor.bench.model import real_exits
from monitor.bench.nano import Operation, empty_name
from monitor.bench.rows import Row, Setup
from monitor.bench.suite import ENDED_WELL


@dataclass(frozen=True)
class Spread:
    """Seconds over repetitions."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Median, least and most of some seconds."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True)
class Figure:
    """One operation in one setup. `ratio` is cycles over the bare machine's."""

    operation: str
    setup: Setup
    instructions: Fraction
    stubs: Fraction
    emulated: Fraction
    exits: Fraction
    fills: Fraction
    cycles: Fraction
    ratio: Fraction | None
    reasons: Mapping[str, Fraction]
    parts: Mapping[str, Fraction]
    seconds: Spread
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


def figures(rows: Sequence[Row], operations: Sequence[Operation]) -> list[Figure]:
    """Every operation in every setup, in that order."""
    table = Rows(rows)
    return [
        _figure(operation, table, setup) for operation in operations for setup in table.setups()
    ]


def _figure(operation: Operation, table: Rows, setup: Setup) -> Figure:
    empty = table.of(empty_name(operation.loop), setup)
    full = table.of(operation.name, setup)

    def each(figure: Callable[[Row], int]) -> Fraction:
        return Fraction(figure(full[0]) - figure(empty[0]), full[0].rounds)

    def by_name(names: Callable[[Row], Mapping[str, int]]) -> dict[str, Fraction]:
        known = sorted({*names(full[0]), *names(empty[0])})
        found = {n: each(lambda row, n=n: names(row).get(n, 0)) for n in known}  # type: ignore[misc]
        return {name: value for name, value in found.items() if value}

    cycles = each(lambda row: row.cycles)
    return Figure(
        operation.name,
        setup,
        instructions=each(lambda row: row.counts.instructions),
        stubs=each(lambda row: row.counts.by_kind.get("stubs", 0)),
        emulated=each(lambda row: row.counts.by_kind.get("emulated", 0)),
        exits=each(lambda row: real_exits(row.counts)),
        fills=each(lambda row: row.counts.fills),
        cycles=cycles,
        ratio=_ratio(cycles, operation, table),
        reasons=by_name(lambda row: row.counts.exits),
        parts=by_name(lambda row: row.parts),
        seconds=Spread.of([(f.seconds - e.seconds) / f.rounds
                           for f, e in zip(full, empty, strict=True)]),
        wrong=full[0].counts.wrong > 0 or full[0].ended != ENDED_WELL,
    )  # fmt: skip


def _ratio(cycles: Fraction, operation: Operation, table: Rows) -> Fraction | None:
    bare = Setup("bare")
    if bare not in table.setups():
        return None
    full, empty = table.of(operation.name, bare)[0], table.of(empty_name(operation.loop), bare)[0]
    own = Fraction(full.cycles - empty.cycles, full.rounds)
    return cycles / own if own else None


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

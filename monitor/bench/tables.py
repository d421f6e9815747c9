"""Tables of figures: as lines of text for a file, and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from rich import box

from monitor.bench.figures import Figure, Spread, decimal
from monitor.writing.whole_table import Table

REASONS = "exits by reason"
COUNTED = ("instructions", "engine", "stubs", "emulated", "exits", "fills", "cycles", "to bare")
SLOWDOWN = ("slowdown", "slowdown least", "slowdown most")
WRONG = " (wrong)"
NONE = "-"
MOST_KEYS = 2  # of the first columns, if they are words: they name the row


@dataclass(frozen=True)
class Style:
    """How a suite's figures are written: what a line is called, places of counts and of cycles,
    the unit of time and how many of them a second has, and the rarest reason that is worth a word
    (rarer than a hundredth of a time is the start-up's, not the operation's)."""

    what: str
    places: int
    cycle_places: int
    unit: str
    per_second: float
    time_places: int
    least_shown: Fraction

    def head(self, host_clock: bool) -> tuple[str, ...]:
        times = (self.unit, f"{self.unit} least", f"{self.unit} most", *SLOWDOWN)
        return (self.what, "setup", *COUNTED, *(times if host_clock else ()), REASONS)


OPERATION = Style("operation", 2, 1, "ns", 1e9, 0, Fraction(1, 100))
LOAD = Style("load", 0, 0, "ms", 1e3, 1, Fraction(1))


def lines(figures: Sequence[Figure], host_clock: bool, style: Style) -> list[tuple[str, ...]]:
    """One line per figure. Only the host's clock has columns that vary."""
    return [_line(figure, host_clock, style) for figure in figures]


def _line(figure: Figure, host_clock: bool, style: Style) -> tuple[str, ...]:
    counts = (figure.instructions, figure.engine, figure.stubs, figure.emulated, figure.exits,
              figure.fills)  # fmt: skip
    return (
        figure.operation,
        f"{figure.setup}{WRONG if figure.wrong else ''}",
        *(_exact(value, style.places) for value in counts),
        _exact(figure.cycles, style.cycle_places),
        _exact(figure.ratio, 2),
        *(_times(figure, style) if host_clock else ()),
        reasons(figure.reasons, style),
    )


def _exact(value: Fraction | None, places: int) -> str:
    return NONE if value is None else decimal(value, places)


def reasons(exits: Mapping[str, Fraction], style: Style = OPERATION) -> str:
    """
    >>> reasons({"chain": Fraction(1), "#PF": Fraction(3, 2), "shadow fill": Fraction(1, 999)})
    '#PF 1.50, chain 1.00'
    """
    often = sorted((-n, word) for word, n in exits.items() if n >= style.least_shown)
    return ", ".join(f"{word} {decimal(-n, style.places)}" for n, word in often)


def _times(figure: Figure, style: Style) -> tuple[str, ...]:
    own = [f"{value * style.per_second:.{style.time_places}f}" for value in _values(figure.seconds)]
    slowdown = figure.slowdown
    return (*own, *((NONE,) * 3 if slowdown is None else (f"{n:.2f}" for n in _values(slowdown))))


def _values(spread: Spread) -> tuple[float, float, float]:
    return spread.middle, spread.least, spread.most


def is_number(text: str) -> bool:
    """Does a cell hold a number, which goes to the right?

    >>> [is_number(text) for text in ("1.50", "-3", "12.1%", "-", "chain 1.00")]
    [True, True, True, True, False]
    """
    return text == NONE or text.removeprefix("-").removesuffix("%").replace(".", "", 1).isdigit()


def right(rows: Sequence[Sequence[str]]) -> list[bool]:
    """Which columns hold only numbers?"""
    return [all(map(is_number, column)) for column in zip(*rows, strict=True)]


def table(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """For people: the first column only where it changes; only the reasons may be wrapped."""
    numeric = right(rows)
    words = numeric.index(True) if any(numeric) else len(numeric)
    result = Table(keys=min(max(words, 1), MOST_KEYS), title=title, box=box.SIMPLE_HEAD)
    for name, to_the_right in zip(names, numeric, strict=True):
        heading = name.replace(" ", "\n") if len(name) > 8 and name != REASONS else name
        result.add_column(heading, justify="right" if to_the_right else "left",
                          no_wrap=name != REASONS)  # fmt: skip
    last = ""
    grouped = any(a[0] == b[0] for a, b in pairwise(rows))
    for row in rows:
        if last and row[0] != last and grouped:
            result.add_section()
        result.add_row("" if row[0] == last else row[0], *row[1:])
        last = row[0]
    return result

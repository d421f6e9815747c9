"""The nanobenchmarks' table: as lines of text for a file, and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

from rich import box
from rich.table import Table

from monitor.bench import talk
from monitor.bench.figures import Figure, decimal

HEAD = ("operation", "setup", "instructions", "stubs", "emulated", "exits", "fills", "cycles",
        "to bare", "exits by reason")  # fmt: skip
HOST_HEAD = ("ns", "ns least", "ns most")
RIGHT = {"instructions", "stubs", "emulated", "exits", "fills", "cycles", "to bare", *HOST_HEAD,
         *talk.HEAD[2:], *talk.HOST_HEAD}  # fmt: skip
LEAST_SHOWN = Fraction(1, 100)  # a reason rarer than that is the start-up's, not the operation's
WRONG = " (wrong)"


def head(host_clock: bool) -> tuple[str, ...]:
    return HEAD + HOST_HEAD if host_clock else HEAD


def lines(figures: Sequence[Figure], host_clock: bool) -> list[tuple[str, ...]]:
    """One line per operation and setup. Only the host's clock has columns that vary."""
    return [_line(figure) + (_seconds(figure) if host_clock else ()) for figure in figures]


def _line(figure: Figure) -> tuple[str, ...]:
    return (
        figure.operation,
        f"{figure.setup}{WRONG if figure.wrong else ''}",
        *(decimal(value, 2) for value in (figure.instructions, figure.stubs, figure.emulated,
                                          figure.exits, figure.fills)),
        decimal(figure.cycles, 1),
        decimal(figure.ratio, 1) if figure.ratio is not None else "-",
        reasons(figure.reasons),
    )  # fmt: skip


def reasons(exits: Mapping[str, Fraction]) -> str:
    """
    >>> reasons({"chain": Fraction(1), "#PF": Fraction(3, 2), "shadow fill": Fraction(1, 999)})
    '#PF 1.50, chain 1.00'
    """
    often = sorted((-n, word) for word, n in exits.items() if n >= LEAST_SHOWN)
    return ", ".join(f"{word} {decimal(-n, 2)}" for n, word in often)


def _seconds(figure: Figure) -> tuple[str, ...]:
    spread = figure.seconds
    return tuple(f"{value * 1e9:.0f}" for value in (spread.middle, spread.least, spread.most))


def table(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """For people: the first column only where it changes."""
    result = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in names:
        result.add_column(name, justify="right" if name in RIGHT else "left", no_wrap=True)
    last = ""
    grouped = any(a[0] == b[0] for a, b in pairwise(rows))
    for row in rows:
        if last and row[0] != last and grouped:
            result.add_section()
        result.add_row("" if row[0] == last else row[0], *row[1:])
        last = row[0]
    return result

"""Rows and tables: a figure, the baseline it is a ratio to, and the limit on that ratio."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.text import Text

from monitor.writing.whole_table import Table


@dataclass(frozen=True)
class Row:
    """One comparison; a limit of None means that the row only informs."""

    name: str
    figure: str
    baseline: str
    ratio: float
    limit: float | None = None
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Is the ratio within its limit?"""
        if self.limit is None:
            return True
        return self.ratio >= self.limit if self.at_least else self.ratio <= self.limit

    def verdict(self) -> Text:
        """The limit and whether it holds, for the last column."""
        if self.limit is None:
            return Text()
        sign = "≥" if self.at_least else "≤"
        mark = ("holds", "green") if self.holds else ("fails", "red")
        return Text(f"{sign} {self.limit:g} ").append(*mark)


@dataclass
class Section:
    """One table of a benchmark."""

    title: str
    rows: list[Row] = field(default_factory=list)
    note: str = ""

    def table(self) -> Table:
        """The table as rich prints it."""
        table = Table(title=self.title, caption=self.note or None)
        table.add_column("what")
        for heading in ("figure", "baseline", "ratio", "limit"):
            table.add_column(heading, justify="right")
        for row in self.rows:
            table.add_row(row.name, row.figure, row.baseline, f"{row.ratio:.3g}", row.verdict())
        return table


def seconds(value: float) -> str:
    """A time for people."""
    return f"{value:.2f} s"


def per_second(instructions: float) -> str:
    """Instructions per second for people."""
    return f"{instructions / 1e6:,.0f} M/s"


def megabytes(kilobytes: float) -> str:
    """Memory for people."""
    return f"{kilobytes * 1024 / 1e6:.0f} MB"

"""Tables that are whole at every width: no number, address or word in them is ever cut.

rich makes a table fit by cutting what does not, in the end to nothing and without a mark. Here

    what has spaces is wrapped there, and words are never broken; a no_wrap column not even there
    if that does not do, the columns are laid out in parts, one below the other, each beginning
    with the first columns (`keys`) again; a line above each part says which columns it has
    what is too wide for a part of its own is as long as it needs to be

Cells that are strings stand as they are: nothing in them is markup, "[ebx]" is an operand. What
prints a table must not crop it: monitor/writing/whole_console.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich import table
from rich.columns import Columns
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.text import Text

FREE = 1 << 20  # columns of text: no limit
READABLE = 12  # what may be wrapped gets so many, if there is room
BESIDE = 160  # tables are not laid side by side beyond


class Table(table.Table):
    """rich's. `keys`: how many of the first columns say which row it is; `glued`: the numbers of
    columns that stay in a part with the one before. A column's min_width is what it is not wrapped
    below where parts can be made instead.
    """

    def __init__(
        self, *headers: str, keys: int = 1, glued: Collection[int] = (), **options: Any
    ) -> None:
        super().__init__(*headers, **options)
        self.keys = keys
        self.glued = glued
        self._options = {name: value for name, value in options.items()
                         if name not in ("title", "caption")}  # fmt: skip

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """A row; a cell that is a string is no markup."""
        super().add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells),
                        **options)  # fmt: skip

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """In one part: with everything wrapped that can be, and with nothing."""
        layout = _Layout(self, console, options)
        notes = [Measurement.get(console, layout.free, text) for text in self._annotations()]
        least = min(layout.width(layout.all), layout.natural)
        return Measurement(
            max((least, *(each.minimum for each in notes))),
            max((layout.natural, *(each.maximum for each in notes))),
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        layout = _Layout(self, console, options)
        if self.title:
            yield _annotation(self.title, "table.title")
        yield from layout.render(options.max_width)
        if self.caption:
            yield _annotation(self.caption, "table.caption")

    def _annotations(self) -> list[Text]:
        return [_annotation(text, "") for text in (self.title, self.caption) if text]

    def frame(self, indexes: Sequence[int], widths: Sequence[int] | None) -> table.Table:
        """A table of rich's with these columns and no rows; None: as wide as they are."""
        part = table.Table(**self._options)
        for place, index in enumerate(indexes):
            column = self.columns[index]
            part.add_column(
                column.header, justify=column.justify, style=column.style, no_wrap=column.no_wrap,
                header_style=column.header_style, vertical=column.vertical, overflow="fold",
                width=None if widths is None else widths[place],
                min_width=column.min_width if widths is None else None,
            )  # fmt: skip
        return part

    def part(self, indexes: Sequence[int], widths: Sequence[int] | None) -> table.Table:
        """These columns, and the rows that have something in them."""
        part = self.frame(indexes, widths)
        columns = [list(self.columns[index].cells) for index in indexes]
        for number, row in enumerate(self.rows):
            cells = [column[number] for column in columns]
            if widths is None or not all(map(_blank, cells)):
                part.add_row(*cells, style=row.style, end_section=row.end_section)
            elif row.end_section:
                part.add_section()
        return part


@dataclass(frozen=True)
class _Range:
    """How many columns of text a column can have, without its padding: its longest word, what is
    readable, and what needs no wrapping."""

    word: int
    least: int
    most: int


class _Layout:
    """A table on a console: which columns go into which part, and how wide."""

    def __init__(self, of: Table, console: Console, options: ConsoleOptions) -> None:
        self.table = of
        self.console = console
        self.options = options
        self.free = options.update(width=FREE)
        self.all = range(len(of.columns))

    def render(self, room: int) -> RenderResult:
        if self.natural <= room:
            yield from self._part(self.table.part(self.all, None))
            return
        parts = list(self._split(room))
        if len(parts) > 1:
            yield Text(f"In {len(parts)} parts: {room} columns of text are too few for one.", "dim")
        for number, indexes in enumerate(parts, 1):
            if number > 1:
                names = ", ".join(filter(None, map(self._name, indexes[self.table.keys :])))
                yield Text(f"Part {number} of {len(parts)}{names and ': '}{names}", "dim")
            yield from self._part(self.table.part(indexes, self._widths(indexes, room)))

    def _part(self, part: table.Table) -> RenderResult:
        return self.console.render(part, self.options.update(width=self._measured(part)))

    def _measured(self, part: table.Table) -> int:
        return Measurement.get(self.console, self.free, part).maximum

    @cached_property
    def natural(self) -> int:
        """How wide it is where there is room for everything."""
        return self._measured(self.table.part(self.all, None))

    def width(self, indexes: Sequence[int]) -> int:
        """Of a part, wrapped as far as it can be read."""
        return self._measured(self.table.frame(indexes, [self._ranges[i].least for i in indexes]))

    def _split(self, room: int) -> Iterator[Sequence[int]]:
        """The columns of each part: as many as there is room for, and one at least."""
        keys = list(self.all[: self.table.keys])
        part = list(keys)
        for group in self._groups():
            if len(part) > len(keys) and self.width([*part, *group]) > room:
                yield part
                part = list(keys)
            part += group
        yield part

    def _groups(self) -> list[list[int]]:
        groups: list[list[int]] = []
        for index in self.all[self.table.keys :]:
            if groups and index in self.table.glued:
                groups[-1].append(index)
            else:
                groups.append([index])
        return groups

    def _widths(self, indexes: Sequence[int], room: int) -> list[int]:
        """Of its columns: what is left over goes to the narrowest that can use it."""
        ranges = [self._ranges[index] for index in indexes]
        widths = [each.least for each in ranges]
        spare = room - self.width(indexes)
        if spare < 0:
            spare += sum(each.least - each.word for each in ranges)
            widths = [each.word for each in ranges]
        for _ in range(spare):
            wanting = [i for i, each in enumerate(ranges) if widths[i] < each.most]
            if not wanting:
                break
            widths[min(wanting, key=widths.__getitem__)] += 1
        return widths

    @cached_property
    def _ranges(self) -> list[_Range]:
        return list(map(self._range, self.table.columns))

    def _range(self, column: table.Column) -> _Range:
        cells = [*([column.header] if self.table.show_header else ()), *column.cells]
        measured = [Measurement.get(self.console, self.free, cell) for cell in cells]
        most = max((each.maximum for each in measured), default=0)
        word = max((each.minimum for each in measured), default=0)
        if column.no_wrap:
            return _Range(most, most, most)
        return _Range(word, max(word, min(most, column.min_width or READABLE)), most)

    def _name(self, index: int) -> str:
        return " ".join(str(self.table.columns[index].header).split())


@dataclass(frozen=True)
class Beside:
    """Tables side by side as far as there is room, else one below the other."""

    tables: Sequence[Table]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = min(options.max_width, BESIDE)
        widths = [Measurement.get(console, options.update(width=FREE), each).minimum
                  for each in self.tables]  # fmt: skip
        if max(widths, default=0) > room:
            yield from self.tables
        else:
            columns = Columns(self.tables, padding=(0, 2))
            yield from console.render(columns, options.update(width=room))


def _annotation(text: str | Text, style: str) -> Text:
    return Text(text, style) if isinstance(text, str) else text


def _blank(cell: RenderableType) -> bool:
    return isinstance(cell, str | Text) and not str(cell).strip()

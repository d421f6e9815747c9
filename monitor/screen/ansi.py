"""A screen as what a terminal has to be sent: text as text, pictures by its graphics.

Manual: ECMA-48, "SGR", "CUP", "EL", "ED"; xterm's control sequences for 24-bit colour.

Only rows that differ from what was sent last are sent. A picture goes by kitty's protocol or as
sixels to a terminal that has said that it draws them. To others it goes as half blocks of colour: a
character cell has two pixels, one above the other, an upper half block in one colour on the other.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import numpy as np
import numpy.typing as npt

from monitor.screen import kitty
from monitor.screen.reader import CHARACTERS
from monitor.screen.screen import Screen
from monitor.screen.sixel import LINES, sixels

#: The PC's colours in the order of ECMA-48: blue is bit 0 there, and bit 2 here.
COLOURS = (0, 4, 2, 6, 1, 5, 3, 7)
CLEAR, RESET, TO_END = "\x1b[2J", "\x1b[0m", "\x1b[K"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
BLINK, BRIGHT, INTENSE = 0x80, 0x08, 60
UPPER_HALF = "▀"
HOME = "\x1b[1;1H"
CELL = (8, 16)  # pixels, of a terminal that does not say: rather too small a picture


class AnsiScreen:
    """`room` says how many columns and rows the terminal has."""

    def __init__(self, screen: Screen, room: Callable[[], tuple[int, int]]) -> None:
        self._screen = screen
        self._room = room
        self._shape: object = None
        self._rows: list[str] = []
        self._cursor: str = ""
        #: What draws pictures: "kitty", "sixel", or "" for half blocks.
        self.graphics = ""
        #: Width and height of the terminal's text in pixels, if it has said.
        self.pixels: tuple[int, int] | None = None
        self._drawn: object = None  # the picture that stands there
        self._cell: tuple[float, float] = CELL
        self._measured: object = None  # the size that this comes from

    def forget(self) -> None:
        """The terminal shows something else: send everything again."""
        self._shape = None

    def frame(self) -> str:
        """What has changed since this was asked last."""
        columns, count = self._room()
        cells = self._screen.cells
        shape = columns, count, self._screen.size, cells is None, self.graphics, self.pixels
        begun = ""
        if shape != self._shape:
            self._shape, self._rows, self._cursor, begun = shape, [], "", RESET + CLEAR
            if self._drawn is not None and self.graphics == "kitty":
                begun += kitty.DELETE
            self._drawn = None
        if cells is None and self.graphics:
            return begun + self._graphics(columns, count)
        if cells is None:
            rows, cursor = picture_rows(self._screen.array, columns, count), HIDE
        else:
            rows = text_rows(cells[:count, :columns], self._screen.blinks)
            cursor = _cursor(self._screen.cursor, columns, count)
        old = self._rows + [""] * (len(rows) - len(self._rows))
        news = [f"\x1b[{number + 1};1H{row}{RESET}{TO_END}"
                for number, (row, was) in enumerate(zip(rows, old, strict=False))
                if row != was]  # fmt: skip
        self._rows = rows
        if not begun and not news and cursor == self._cursor:
            return ""
        self._cursor = cursor
        return begun + HIDE + "".join(news) + cursor


    def _graphics(self, columns: int, count: int) -> str:
        """The picture, if it is another one."""
        picture = self._screen.array
        if picture is self._drawn or not picture.size:
            return ""
        self._drawn = picture
        if self.pixels is not None and self.pixels is not self._measured:
            self._measured = self.pixels
            self._cell = self.pixels[0] / columns, self.pixels[1] / count
        width, height = int(self._cell[0] * columns), int(self._cell[1] * count)
        if self.graphics == "sixel":
            height -= height // count + LINES  # or it would scroll
            return HIDE + HOME + sixels(scaled(picture, width, max(LINES, height)))
        scale = min(width / picture.shape[1], height / picture.shape[0])
        across = round(picture.shape[1] * scale * columns / width)
        along = round(picture.shape[0] * scale * count / height)
        return HIDE + HOME + kitty.drawn(picture, max(1, across), max(1, along))


def scaled(picture: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    """As large as it can be in so many pixels: enlarged by whole numbers, or with lines left out.

    >>> scaled(np.zeros((2, 3, 3), np.uint8), 9, 4).shape, scaled(np.zeros((8, 8, 3)), 4, 6).shape
    ((4, 6, 3), (4, 4, 3))
    """
    tall, wide = picture.shape[:2]
    times = min(width // wide, height // tall)
    if times:
        return picture.repeat(times, 0).repeat(times, 1)
    scale = min(width / wide, height / tall)
    lines, columns = max(1, int(tall * scale)), max(1, int(wide * scale))
    at = np.ix_(np.arange(lines) * tall // lines, np.arange(columns) * wide // columns)
    return picture[at]


def text_rows(cells: npt.NDArray[np.uint16], blinks: bool) -> list[str]:
    """Rows of characters with their colours."""
    rows = []
    for row in cells.tolist():
        parts = (
            f"\x1b[{rendition(attribute, blinks)}m" + "".join(CHARACTERS[c & 0xFF] for c in run)
            for attribute, run in groupby(row, lambda cell: cell >> 8)
        )
        rows.append("".join(parts))
    return rows


def rendition(attribute: int, blinks: bool) -> str:
    """The parameters of SGR for an attribute.

    >>> rendition(0x1E, blinks=True), rendition(0x87, blinks=True), rendition(0x87, blinks=False)
    ('0;93;44', '0;5;37;40', '0;37;100')
    """
    ink, ground = attribute & 0x0F, attribute >> 4
    blink = ""
    if blinks:
        blink, ground = "5;" if attribute & BLINK else "", ground & 7
    front = 30 + COLOURS[ink & 7] + (INTENSE if ink & BRIGHT else 0)
    back = 40 + COLOURS[ground & 7] + (INTENSE if ground & BRIGHT else 0)
    return f"0;{blink}{front};{back}"


def picture_rows(picture: npt.NDArray[np.uint8], columns: int, count: int) -> list[str]:
    """A picture, as large as it can be in so many columns and rows of two pixels each."""
    height, width = picture.shape[:2]
    scale = min(columns / width, 2 * count / height)
    columns, lines = max(1, int(width * scale)), max(2, int(height * scale) & ~1)
    at = np.ix_(np.arange(lines) * height // lines, np.arange(columns) * width // columns)
    small = picture[at].astype(np.int64)
    colours = (small[..., 0] << 16 | small[..., 1] << 8 | small[..., 2]).tolist()
    return [_blocks(upper, lower) for upper, lower in zip(colours[::2], colours[1::2], strict=True)]


def _blocks(upper: list[int], lower: list[int]) -> str:
    parts = []
    for (front, back), run in groupby(zip(upper, lower, strict=True)):
        parts.append(f"\x1b[38;2;{_rgb(front)};48;2;{_rgb(back)}m" + UPPER_HALF * len(list(run)))
    return "".join(parts)


def _rgb(colour: int) -> str:
    return f"{colour >> 16};{colour >> 8 & 0xFF};{colour & 0xFF}"


def _cursor(place: tuple[int, int] | None, columns: int, count: int) -> str:
    if place is None or place[0] >= count or place[1] >= columns:
        return HIDE
    return f"\x1b[{place[0] + 1};{place[1] + 1}H{SHOW}"

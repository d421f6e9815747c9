r"""A picture as sixels, for terminals that draw them.

Manual: DEC VT330/VT340 Programmer Reference Manual, volume 2, chapter 14, "Sixel Graphics".

    ESC P 0;1;0 q        what is not drawn stays as it was
    "1;1;W;H             pixels are square, and so many
    #n;2;r;g;b           colour n, in hundredths
    #n ...               six lines of that colour: a character a column, bit 0 the uppermost
    !n c                 n times that;  $ back to the left;  - the next six lines

>>> sixels(np.array([[[255, 0, 0], [255, 0, 0]]], np.uint8))
'\x1bP0;1;0q"1;1;2;1#0;2;100;0;0#0@@-\x1b\\'
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

BEGIN, END = "\x1bP0;1;0q", "\x1b\\"
LINES = 6
MOST_COLOURS = 256
SHORT = 3  # characters that are no longer than a count of them


def sixels(picture: npt.NDArray[np.uint8]) -> str:
    """The whole sequence. More than 256 colours become those of three bits, three and two."""
    height, width = picture.shape[:2]
    colours, indexes = _palette(picture)
    padded = np.full((-(-height // LINES) * LINES, width), -1, np.int64)
    padded[:height] = indexes
    parts = [BEGIN, f'"1;1;{width};{height}']
    for number, (red, green, blue) in enumerate(colours.tolist()):
        parts.append(f"#{number};2;{_hundredths(red)};{_hundredths(green)};{_hundredths(blue)}")
    for top in range(0, height, LINES):
        parts.append(_band(padded[top : top + LINES]) + "-")
    return "".join(parts) + END


def _palette(
    picture: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Colours, and which each pixel has."""
    numbers = _numbers(picture)
    colours, indexes = np.unique(numbers, return_inverse=True)
    if len(colours) > MOST_COLOURS:
        coarse = picture & np.array((0xE0, 0xE0, 0xC0), np.uint8)
        numbers = _numbers(coarse | coarse >> 3 | coarse >> 6)
        colours, indexes = np.unique(numbers, return_inverse=True)
    levels = np.stack((colours >> 16, colours >> 8 & 0xFF, colours & 0xFF), axis=1)
    return levels.astype(np.uint8), indexes.reshape(numbers.shape).astype(np.int64)


def _numbers(picture: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """A colour as one number."""
    return picture.astype(np.uint32) @ np.array((1 << 16, 1 << 8, 1), np.uint32)


def _hundredths(level: int) -> int:
    return (level * 100 + 127) // 255


def _band(lines: npt.NDArray[np.int64]) -> str:
    """Six lines, one colour after the other."""
    weights = (1 << np.arange(LINES))[:, None]
    parts = []
    for colour in np.unique(lines[lines >= 0]).tolist():
        columns = ((lines == colour) * weights).sum(axis=0).tolist()
        parts.append(f"#{colour}" + _counted(columns))
    return "$".join(parts)


def _counted(columns: list[int]) -> str:
    while columns and not columns[-1]:
        columns.pop()  # nothing is drawn there
    parts = []
    for bits, run in groupby(columns):
        count, character = len(list(run)), chr(0x3F + bits)
        parts.append(f"!{count}{character}" if count > SHORT else character * count)
    return "".join(parts)

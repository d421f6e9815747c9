"""What of a picture has changed: rectangles around it.

>>> old = np.zeros((8, 8, 3), np.uint8); new = old.copy(); new[2, 3:5] = 1; new[3, 4] = 9
>>> changes(old, new, gap=2)
[Rectangle(x=3, y=2, width=2, height=2)]
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

GAP = 16  # lines in between that are rather sent along than make one rectangle more


class Rectangle(NamedTuple):
    """Of pixels, from its upper left corner on."""

    x: int
    y: int
    width: int
    height: int


def whole(picture: npt.NDArray[np.uint8]) -> Rectangle:
    """All of it."""
    return Rectangle(0, 0, picture.shape[1], picture.shape[0])


def changes(
    old: npt.NDArray[np.uint8], new: npt.NDArray[np.uint8], gap: int = GAP
) -> list[Rectangle]:
    """What differs, from top to bottom. Pictures of the same size."""
    differ = (old != new).any(axis=2)
    lines = np.flatnonzero(differ.any(axis=1))
    if not len(lines):
        return []
    groups = np.split(lines, np.flatnonzero(np.diff(lines) > gap) + 1)
    return [_around(differ, int(group[0]), int(group[-1])) for group in groups]


def _around(differ: npt.NDArray[np.bool_], top: int, bottom: int) -> Rectangle:
    columns = np.flatnonzero(differ[top : bottom + 1].any(axis=0))
    left, right = int(columns[0]), int(columns[-1])
    return Rectangle(left, top, right - left + 1, bottom - top + 1)

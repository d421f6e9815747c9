"""Pictures of several sizes on one canvas: a guest changes its mode, a film has one size.

A picture is enlarged by the largest whole number that fits, and stands in the middle, on black. One
that does not fit is made smaller, by leaving out lines and columns.

>>> fitted(np.full((2, 3, 3), 9, np.uint8), 7, 5)[..., 0].tolist()[1]
[9, 9, 9, 9, 9, 9, 0]
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]


def fitted(picture: Picture, width: int, height: int) -> Picture:
    """The picture on a canvas of that size."""
    if picture.shape[:2] == (height, width):
        return picture
    tall, wide = max(1, picture.shape[0]), max(1, picture.shape[1])
    times = min(width // wide, height // tall)
    if times:
        drawn = picture.repeat(times, 0).repeat(times, 1)
    else:
        scale = min(width / wide, height / tall)
        lines, columns = max(1, int(tall * scale)), max(1, int(wide * scale))
        at = np.ix_(np.arange(lines) * tall // lines, np.arange(columns) * wide // columns)
        drawn = picture[at]
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - drawn.shape[0]) // 2, (width - drawn.shape[1]) // 2
    canvas[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    return canvas

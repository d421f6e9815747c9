r"""A picture by kitty's protocol, for terminals that have it.

Manual: "Terminal graphics protocol" of kitty's documentation.

    ESC _ G keys ; data ESC \     data is base64, 4096 characters at most; m=1: more follows

a=T draws, f=24 are red, green and blue, o=z by zlib, s and v the size in pixels, c and r in columns
and rows, which the terminal scales to; i and p name it, so that it stands in the last one's place;
C=1 leaves the cursor, q=2 wants no answer.
"""

from __future__ import annotations

import base64
import zlib

import numpy as np
import numpy.typing as npt

BEGIN, END = "\x1b_G", "\x1b\\"
CHUNK = 4096
DELETE = f"{BEGIN}a=d,d=I,i=1,q=2{END}"


def drawn(picture: npt.NDArray[np.uint8], columns: int, rows: int) -> str:
    """The sequences that show it at the cursor, in so many columns and rows."""
    height, width = picture.shape[:2]
    data = base64.b64encode(zlib.compress(picture.tobytes(), 1)).decode("ascii")
    keys = f"a=T,f=24,o=z,s={width},v={height},c={columns},r={rows},i=1,p=1,C=1,q=2,"
    parts = []
    for at in range(0, len(data), CHUNK):
        more = int(at + CHUNK < len(data))
        parts.append(f"{BEGIN}{keys}m={more};{data[at : at + CHUNK]}{END}")
        keys = ""
    return "".join(parts)

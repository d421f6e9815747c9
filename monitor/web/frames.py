"""What one viewer is sent: where the newest picture differs from the last one that it was sent.

    4 bytes    the length of what follows, the lowest byte first
    JSON       {"width": 720, "height": 400, "rectangles": [[x, y, width, height, length], ...]}
    PNGs       one for each rectangle, of those lengths

A viewer says when it has drawn one. As long as IN_FLIGHT are on their way it gets no other, so one
that is slow sees fewer pictures, and no old ones; one that says nothing gets one a second.

>>> old = np.zeros((400, 720, 3), np.uint8); new = old.copy(); new[16:32, 9:18] = 255
>>> message = message_of(old, new)
>>> message[4 : 4 + message[0]].decode()[:63]
'{"width": 720, "height": 400, "rectangles": [[9, 16, 9, 16, 75]'
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable

import numpy as np

from monitor.screen.rectangles import Rectangle, changes, whole
from monitor.web.pictures import Picture, Pictures

IN_FLIGHT = 2
SILENCE = 1.0  # seconds
MOST_RECTANGLES = 16  # more are sent as one


class Frames:
    """For one viewer. `next` and `drawn` belong to one thread."""

    def __init__(self, pictures: Pictures, clock: Callable[[], float] = time.monotonic) -> None:
        self._pictures = pictures
        self._clock = clock
        self._last: Picture | None = None
        self._on_their_way = 0
        self._sent = 0.0

    def forget(self) -> None:
        """The viewer has nothing: it gets all of the picture."""
        self._last, self._on_their_way = None, 0

    def drawn(self) -> None:
        """The viewer has drawn what it was sent first."""
        self._on_their_way = max(0, self._on_their_way - 1)

    def next(self) -> bytes | None:
        """What to send now, if there is something."""
        newest, now = self._pictures.newest, self._clock()
        if newest is None or newest is self._last:
            return None
        if self._on_their_way >= IN_FLIGHT and now < self._sent + SILENCE:
            return None
        message = message_of(self._last, newest)
        self._last = newest
        if message:
            self._on_their_way += 1
            self._sent = now
        return message or None


def message_of(old: Picture | None, new: Picture) -> bytes:
    """From one to the other; b"": they are equal."""
    if old is None or old.shape != new.shape:
        rectangles = [whole(new)]
    else:
        rectangles = changes(old, new)
        if len(rectangles) > MOST_RECTANGLES:
            rectangles = [whole(new)]
    if not rectangles:
        return b""
    pieces = [png_of(cut(new, each)) for each in rectangles]
    head = json.dumps({
        "width": new.shape[1], "height": new.shape[0],
        "rectangles": [[*each, len(piece)] for each, piece in zip(rectangles, pieces, strict=True)],
    }).encode()  # fmt: skip
    return b"".join((len(head).to_bytes(4, "little"), head, *pieces))


def cut(picture: Picture, where: Rectangle) -> Picture:
    """A part of a picture."""
    x, y, width, height = where
    return picture[y : y + height, x : x + width]


def png_of(picture: Picture) -> bytes:
    """A picture as a file, packed quickly rather than well."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, "PNG", compress_level=1)
    return file.getvalue()

"""What of the screen a client has, and what it is sent: RFC 6143, 7.5.3 and 7.6.1.

The client asks for an area, and is answered once: at once, if it wants all of it, or when something
has changed there. What it has is a picture of ours, kept for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import numpy as np
import numpy.typing as npt

from monitor.host.vnc.encodings import Encoder
from monitor.host.vnc.messages import (
    DESKTOP_SIZE,
    QEMU_KEYS,
    QEMU_POINTER,
    Area,
    rectangle,
    update,
)
from monitor.host.vnc.pixels import SERVERS, PixelFormat

Picture = npt.NDArray[np.uint8]
#: Where two pictures of the same size differ (monitor/screen/rectangles.py).
Changes = Callable[[Picture, Picture], Iterable[tuple[int, int, int, int]]]
MOST = 0xFFFF


class Updates:
    """One client's, whose screen has this size."""

    def __init__(self, width: int, height: int, changes: Changes) -> None:
        self.width, self.height = width, height
        self.form: PixelFormat = SERVERS
        #: It wants to know where the mouse is by its motion, and not by its place.
        self.by_motion = False
        self._changes = changes
        self._encoder = Encoder()
        self._extensions: frozenset[int] = frozenset()
        self._said_keys = False
        #: It has asked since this was set to False.
        self.asked_anew = False
        self._asked: Area | None = None
        self._all = True  # of what it asked for, changed or not
        self._has: Picture | None = None
        self._seen: object = None  # a picture that has nothing new in what it asks for

    def set_encodings(self, wanted: Collection[int]) -> None:
        """What the client understands, what it likes best first."""
        self._encoder.choose(wanted)
        self._extensions = frozenset(wanted) & {DESKTOP_SIZE, QEMU_POINTER, QEMU_KEYS}

    def ask(self, area: Area, incremental: bool) -> None:
        """The client wants to see this."""
        self._asked = area
        self.asked_anew = True
        self._all |= not incremental
        self._seen = None

    @property
    def asked(self) -> bool:
        """Does it wait for something?"""
        return self._asked is not None

    def answer(self, picture: Picture, follows: bool) -> bytes:
        """What to send now; nothing, if it does not wait or has all that it asked for.

        `follows`: the guest's mouse takes places.
        """
        if self._asked is None:
            return b""
        if self._seen is picture and not self._changes_mouse(follows):
            return b""
        self._seen = picture
        news = self._size(picture) or self._news(follows) + self._areas(self._fitted(picture))
        if not news:
            return b""
        self._asked = None
        return update(news)

    def _size(self, picture: Picture) -> list[bytes]:
        """The screen has another size now: nothing else is said (7.8.2)."""
        height, width = (min(max(each, 1), MOST) for each in picture.shape[:2])
        if DESKTOP_SIZE not in self._extensions or (width, height) == (self.width, self.height):
            return []
        self.width, self.height, self._has = width, height, None
        return [rectangle(Area(0, 0, width, height), DESKTOP_SIZE)]

    def _news(self, follows: bool) -> list[bytes]:
        found = []
        if QEMU_KEYS in self._extensions and not self._said_keys:
            self._said_keys = True
            found.append(rectangle(Area(0, 0, self.width, self.height), QEMU_KEYS))
        if self._changes_mouse(follows):
            self.by_motion = not self.by_motion
            at = Area(0 if self.by_motion else 1, 0, self.width, self.height)
            found.append(rectangle(at, QEMU_POINTER))
        return found

    def _changes_mouse(self, follows: bool) -> bool:
        return QEMU_POINTER in self._extensions and self.by_motion is follows

    def _fitted(self, picture: Picture) -> Picture:
        """As large as the client's screen, which cannot grow: black, or cut off."""
        if picture.shape[:2] == (self.height, self.width):
            return picture
        fitted = np.zeros((self.height, self.width, 3), np.uint8)
        part = picture[: self.height, : self.width]
        fitted[: part.shape[0], : part.shape[1]] = part
        return fitted

    def _areas(self, picture: Picture) -> list[bytes]:
        assert self._asked is not None
        asked = self._asked.within(self.width, self.height)
        if self._has is None:
            self._has = np.zeros_like(picture)
            self._all = True
        changed = [asked] if self._all else [
            Area(*each).common(asked) for each in self._changes(self._has, picture)
        ]  # fmt: skip
        found = []
        for area in changed:
            if area:
                rows = slice(area.y, area.y + area.height)
                columns = slice(area.x, area.x + area.width)
                piece = picture[rows, columns]
                self._has[rows, columns] = piece
                data = self._encoder.encode(self.form.pixels(piece), self.form)
                found.append(rectangle(area, self._encoder.encoding, data))
        self._all &= not found
        return found

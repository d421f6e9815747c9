"""Numbers and layouts of the protocol. Manual: RFC 6143, section 7; numbers are big-endian.

QEMU's extension has keys as numbers of a PC's, whatever is printed on them: "QEMU Extended Key
Event Message" in the community's wiki of the protocol (rfbproto).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

VERSION = b"RFB 003.008\n"
VERSION_BYTES = len(VERSION)

# 7.1.2: security types; 7.1.3: results
NO_SECURITY, VNC_AUTHENTICATION = 1, 2
OK, FAILED = 0, 1
CHALLENGE_BYTES = 16

# 7.5: from the client
SET_PIXEL_FORMAT, SET_ENCODINGS, UPDATE_REQUEST = 0, 2, 3
KEY_EVENT, POINTER_EVENT, CUT_TEXT = 4, 5, 6
QEMU_MESSAGE, QEMU_KEY_EVENT = 255, 0

# 7.6: from the server
FRAMEBUFFER_UPDATE, COLOUR_MAP = 0, 1

# 7.7 and 7.8: encodings, and what is no encoding
RAW, ZLIB, ZRLE = 0, 6, 16
DESKTOP_SIZE, QEMU_POINTER, QEMU_KEYS = -223, -257, -258

ENCODINGS = struct.Struct(">xH")
UPDATE = struct.Struct(">BHHHH")  # incremental, x, y, width, height
KEY = struct.Struct(">BxxI")  # down, keysym
POINTER = struct.Struct(">BHH")  # buttons, x, y
CUT = struct.Struct(">xxxI")
QEMU_KEY = struct.Struct(">HII")  # down, keysym, number
INIT = struct.Struct(">HH16sI")  # width, height, format, bytes of the name
RECTANGLE = struct.Struct(">HHHHi")
UPDATE_HEAD = struct.Struct(">BxH")
COLOUR_MAP_HEAD = struct.Struct(">BxHH")
LENGTH = struct.Struct(">I")


class Area(NamedTuple):
    """A rectangle of the screen."""

    x: int
    y: int
    width: int
    height: int

    def within(self, width: int, height: int) -> Area:
        """What of it lies on a screen of that size."""
        x, y = min(self.x, width), min(self.y, height)
        return Area(x, y, min(self.width, width - x), min(self.height, height - y))

    def common(self, other: Area) -> Area:
        """What both have; perhaps nothing.

        >>> Area(0, 0, 4, 4).common(Area(2, 3, 9, 9))
        Area(x=2, y=3, width=2, height=1)
        """
        x, y = max(self.x, other.x), max(self.y, other.y)
        right = min(self.x + self.width, other.x + other.width)
        below = min(self.y + self.height, other.y + other.height)
        return Area(x, y, max(0, right - x), max(0, below - y))

    def __bool__(self) -> bool:
        return self.width > 0 and self.height > 0


def rectangle(area: Area, encoding: int, data: bytes = b"") -> bytes:
    """One of an update's."""
    return RECTANGLE.pack(*area, encoding) + data


def update(rectangles: list[bytes]) -> bytes:
    """FramebufferUpdate, 7.6.1."""
    return UPDATE_HEAD.pack(FRAMEBUFFER_UPDATE, len(rectangles)) + b"".join(rectangles)


def text(words: str) -> bytes:
    """A reason: its length, and what it is."""
    data = words.encode()
    return LENGTH.pack(len(data)) + data

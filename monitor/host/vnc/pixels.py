"""A picture in the pixels that a client asks for. Manual: RFC 6143, 7.4 (PIXEL_FORMAT), 7.6.2.

A pixel is red * red_max / 255 << red_shift, and so on, in 8, 16 or 32 bits. A client that wants a
colour map instead gets one that has three bits of red and green each, and two of blue.

>>> grey = np.full((1, 1, 3), 255, np.uint8)
>>> [hex(each) for each in BGR233.pixels(grey)[0]], SERVERS.pixels(grey).tobytes().hex()
(['0xff'], 'ffffff00')
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from monitor.host.vnc.messages import COLOUR_MAP, COLOUR_MAP_HEAD

LAYOUT = struct.Struct(">BBBBHHHBBBxxx")
SIZES = (8, 16, 32)
Pixels = npt.NDArray[np.unsignedinteger]


class BadFormat(ValueError):
    """No pixel can look like that."""


@dataclass(frozen=True)
class PixelFormat:
    """BadFormat if there is none like this."""

    bits: int
    big_endian: bool
    maxima: tuple[int, int, int]  # red, green, blue
    shifts: tuple[int, int, int]
    depth: int = 24
    _tables: tuple[Pixels, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.bits not in SIZES:
            raise BadFormat(f"{self.bits} bits to a pixel")
        for most, shift in zip(self.maxima, self.shifts, strict=True):
            if shift >= self.bits or most << shift >> self.bits:
                raise BadFormat(f"a colour up to {most} at bit {shift} of {self.bits}")
        levels = np.arange(256, dtype=np.uint32)
        tables = [
            ((levels * most + 127) // 255 << shift).astype(self.dtype)
            for most, shift in zip(self.maxima, self.shifts, strict=True)
        ]
        object.__setattr__(self, "_tables", tuple(tables))

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """A pixel as numpy has it."""
        return np.dtype(f"{'>' if self.big_endian else '<'}u{self.bits // 8}")

    def pixels(self, picture: npt.NDArray[np.uint8]) -> Pixels:
        """Lines x pixels, from lines x pixels x 3."""
        red, green, blue = self._tables
        found: Pixels = red[picture[..., 0]] | green[picture[..., 1]] | blue[picture[..., 2]]
        return found.astype(self.dtype, copy=False)

    @property
    def short(self) -> slice | None:
        """The three bytes of four that hold all of a pixel, if three do (7.7.5, CPIXEL)."""
        if self.bits != 32 or self.depth > 24:
            return None
        bits = 0
        for most, shift in zip(self.maxima, self.shifts, strict=True):
            bits |= most << shift
        if bits < 1 << 24:
            return slice(1, 4) if self.big_endian else slice(0, 3)
        if not bits & 0xFF:
            return slice(0, 3) if self.big_endian else slice(1, 4)
        return None

    def pack(self) -> bytes:
        """As the protocol has it."""
        return LAYOUT.pack(self.bits, self.depth, self.big_endian, 1, *self.maxima, *self.shifts)


SERVERS = PixelFormat(32, False, (255, 255, 255), (16, 8, 0))
BGR233 = PixelFormat(8, False, (7, 7, 3), (0, 3, 6), 8)


def format_of(data: bytes) -> tuple[PixelFormat, bool]:
    """What a client says, and whether it has to be sent a colour map. BadFormat."""
    bits, depth, big, true_colour, *numbers = LAYOUT.unpack(data)
    if not true_colour:
        if bits != 8:
            raise BadFormat(f"a colour map for pixels of {bits} bits")
        return BGR233, True
    red, green, blue, *shifts = numbers
    maxima = (red, green, blue)
    return PixelFormat(bits, bool(big), maxima, (shifts[0], shifts[1], shifts[2]), depth), False


def colour_map() -> bytes:
    """SetColourMapEntries for BGR233."""
    entries = [
        number * 0xFFFF // most
        for pixel in range(256)
        for number, most in ((pixel & 7, 7), (pixel >> 3 & 7, 7), (pixel >> 6, 3))
    ]
    return COLOUR_MAP_HEAD.pack(COLOUR_MAP, 0, 256) + struct.pack(">768H", *entries)

"""Rectangles of pixels as bytes: as they are, compressed, or in tiles with palettes, compressed.

Manual: RFC 6143, 7.7.1 (Raw) and 7.7.6 (ZRLE); the community's rfbproto for Zlib (encoding 6).

    Zlib   length, and Raw's bytes as the next piece of one zlib stream
    ZRLE   length, and tiles of 64 x 64 in the same manner; of a tile's forms we send

           0             all pixels
           1             one pixel, for all of it
           2 to 16       so many colours, and indexes of 1, 2 or 4 bits, each line in whole bytes
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from monitor.host.vnc.messages import LENGTH, RAW, ZLIB, ZRLE
from monitor.host.vnc.pixels import PixelFormat, Pixels

TILE = 64
MOST_COLOURS = 16
LEVEL = 1  # fast: the network is most often this computer's own
KNOWN = (ZRLE, ZLIB, RAW)


class Encoder:
    """One client's: a zlib stream lasts as long as its connection."""

    def __init__(self) -> None:
        self.encoding = RAW
        self._streams = {ZLIB: zlib.compressobj(LEVEL), ZRLE: zlib.compressobj(LEVEL)}

    def choose(self, wanted: Iterable[int]) -> None:
        """The first that we know, in the client's order; Raw goes always."""
        self.encoding = next((each for each in wanted if each in KNOWN), RAW)

    def encode(self, pixels: Pixels, form: PixelFormat) -> bytes:
        """A rectangle's data."""
        if self.encoding == RAW:
            return pixels.tobytes()
        data = pixels.tobytes() if self.encoding == ZLIB else tiles(pixels, form)
        stream = self._streams[self.encoding]
        packed = stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)
        return LENGTH.pack(len(packed)) + packed


def tiles(pixels: Pixels, form: PixelFormat) -> bytes:
    """ZRLE before it is compressed."""
    height, width = pixels.shape
    return b"".join(
        _tile(pixels[y : y + TILE, x : x + TILE], form)
        for y in range(0, height, TILE)
        for x in range(0, width, TILE)
    )


def _tile(pixels: Pixels, form: PixelFormat) -> bytes:
    first = pixels[0, 0]
    if (pixels == first).all():
        return b"\x01" + _short(pixels[:1, :1], form)
    colours, indexes = np.unique(pixels, return_inverse=True)
    if len(colours) > MOST_COLOURS:
        return b"\x00" + _short(pixels, form)
    palette = _short(colours.astype(form.dtype), form)
    return bytes((len(colours),)) + palette + _packed(indexes.reshape(pixels.shape), len(colours))


def _short(pixels: Pixels, form: PixelFormat) -> bytes:
    """CPIXELs: without the byte that is always 0, if there is one."""
    taken = form.short
    if taken is None:
        return pixels.tobytes()
    each = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1, 4)
    return each[:, taken].tobytes()


def _packed(indexes: npt.NDArray[np.intp], colours: int) -> bytes:
    bits = 1 if colours <= 2 else 2 if colours <= 4 else 4
    each = 8 // bits  # to a byte, the first one highest
    height, width = indexes.shape
    padded = np.zeros((height, -(-width // each) * each), np.uint8)
    padded[:, :width] = indexes
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    spread = padded.reshape(height, -1, each) << shifts
    return np.bitwise_or.reduce(spread, axis=2).astype(np.uint8).tobytes()

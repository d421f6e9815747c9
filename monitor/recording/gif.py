"""A recording as an animated GIF, written as it goes: a run's memory does not grow with its length.

Manual: "Graphics Interchange Format, Version 89a", sections 18 (screen), 20 and 23 (images and
their times), 26 (the extension that NETSCAPE2.0 uses for a loop). Pillow compresses each image.

The canvas grows with the largest picture so far; smaller ones are fitted to it. Its size stands at
the file's beginning and is put there last. Of a picture only what has changed is written, with a
palette of its own.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from monitor.recording.canvas import fitted
from monitor.writing.whole_file import draft_of

if TYPE_CHECKING:
    from PIL.Image import Image

Picture = npt.NDArray[np.uint8]
STEP = 4  # hundredths of a second
MOST = 0xFFFF // STEP  # steps in one image's time
LOOP = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
TRAILER = b";"


class Gif:
    """A Writer (monitor/recording/recorder.py)."""

    def __init__(self, path: Path) -> None:
        self._draft, self._target = draft_of(path)
        self._file: IO[bytes]
        self._canvas: Picture | None = None

    def open(self) -> None:
        """Begin. OSError."""
        self._file = self._draft.open("wb")
        self._file.write(_head(1, 1) + LOOP)

    def show(self, picture: Picture, steps: int) -> None:
        """One image, or more of them if it is shown for very long."""
        before = self._canvas
        height, width = (max(1, each) for each in picture.shape[:2])
        if before is not None:
            height, width = max(height, before.shape[0]), max(width, before.shape[1])
            if (height, width) != before.shape[:2]:
                before = None
        self._canvas = fitted(picture, width, height)
        left, top, piece = _changed(before, self._canvas)
        while steps > 0:
            self._write(piece, (left, top), min(steps, MOST))
            piece = self._canvas[:1, :1]
            left = top = 0
            steps -= MOST

    def _write(self, piece: Picture, at: tuple[int, int], steps: int) -> None:
        from PIL import GifImagePlugin

        image, time = _reduced(piece), 10 * STEP * steps
        for data in GifImagePlugin.getdata(image, at, duration=time, include_color_table=True):
            self._file.write(data)

    def close(self) -> None:
        """That was all."""
        self._file.write(TRAILER)
        if self._canvas is not None and self._file.seekable():
            self._file.seek(0)
            self._file.write(_head(self._canvas.shape[1], self._canvas.shape[0]))
        self._file.close()
        if self._draft != self._target:
            self._draft.replace(self._target)

    def discard(self) -> None:
        """Nothing is left."""
        with suppress(OSError):
            self._file.close()
        if self._draft != self._target:
            self._draft.unlink(missing_ok=True)


def _head(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0)


def _reduced(piece: Picture) -> Image:
    """With a palette: exact, if there are no more than 256 colours."""
    from PIL import Image

    numbers = piece.astype(np.uint32) @ np.array((1 << 16, 1 << 8, 1), np.uint32)
    colours, indexes = np.unique(numbers, return_inverse=True)
    if len(colours) > 256:
        picture = Image.fromarray(np.ascontiguousarray(piece))
        return picture.quantize(256, dither=Image.Dither.NONE)
    image = Image.fromarray(indexes.reshape(numbers.shape).astype(np.uint8), "L")
    image.putpalette(colours.astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes())
    return image


def _changed(before: Picture | None, after: Picture) -> tuple[int, int, Picture]:
    """Left, top, and what differs there; one pixel, if nothing does."""
    if before is None:
        return 0, 0, after
    differ = (before != after).any(axis=2)
    if not differ.any():
        return 0, 0, after[:1, :1]
    lines = np.flatnonzero(differ.any(axis=1))
    columns = np.flatnonzero(differ.any(axis=0))
    left, top = int(columns[0]), int(lines[0])
    return left, top, after[top : lines[-1] + 1, left : columns[-1] + 1]

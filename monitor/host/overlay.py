"""What a guest writes to a disk, kept in memory over an image that stays as it is.

    overlay = Overlay(open_image("disk", "disk.img", writable=False))
    overlay.write(512, data)
    overlay.read(0, 4096)                   the image's bytes, and the written ones among them
    before = overlay.chunks()               what was written so far, to be put back one day

Kept are chunks of 4 KiB that were written at least in part, so it takes at most the memory that the
image would. Chunks are never changed, only replaced: what chunks() gave holds for ever.
"""

from __future__ import annotations

from collections.abc import Mapping

from monitor.vmm.back_ends import BlockBackEnd

CHUNK = 4096


class Overlay:
    """A BlockBackEnd over another one, which is only read."""

    read_only = False

    def __init__(self, below: BlockBackEnd) -> None:
        self.size = below.size
        self._below = below
        self._chunks: dict[int, bytes] = {}

    def read(self, offset: int, size: int) -> bytes:
        """OSError from below."""
        if not self._chunks:
            return self._below.read(offset, size)
        first, end = offset // CHUNK, -(-(offset + size) // CHUNK)
        written = [number for number in range(first, end) if number in self._chunks]
        if len(written) == end - first:
            data = b"".join(self._chunks[number] for number in written)
            return data[offset - first * CHUNK :][:size]
        found = bytearray(self._below.read(offset, size))
        for number in written:
            at = number * CHUNK - offset
            chunk = self._chunks[number]
            skip, at = max(-at, 0), max(at, 0)
            piece = chunk[skip : skip + size - at]
            found[at : at + len(piece)] = piece
        return bytes(found)

    def write(self, offset: int, data: bytes) -> None:
        """OSError from below, where only part of a chunk is written."""
        done = 0
        while done < len(data):
            number, at = divmod(offset + done, CHUNK)
            room = min(CHUNK - at, len(data) - done)
            piece = data[done : done + room]
            length = self.length(number)
            if room < length:
                old = self.read(number * CHUNK, length)
                piece = old[:at] + piece + old[at + room :]
            self._chunks[number] = piece
            done += room

    def flush(self) -> None:
        """It survives as long as the machine."""

    def length(self, number: int) -> int:
        """Bytes of a chunk: the last one may be shorter; 0 behind it."""
        return max(min(CHUNK, self.size - number * CHUNK), 0)

    def chunks(self) -> dict[int, bytes]:
        """What was written, by chunk."""
        return dict(self._chunks)

    def put_back(self, chunks: Mapping[int, bytes]) -> None:
        """Nothing else was ever written."""
        self._chunks = dict(chunks)

"""RAM as a stream of chunks: only pages that are not all zero, compressed.

A chunk is 256 frames, 1 MiB: its number (32 bits), a bit for each frame (32 bytes), and the frames
whose bit is set, one after the other, compressed by zlib. Chunks without such a frame are left out.
A few chunks are in memory at a time: RAM of 2 GiB takes no more room than RAM of 1 MiB.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.checkpoint.format import LEVEL, BadCheckpoint, inflate
from monitor.vmm.memory import GuestMemory

PAGE = 4096
FRAMES = 256  # of a chunk
CHUNK = FRAMES * PAGE
THREADS = 2
_HEAD = struct.Struct(f"<I{FRAMES // 8}s")

Bytes = npt.NDArray[np.uint8]


def touched(memory: GuestMemory, size: int) -> list[int]:
    """The chunks of its first bytes that may hold something: of a memory file, those that the host
    has given a page.

    Others are not looked at, since to look is to touch: a large machine costs what it uses.
    """
    count = -(-size // CHUNK)
    file: int = getattr(memory, "file", -1)
    found: list[int] = []
    at = 0
    try:
        while file >= 0 and at < size:
            begin = os.lseek(file, at, os.SEEK_DATA)
            at = os.lseek(file, begin, os.SEEK_HOLE)
            end = min(at, size)
            found += range(max(begin // CHUNK, found[-1] + 1 if found else 0), -(-end // CHUNK))
    except OSError as error:
        if error.errno == errno.ENXIO:  # there is nothing behind `at`
            return found
        file = -1  # this host's memory files do not tell
    return found if file >= 0 else list(range(count))


def chunks(ram: Bytes, numbers: Iterable[int]) -> Iterator[tuple[bytes, bytes]]:
    """The payloads of these chunks of RAM, an array of whole pages; each in two parts.

    Compressed by two threads, which zlib lets run at the same time, a few chunks ahead.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        coming: deque[Future[tuple[bytes, bytes] | None]] = deque()
        for number in numbers:
            coming.append(pool.submit(pack, ram, number))
            if len(coming) > 2 * THREADS and (packed := coming.popleft().result()) is not None:
                yield packed
        for each in coming:
            if (packed := each.result()) is not None:
                yield packed


def pack(ram: Bytes, number: int) -> tuple[bytes, bytes] | None:
    """One chunk's payload; None if it is all zero."""
    frames = chunk_frames(ram, number)
    used = used_frames(frames)
    if not used.any():
        return None
    padded = np.zeros(FRAMES, bool)
    padded[: len(used)] = used
    bitmap = np.packbits(padded, bitorder="little").tobytes()
    return _HEAD.pack(number, bitmap), zlib.compress(frames[used].data, LEVEL)


def chunk_frames(ram: Bytes, number: int) -> Bytes:
    """The frames of a chunk, a view: one row each. The last chunk may have fewer."""
    frames: Bytes = ram[number * CHUNK : (number + 1) * CHUNK].reshape(-1, PAGE)
    return frames


def used_frames(frames: Bytes) -> npt.NDArray[Any]:
    """Which of them are not all zero."""
    return np.asarray(frames.view(np.uint64).any(axis=1))


class Filler:
    """Puts chunks into RAM that is all zero. BadCheckpoint for one that does not fit."""

    def __init__(self, ram: Bytes) -> None:
        self._ram = ram
        self._next = 0  # chunks come in order, so that no frame comes twice
        self.pages = 0

    def put(self, payload: bytes) -> None:
        """One chunk."""
        if len(payload) < _HEAD.size:
            raise BadCheckpoint("a PAGE section is too short")
        number, bitmap = _HEAD.unpack_from(payload)
        if number < self._next:
            raise BadCheckpoint("its pages are not in order")
        self._next = number + 1
        frames = chunk_frames(self._ram, number)  # beyond RAM: none
        bits = np.unpackbits(np.frombuffer(bitmap, np.uint8), bitorder="little")
        used = bits.astype(bool)
        count = int(used.sum())
        if not count or used[len(frames) :].any():
            raise BadCheckpoint("it has pages where the machine has no RAM")
        data = inflate(payload[_HEAD.size :], count * PAGE, count * PAGE)
        frames[used[: len(frames)]] = np.frombuffer(data, np.uint8).reshape(-1, PAGE)
        self.pages += count

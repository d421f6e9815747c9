"""Guest RAM: one array over a memory file, with room behind it for the monitor and for devices.

The host allocates a page only when it is touched, so a 512 MiB guest that uses 40 costs 40. Behind
RAM comes `room` for memory that the guest sees elsewhere: shadow RAM, frame buffers
(physical_map.py). Then come `extra` bytes that are the monitor's own (translation cache, tables of
landings, the virtual CPU's pages): the engine can map them, the guest has no address for them.
"""

from __future__ import annotations

import errno
import gc
import mmap
import os
import weakref
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from monitor.vmm.errors import UserError

PAGE = 4096


class GuestMemory:
    """`size` bytes of guest RAM, `extra` of monitor memory, `room` for devices' memory.

    `file` is a descriptor of the memory file that `buffer` maps from its beginning, for an engine
    that maps guest RAM in another process; -1 where there can be none.
    """

    def __init__(self, size: int, extra: int = 0, room: int = 0) -> None:
        self.size = size
        self.extra = extra
        self.room = room
        self.monitor = size + room  # where the monitor's memory begins
        self.buffer, self.file = _map_memory(size + extra + room)
        self._close = weakref.finalize(self, _close, self.file)
        self._close.atexit = False
        self._view: npt.NDArray[np.uint8] = np.frombuffer(self.buffer, np.uint8)

    def close(self) -> None:
        """Close the file; the memory stays. Done when this object goes, at the latest."""
        self.file = -1
        self._close()

    def read(self, address: int, size: int) -> bytes:
        """Bytes of physical memory. UserError beyond RAM."""
        self._check(address, size)
        return self.buffer[address : address + size]

    def write(self, address: int, data: bytes) -> None:
        """Store bytes at a physical address. UserError beyond RAM, and then nothing is stored."""
        self._check(address, len(data))
        self.buffer[address : address + len(data)] = bytes(data)

    def bytes_at(self, place: int, size: int) -> bytes:
        """Bytes from a place on (physical_map.py), of RAM or of what lies behind it."""
        return self.buffer[place : place + size]

    def map(self) -> npt.NDArray[np.uint8]:
        """Guest RAM as an array, no copy."""
        return self._view[: self.size]

    def _check(self, address: int, size: int) -> None:
        if address < 0 or address + size > self.size:
            raise UserError(
                f"{size} bytes at {address:#x} do not fit into the guest's {self.size >> 20} MiB "
                "of memory; give the machine more (--memory)"
            )


def by_page(address: int, size: int) -> Iterator[tuple[int, int]]:
    """A range of 32-bit addresses cut at page boundaries, as addresses and sizes."""
    while size > 0:
        n = min(size, PAGE - address % PAGE)
        yield address & 0xFFFFFFFF, n
        address += n
        size -= n


def _map_memory(size: int) -> tuple[mmap.mmap, int]:
    """A shared map of a memory file, and the file; else memory of this process alone, and -1.

    A submission that is graded may have no shared memory (monitor/grading/policy.py).
    """
    try:
        return _memory_file(size)
    except (AttributeError, OSError):
        return _private_memory(size), -1


def _memory_file(size: int) -> tuple[mmap.mmap, int]:
    try:
        descriptor = os.memfd_create("guest-ram")
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        gc.collect()  # machines that nobody has any more, board and chips know each other
        descriptor = os.memfd_create("guest-ram")
    try:
        os.ftruncate(descriptor, size)  # refused where files are limited (ulimit -f)
        return mmap.mmap(descriptor, size), descriptor
    except BaseException:
        os.close(descriptor)
        raise


def _close(file: int) -> None:
    if file >= 0:
        os.close(file)


def _private_memory(size: int) -> mmap.mmap:
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_NOHUGEPAGE)  # else a page touched costs 2 MiB
    return memory

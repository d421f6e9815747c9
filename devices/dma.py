"""Direct memory access: what a device reads and writes of physical memory by itself.

    head = bus.memory.read(descriptor, 8)               # bytes, a copy
    bus.memory.write(buffer, sector)                    # from bytes or an array
    for span in bus.memory.spans(buffer, 512): ...      # arrays over guest memory, no copy
    with bus.memory.filling(buffer, 512) as spans:      # the same, to be written
        for span in spans:
            file.readinto(span)

Addresses are those of the board: neither page tables nor the A20 gate is in the way, both of which
belong to the processor. A range is cut into spans where what lies behind it changes.

A device reaches memory only. What is none (another device's registers, the open bus, all beyond
4 GiB) reads as ones, and writes to it and to ROM vanish: a bus master that finds no target aborts
(PCI Local Bus Specification 2.2, 3.3.3.1). So no guest can make a device access itself.

After a write the guest's very next instruction is what then stands in memory, also where the write
has hit the code that is being executed.

>>> memory = Memory(PlainMemory(0x2000))
>>> memory.write(0x1FFE, b"four")                       # how many bytes found memory
2
>>> memory.read(0x1FFD, 4)
b'\\x00fo\\xff'
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


class PhysicalMemory(Protocol):
    """What lies behind physical addresses; the machine knows."""

    def readable(self, address: int, size: int) -> Iterator[tuple[Bytes | None, int]]:
        """A range in pieces, in order: an array over memory or None, and its bytes."""
        ...

    def writable(self, address: int, size: int) -> Iterator[tuple[Bytes | None, int]]:
        """The same for writing: None for ROM, too."""
        ...

    def written(self, address: int, size: int) -> None:
        """These bytes were written behind the processor's back."""
        ...


class NoMemory:
    """A board with no memory on it."""

    def readable(self, address: int, size: int) -> Iterator[tuple[Bytes | None, int]]:
        yield None, size

    writable = readable

    def written(self, address: int, size: int) -> None:
        """Nothing was."""


class PlainMemory:
    """RAM from 0 to `size` and nothing else: for tests and for reading examples."""

    def __init__(self, size: int) -> None:
        self.bytes: Bytes = np.zeros(size, np.uint8)

    def readable(self, address: int, size: int) -> Iterator[tuple[Bytes | None, int]]:
        """Spans of memory from an address on, and None for what lies outside."""
        inside = max(0, min(size, len(self.bytes) - address)) if address >= 0 else 0
        if inside:
            yield self.bytes[address : address + inside], inside
        if size > inside:
            yield None, size - inside

    writable = readable

    def written(self, address: int, size: int) -> None:
        """No processor has to know."""


class Memory:
    """Physical memory as a device reaches it. Whoever takes a size from the guest bounds it."""

    def __init__(self, behind: PhysicalMemory | None = None) -> None:
        self.behind: PhysicalMemory = behind if behind is not None else NoMemory()

    def read(self, address: int, size: int) -> bytes:
        """A copy of these bytes."""
        return b"".join(span.tobytes() for span in self.spans(address, size))

    def write(self, address: int, data: bytes | bytearray | memoryview | Bytes) -> int:
        """Store bytes, or an array as it lies; how many of them found memory."""
        source = np.frombuffer(data, np.uint8)
        done = found = 0
        for span, size in self.behind.writable(address, len(source)):
            if span is not None:
                span[:] = source[done : done + size]
                self.behind.written(address + done, size)
                found += size
            done += size
        return found

    def spans(self, address: int, size: int) -> Iterator[Bytes]:
        """These bytes as arrays that cannot be written, in order. They show what changes later."""
        for span, n in self.behind.readable(address, size) if size > 0 else ():
            view = span.view() if span is not None else np.full(n, 0xFF, np.uint8)
            view.flags.writeable = False
            yield view

    @contextmanager
    def filling(self, address: int, size: int) -> Iterator[list[Bytes]]:
        """These bytes as arrays to be written, in order; what is no memory takes them and forgets.

        They are the guest's when the block ends, however it ends.
        """
        pieces = list(self.behind.writable(address, size)) if size > 0 else []
        try:
            yield [np.zeros(n, np.uint8) if span is None else span for span, n in pieces]
        finally:
            done = 0
            for span, n in pieces:
                if span is not None:
                    self.behind.written(address + done, n)
                done += n

    def reaches(self, address: int, size: int) -> bool:
        """Is all of it memory that can be written?"""
        return size > 0 and all(span is not None for span, _ in self.behind.writable(address, size))

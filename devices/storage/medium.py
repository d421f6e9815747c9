"""What lies in a drive, as the drive sees it: bytes at offsets, in whole sectors.

    medium.read(offset, size)         exactly so many bytes
    medium.write(offset, data)        they are there for who reads next
    medium.flush()                    they are where they survive

Who stands behind it (a file of the host's, changes that are kept apart) is no chip's business.
MediumError is what a drive tells its guest as a sector that cannot be read or written.
"""

from __future__ import annotations

from typing import Protocol

SECTOR = 512


class MediumError(Exception):
    """These sectors cannot be read, or not be written."""


class Medium(Protocol):
    """A floppy, the platters of a disk, a CD."""

    size: int
    """In bytes: a multiple of the drive's sectors."""
    read_only: bool

    def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes within it. MediumError."""
        ...

    def write(self, offset: int, data: bytes) -> None:
        """Bytes within it. MediumError."""
        ...

    def flush(self) -> None:
        """What was written shall survive. MediumError."""
        ...


class MemoryMedium:
    """One of nothing but bytes: for tests and for reading examples.

    >>> disk = MemoryMedium(bytes(1024))
    >>> disk.write(512, b"boot")
    >>> disk.read(510, 6), disk.size
    (b'\\x00\\x00boot', 1024)
    """

    def __init__(self, data: bytes, read_only: bool = False) -> None:
        self.bytes = bytearray(data)
        self.size = len(data)
        self.read_only = read_only
        self.flushes = 0

    def read(self, offset: int, size: int) -> bytes:
        """A copy of them."""
        if not 0 <= offset <= offset + size <= self.size:
            raise MediumError(f"{size} bytes at {offset} of {self.size}")
        return bytes(self.bytes[offset : offset + size])

    def write(self, offset: int, data: bytes) -> None:
        """Store them."""
        if self.read_only or not 0 <= offset <= offset + len(data) <= self.size:
            raise MediumError(f"{len(data)} bytes at {offset} of {self.size}")
        self.bytes[offset : offset + len(data)] = data

    def flush(self) -> None:
        """Count it."""
        self.flushes += 1

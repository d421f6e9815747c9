"""Images of disks in the host's files: raw bytes, sector after sector.

    image = RawFile("dos.img", "floppy disk", writable=False)
    image.read(0, 512)

What an image has to be is said in monitor/embedding/images.py.
"""

from __future__ import annotations

import fcntl
import os
import stat
import weakref

from monitor.vmm.errors import UserError


class RawFile:
    """A BlockBackEnd (monitor/vmm/back_ends.py) over a file. UserError."""

    def __init__(self, path: str, what: str, writable: bool) -> None:
        self.read_only = not writable
        self._path = path
        flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            self._fd = os.open(path, flags)
        except (OSError, ValueError) as error:
            raise _unreadable(path, what, error, writable) from error
        weakref.finalize(self, os.close, self._fd)
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path}: the {what}'s image is no file; give one")
        self.size = status.st_size
        self._lock(what)

    def _lock(self, what: str) -> None:
        """Who writes an image has it alone, among machines of this program."""
        try:
            fcntl.flock(self._fd, (fcntl.LOCK_SH if self.read_only else fcntl.LOCK_EX)
                        | fcntl.LOCK_NB)  # fmt: skip
        except BlockingIOError:
            raise UserError(
                f"{self._path}: another machine uses this {what}; end it, or leave ,persistent out"
            ) from None
        except OSError:
            return  # a file system without locks

    def read(self, offset: int, size: int) -> bytes:
        """Exactly so many bytes. OSError."""
        data = os.pread(self._fd, size, offset)
        while len(data) < size:
            piece = os.pread(self._fd, size - len(data), offset + len(data))
            if not piece:
                raise OSError("the image is shorter than it was")
            data += piece
        return data

    def write(self, offset: int, data: bytes) -> None:
        """OSError."""
        view = memoryview(data)
        while view:
            done = os.pwrite(self._fd, view, offset)
            view, offset = view[done:], offset + done

    def flush(self) -> None:
        """Onto the host's disk. OSError."""
        if not self.read_only:
            os.fdatasync(self._fd)


class Bytes:
    """The same over bytes that a program has."""

    read_only = True

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, size: int) -> bytes:
        """Of them."""
        return self._data[offset : offset + size]

    def write(self, offset: int, data: bytes) -> None:
        """They are never written."""
        raise OSError("bytes do not change")

    def flush(self) -> None:
        """Nothing was written."""


def _unreadable(path: str, what: str, error: Exception, writable: bool) -> UserError:
    reason = (getattr(error, "strerror", None) or str(error)).lower()
    way = "write" if writable else "read"
    shown = path if "\0" not in path else repr(path)
    return UserError(f"{shown}: cannot {way} the {what}'s image ({reason}); check the path")

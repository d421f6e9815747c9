"""The standard streams of `vp`, where writing fails in words of ours and not as somebody's OSError.

    standard output   a reader that went away is NobodyReads, anything else (a full disk, a stream
                      that was closed) a UserError, from whatever writes: print, rich, json
    standard error    what cannot be written is lost: there is nobody left to tell
    standard input    closed is empty

A descriptor that was closed is filled, since the next file to be opened would be taken for it. For
standard output that is /dev/null, opened for reading: whoever writes there learns that he cannot.

Python flushes both streams on its way out, and would say what went wrong then with a traceback and
exit status 120. So leave() does it first, and after trouble lets the rest go to /dev/null.
"""

from __future__ import annotations

import io
import os
import select
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from typing_extensions import Buffer

INPUT, OUTPUT, ERROR = range(3)
SHOW_CURSOR = "\x1b[?25h"


class NobodyReads(Exception):
    """The reader of our output went away (`vp scan F | head`). No BrokenPipeError, which rich
    takes for its own."""


def trouble_with_output(error: OSError) -> Exception:
    """What a failed write to standard output means."""
    if isinstance(error, (BrokenPipeError, ConnectionResetError)):
        return NobodyReads()
    return UserError(f"cannot write to standard output: {error.strerror}")


class _Stream(io.FileIO):
    def write(self, data: Buffer, /) -> int:
        while (written := super().write(data)) is None:  # left in non-blocking mode
            select.select([], [self], [])
        return written


class _Output(_Stream):
    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise trouble_with_output(error) from error


class _Error(_Stream):
    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data))


def take() -> None:
    """From now on standard output and standard error are ours."""
    for descriptor, flags in ((INPUT, os.O_RDONLY), (OUTPUT, os.O_RDONLY), (ERROR, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, flags)  # the lowest that is free: this one
    sys.stdout = _stream(_Output(OUTPUT, "w", closefd=False), sys.stdout)
    sys.stderr = _stream(_Error(ERROR, "w", closefd=False), sys.stderr)


def _stream(raw: io.FileIO, like: IO[str] | None) -> io.TextIOWrapper:
    """A text stream over it, set up as the one that Python has made, if it has."""
    options: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace"}
    if isinstance(like, io.TextIOWrapper):
        options = {"encoding": like.encoding, "errors": like.errors,
                   "line_buffering": like.line_buffering, "write_through": like.write_through}
    return io.TextIOWrapper(io.BufferedWriter(raw), **options)


def leave(interrupted: bool) -> None:
    """Write what is left. Trouble has been told, or is less than what ends us now.

    A display that was interrupted while it began has hidden the cursor and never ends.
    """
    for stream in (sys.stdout, sys.stderr):
        if interrupted and stream.isatty():
            stream.write(SHOW_CURSOR)
    try:
        sys.stdout.flush()
    except (UserError, NobodyReads):
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, OUTPUT)
    with suppress(OSError):
        sys.stderr.flush()

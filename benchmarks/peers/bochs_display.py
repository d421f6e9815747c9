"""Bochs' text display, read and typed at: how a guest in Bochs is seen to be where it should be.

Debian's build has the debugger on the terminal that it is started on, so its display `term` is on
one of its own, of which it says the name:

    Bochs connected to screen "/dev/pts/3"

It is drawn with curses five times a second, and what is typed there are the guest's keys. pyte is
the terminal: what the display looks like is then a text.
"""

from __future__ import annotations

import contextlib
import os
import re
import tty
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.timing import BenchmarkError

if TYPE_CHECKING:
    import pyte

COLUMNS, LINES = 100, 30  # a screen of 80 by 25, and Bochs' own status line below
ENVIRONMENT = {"COLUMNS": str(COLUMNS), "LINES": str(LINES)}
NAME = re.compile(rb'connected to screen "([^"]+)"')
CONTROL = re.compile(r"\\<ctrl-([a-z])>")


class Display:
    """What Bochs shows; types the keys of each step when its cue is to be seen.

    >>> keys("\\\\<ctrl-b>ls\\n")
    b'\\x02ls\\n'
    """

    def __init__(self, steps: Sequence[tuple[str, str]] = ()) -> None:
        self._steps = list(steps)
        self._file: int | None = None
        self._screen, self._stream = _terminal()

    @property
    def text(self) -> str:
        """The screen, line by line."""
        return "\n".join(self._screen.display)

    def shows(self, output: bytes, ending: str) -> bool:
        """Look at the display, type what is due; is all typed, and the ending there?

        `output` is what Bochs has said on the terminal that it was started on.
        """
        if self._file is None:
            self._open(output)
        self._read()
        if not self._steps:
            return ending in self.text
        cue, text = self._steps[0]
        if cue in self.text and self._file is not None:
            os.write(self._file, keys(text))
            del self._steps[0]
        return False

    def close(self) -> None:
        """Let go of Bochs' terminal."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self, output: bytes) -> None:
        found = NAME.search(output)
        if found:
            self._file = os.open(found[1], os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            tty.setraw(self._file)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # nothing there yet, or Bochs has ended
            while self._file is not None and (data := os.read(self._file, 1 << 16)):
                self._stream.feed(data)


def keys(text: str) -> bytes:
    """What a guest's row types, as a terminal sends it."""
    return CONTROL.sub(lambda found: chr(ord(found[1]) & 0x1F), text).encode("latin-1")


def _terminal() -> tuple[pyte.Screen, pyte.ByteStream]:
    try:
        import pyte
    except ImportError:
        raise BenchmarkError("Bochs' display is read with pyte: pip install pyte") from None
    screen = pyte.Screen(COLUMNS, LINES)
    return screen, pyte.ByteStream(screen)

"""The monitor's console for people: Ctrl-A c on the terminal, and `--monitor`.

With `--monitor stdio` it is here from the beginning, the serial console being elsewhere. On a
terminal there is a prompt; lines that come from a pipe are just answered, so that scripts can read
the answers. Elsewhere than here: console_link.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress

from monitor.console.attended import Attended
from monitor.console.words import PROMPT, completions
from monitor.host.line_editor import LineEditor
from monitor.host.terminal import write_all

LONGEST_LINE = 1 << 16
WELCOME = "monitor console: `help` lists its words, Ctrl-A c leads back to the guest\n"


class TerminalPrompt:
    """Asked for with a key, on the terminal that is the guest's else.

    `write` is called by the thread of the keys and by the machine's, `clear` before the prompt is
    there for the first time.
    """

    def __init__(
        self, attended: Attended, write: Callable[[str], None], clear: Callable[[], None]
    ) -> None:
        self._attended = attended
        self._write = write
        self._clear = clear
        self._editor = LineEditor(PROMPT, completions)
        self._welcomed = False
        #: Do keys go here?
        self.open = False

    def toggle(self) -> None:
        """From the guest to the console, or back."""
        self.open = not self.open
        if not self.open:
            self._write("\n")
            return
        if not self._welcomed:
            self._clear()
        self._write("\n" + ("" if self._welcomed else WELCOME) + self._editor.line())
        self._welcomed = True

    def feed(self, typed: bytes) -> None:
        """Keys."""
        shown, lines = self._editor.feed(typed)
        self._write(shown)
        for line in lines:
            self._attended.submit(line, self._answered)

    def _answered(self, answer: str) -> None:
        self._write(self._editor.said(answer) + (self._editor.line() if self.open else ""))


class LineReader:
    """Makes lines of bytes as a pipe or a connection brings them."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._kept = b""

    def feed(self, data: bytes) -> None:
        """Bytes as they come. Of a line without end the last LONGEST_LINE are kept."""
        *lines, rest = (self._kept + data).split(b"\n")
        self._kept = rest[-LONGEST_LINE:]
        for line in lines:
            self._take(line.decode(errors="replace"))


def print_answer(answer: str) -> None:
    """On standard output: for scripts."""
    if answer:
        with suppress(OSError):  # nobody reads: the machine runs on all the same
            write_all(sys.stdout.fileno(), f"{answer}\n".encode(errors="replace"))

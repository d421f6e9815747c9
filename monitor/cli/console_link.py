"""`--monitor socket:PATH,server` and its like: the monitor's console for a program, or a terminal.

    $ vp run ... --monitor socket:/tmp/vp,server,nowait &
    $ echo 'info status' | socat - unix:/tmp/vp
    (vp) VM status: running, mode translate ...
    (vp)

Each answer is followed by the prompt, so a program knows where it ends. What is typed on a
pseudo-terminal is echoed and can be corrected, as on the terminal that is the guest's else.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

from monitor.cli.console_prompt import LineReader
from monitor.console.attended import Attended
from monitor.console.words import PROMPT, completions
from monitor.host.line_editor import LineEditor
from monitor.host.serial_link import SerialLink
from monitor.settings.serial_config import SerialConfig

GREETING = "monitor console: `help` lists its words\n"


@dataclass
class _Line:
    """What a serial line has, too; an open console is no input that could wake a guest."""

    input_open: bool = False


class _Console:
    """What a link takes for a guest (monitor/host/guest_line.py)."""

    def __init__(self, attended: Attended) -> None:
        self.serial = _Line()
        self.link: SerialLink  # where answers go; known before it is entered
        self._attended = attended
        self._lock = threading.Lock()
        self._unanswered = 0

    @property
    def input_waiting(self) -> int:
        """Bytes not answered, and of answers not taken: who sends many lines has to read them."""
        return self._unanswered + self.link.unsent

    def submit(self, line: str, answered: Callable[[str], None]) -> None:
        """Have a line answered."""
        self._count(len(line) + 1)

        def finished(answer: str) -> None:
            self._count(-len(line) - 1)
            answered(answer)

        self._attended.submit(line, finished)

    def _count(self, more: int) -> None:
        with self._lock:
            self._unanswered += more


class _Lines(_Console):
    """Of a connection: lines come, answers go."""

    greeting = f"{GREETING}{PROMPT}".encode()

    def __init__(self, attended: Attended) -> None:
        super().__init__(attended)
        self.send = LineReader(lambda line: self.submit(line, self._answer)).feed

    def _answer(self, answer: str) -> None:
        said = f"{answer}\n" if answer else ""
        self.link(f"{said}{PROMPT}".encode(errors="replace"))


class _Typed(_Console):
    """Of a pseudo-terminal: keys come."""

    greeting = f"{GREETING}{PROMPT}".replace("\n", "\r\n").encode()

    def __init__(self, attended: Attended) -> None:
        super().__init__(attended)
        self._editor = LineEditor(PROMPT, completions)

    def send(self, data: bytes) -> None:
        """Keys."""
        shown, lines = self._editor.feed(data)
        self._show(shown)
        for line in lines:
            self.submit(line, self._answer)

    def _answer(self, answer: str) -> None:
        self._show(self._editor.said(answer) + self._editor.line())

    def _show(self, text: str) -> None:
        self.link(text.replace("\n", "\r\n").encode(errors="replace"))


def open_console(
    config: SerialConfig, attended: Attended, on_change: Callable[[str], None]
) -> SerialLink:
    """A context manager: the console is there until it is left."""
    console = _Typed(attended) if config.kind == "pty" else _Lines(attended)
    console.link = SerialLink(config, console, on_change, console.greeting, sys.maxsize)
    return console.link

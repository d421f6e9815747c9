"""The line that a run shows until its guest says something: how far it is, and what it is doing.

    12.3 s  512,345,678 instructions  41.2 MIPS  kernel: do_one_initcall

Where the guest's console is the terminal that this is drawn on, it goes before the guest's first
byte is written, and does not come back. Where the console goes elsewhere, it stays, and shows the
console's last line as soon as there is one.

Three threads meet here: the machine's writes the guest's output, the display's asks for the line,
and the one that reads keys says things of its own (aside).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from monitor.writing.progress import StatusLine

if TYPE_CHECKING:
    from rich.text import Text
    from typing_extensions import Self

    from monitor import Machine

LAST_OUTPUT = 400  # bytes of the console that are searched for its last line
WINDOW = 1.0  # seconds that the rate is of, at least


class RunProgress:
    """A context manager. `doing` says in a few words what the guest is doing."""

    def __init__(self, machine: Machine, doing: Callable[[], str], until_output: bool) -> None:
        self._machine = machine
        self._doing = doing
        self._until_output = until_output
        self._line = StatusLine(self._text)
        self._change = threading.RLock()
        self._on = False
        self._over = False
        self._begun = time.monotonic()
        self._rate = Rate(machine.instructions)

    def __enter__(self) -> Self:
        self._line.__enter__()
        with self._change:
            self._on = not self._over
            if self._on:
                self._line.show()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.end()
        self._line.__exit__()

    def on_output(self, _data: bytes) -> None:
        """The guest is about to say something."""
        if self._on and self._until_output:
            self.end()

    def end(self) -> None:
        """There is no more of it from now on."""
        with self._change:
            self._on, self._over = False, True
            self._line.hide()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Not there for a while, so that something else can be written. A signal's handler may."""
        with self._change:
            self._line.hide()
            try:
                yield
            finally:
                if self._on:
                    self._line.show()

    def _text(self) -> Text:
        from rich.text import Text

        seconds, count = time.monotonic() - self._begun, self._machine.instructions
        rate = self._rate.at(seconds, count) / 1e6
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"{seconds:.1f} s  {count:,} instructions  {rate:.1f} MIPS", style="cyan")
        shown = last_line(self._machine.output.last(LAST_OUTPUT)) or self._doing()
        return text.append(f"  {shown}")


class Rate:
    """How fast a count grows: over the last second, and not since the beginning.

    >>> rate = Rate(100)
    >>> [rate.at(seconds, count) for seconds, count in ((1, 110), (2, 120), (3, 120), (4, 120))]
    [10.0, 10.0, 0.0, 0.0]
    """

    def __init__(self, count: int) -> None:
        self._from = self._mark = (0.0, count)

    def at(self, seconds: float, count: int) -> float:
        """Per second, at this moment."""
        if seconds - self._mark[0] >= WINDOW:
            self._from, self._mark = self._mark, (seconds, count)
        passed = seconds - self._from[0]
        return (count - self._from[1]) / passed if passed > 0 else 0.0


def last_line(console: bytes) -> str:
    """The last line with something in it, without what a terminal would act on.

    >>> last_line(b"booting\\r\\n\\x1b[1mready\\r\\n")
    '[1mready'
    """
    lines = console.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return "".join(c for c in last if c.isprintable())

"""A serial line whose input is noted, and said again at the same places.

It stands between the board and the real line (monitor/host/serial_line.py). While the run is at its
newest place, what is typed goes to the guest and is noted; in the past the guest gets what it got
then, and what is typed waits until the run is where it has not been before. What the guest sends is
shown once: what is sent again goes into the console's record and to nobody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from monitor.host.serial_line import SerialLine

When = tuple[int, int, int]
"""Instructions completed, interrupts delivered, nanoseconds: where a run is between two turns."""


class Run(Protocol):
    """Whose line it is."""

    searching: bool
    """Is it repeated for somebody who looks for a place in it?"""

    def when(self) -> When:
        """Where it is."""

    @property
    def in_the_past(self) -> bool:
        """Has it been further?"""

    def amid_rep(self) -> bool:
        """Is it between two iterations of a REP, where one place is like another?"""


class RecordedLine:
    """A CharacterBackEnd (monitor/vmm/back_ends.py)."""

    def __init__(self, line: SerialLine, run: Run) -> None:
        self._line = line
        self._run = run
        self._typed: list[tuple[When, bytes]] = []
        self._next = 0  # of these, while the past is repeated
        self._shown = line.output.total

    @property
    def input_open(self) -> bool:
        """May somebody still type?"""
        return self._line.input_open

    @input_open.setter
    def input_open(self, is_open: bool) -> None:
        self._line.input_open = is_open

    def write(self, data: bytes) -> None:
        """The guest sent this."""
        output = self._line.output
        output.write(data)
        new = output.total - self._shown
        if new > 0 and not self._run.searching:
            self._shown = output.total
            for listener in self._line.listeners:
                listener(bytes(data[-new:]))

    @property
    def waiting(self) -> int:
        """Bytes that take() would give."""
        due = self._due()
        if due is not None:
            return len(due)
        return 0 if self._run.in_the_past else self._line.waiting

    def take(self) -> bytes:
        """What the guest gets now."""
        due = self._due()
        if due is not None:
            self._next += 1
            return due
        if self._run.in_the_past or self._run.amid_rep():
            return b""
        data = self._line.take()
        if data:
            self._typed.append((self._run.when(), data))
            self._next = len(self._typed)
        return data

    def _due(self) -> bytes | None:
        """What the guest got here."""
        if self._next < len(self._typed):
            when, data = self._typed[self._next]
            if self._run.when() >= when:
                return data
        return None

    def next_count(self) -> int | None:
        """In the past: the instructions after which something was typed."""
        return self._typed[self._next][0][0] if self._next < len(self._typed) else None

    def rewound(self, when: When) -> None:
        """The run is there again."""
        self._next = sum(each[0] < when for each in self._typed)

    def forget(self) -> None:
        """What was typed after this place never was."""
        del self._typed[self._next :]

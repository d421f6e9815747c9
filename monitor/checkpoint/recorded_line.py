"""A serial line whose output is shown once.

It stands between the board and the real line (monitor/host/serial_line.py). What the guest sends
again, while the past is repeated, goes into the line's record and to nobody else. What is typed on
a line is among the machine's inputs (recorded_inputs.py).
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
    telling: bool
    """Are listeners called with what the guest sends?"""


class RecordedLine:
    """A CharacterBackEnd (monitor/vmm/back_ends.py)."""

    def __init__(self, line: SerialLine, run: Run) -> None:
        self._line = line
        self._run = run
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
            self._run.telling = True
            try:
                for listener in self._line.listeners:
                    listener(bytes(data[-new:]))
            finally:
                self._run.telling = False

    @property
    def waiting(self) -> int:
        """Bytes that are typed, and not the guest's yet."""
        return self._line.waiting

    def take(self) -> bytes:
        """These."""
        return self._line.take()

"""What a page needs of a machine, so that the machine may know its widget.

Not the reverse: `monitor.Machine` is such a subject.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from monitor.console.subject import Subject as Asked

if TYPE_CHECKING:
    from monitor.embedding.mouse import Mouse
    from monitor.host.serial_line import SerialLine
    from monitor.screen.screen import Screen
    from monitor.vmm.board import Board


class Subject(Asked, Protocol):
    """A machine whose screen is shown."""

    board: Board
    mouse: Mouse
    serial: SerialLine

    @property
    def screen(self) -> Screen:
        """What is shown. UserError: there is no adapter."""

    @property
    def input_waiting(self) -> int:
        """Bytes that the guest has not read from its serial console."""

    def send(self, data: bytes | str) -> None:
        """Type on the serial console."""

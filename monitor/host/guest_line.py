"""One serial line of a machine's, as those who attend to it know it.

The machine itself is its first one (`send`, `input_waiting`, `serial`); this is another.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Protocol

from monitor.host.serial_line import SerialLine


class HostEnd(Protocol):
    """What somebody who types has to say of it."""

    input_open: bool  #: may there be more input?


class Guest(Protocol):
    """A machine, or a line of it."""

    @property
    def serial(self) -> HostEnd:
        """The host's end."""

    @property
    def input_waiting(self) -> int:
        """Bytes that the guest has not read yet."""

    def send(self, data: bytes) -> None:
        """Type on it. From any thread."""


class Receiver(Protocol):
    """The chip at the other end (devices/uart16550.py)."""

    @property
    def waiting(self) -> Sized:
        """What is typed, and not in the receiver yet."""


class GuestLine:
    """A Guest."""

    def __init__(self, serial: SerialLine, chip: Receiver) -> None:
        self.serial = serial
        self._chip = chip
        self.send = serial.send

    @property
    def input_waiting(self) -> int:
        """Bytes that the guest has not read yet."""
        return self.serial.waiting + len(self._chip.waiting)

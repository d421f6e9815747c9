"""What chips and the board ask of the host application: a few methods for each kind of thing.

A chip is what the guest sees; what stands behind it (a terminal, a file, a socket) is the host's,
and comes to the board as an object with these methods (monitor/host). The core imports none of it.
"""

from __future__ import annotations

from typing import Any, Protocol


class CharacterBackEnd(Protocol):
    """What a serial port's cable leads to, or a debug console's."""

    input_open: bool
    """May somebody still type while the machine runs?"""

    def write(self, data: bytes) -> None:
        """The guest sent this."""

    def take(self) -> bytes:
        """What was typed since the last time."""

    @property
    def waiting(self) -> int:
        """Bytes that take() would give. Asked often, and from any thread."""


class BlockBackEnd(Protocol):
    """What lies in a drive. Who asks has looked that it lies within `size`."""

    size: int
    """In bytes."""
    read_only: bool

    def read(self, offset: int, size: int) -> bytes:
        """Exactly so many bytes. OSError."""

    def write(self, offset: int, data: bytes) -> None:
        """They are there for who reads next. OSError."""

    def flush(self) -> None:
        """What was written survives the host, where that was asked for. OSError."""


class SoundBackEnd(Protocol):
    """Who hears the machine: a file, the host's sound device."""

    def write(self, first: int, samples: Any) -> None:
        """16-bit samples of one channel or two, and the number of the first one.

        Called in the middle of a guest's instruction. It raises nothing, and knows that a machine
        which goes back in time says again what it said.
        """

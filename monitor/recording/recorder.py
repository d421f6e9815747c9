"""A recording of the screen, in the guest's time.

    with machine.record("boot.gif"):
        machine.run(until="A:\\\\>")

A picture is taken every 40 ms of virtual time, by a timer of the board, so between the same two
instructions in every run: with the clock "icount" a recording repeats, byte for byte. While a guest
is halted its time jumps; what it shows then is recorded as it goes by.

What is shown again for a longer time is taken once. Nothing of it is in the guest's world: no chip
knows of the timer, and a checkpoint has it not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from devices.bus import Bus
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from typing_extensions import Self

RATE = 25  # pictures a second
STEP_NS = 1_000_000_000 // RATE
Picture = npt.NDArray[np.uint8]


class Screen(Protocol):
    """What is recorded (monitor/screen/screen.py)."""

    @property
    def array(self) -> Picture:
        """The picture: the same array as long as nothing changes."""


class Writer(Protocol):
    """A file of one kind (monitor/recording/kinds.py)."""

    def open(self) -> None:
        """Begin. OSError."""

    def show(self, picture: Picture, steps: int) -> None:
        """A picture, for so many steps of time. OSError."""

    def close(self) -> None:
        """That was all: the file is whole, under its name. OSError."""

    def discard(self) -> None:
        """Nothing shall be left of it."""


class Recorder:
    """A context manager, entered before the run. UserError: the file cannot be written."""

    def __init__(self, path: Path, writer: Writer, screen: Screen, bus: Bus) -> None:
        self._path = path
        self._writer = writer
        self._screen = screen
        self._bus = bus
        self._timer = bus.timer(self._take)
        self._shown: Picture | None = None
        self._steps = 0  # for which it has been shown
        self._trouble: OSError | None = None
        self._due = 0

    def __enter__(self) -> Self:
        try:
            self._writer.open()
        except OSError as error:
            raise self._error(error) from error
        self._due = self._bus.clock.now()
        self._take()
        return self

    def __exit__(self, kind: object, *_exception: Any) -> None:
        self._timer.release()
        self._steps += 1  # the one that has begun
        try:
            self._put()
            if self._trouble is not None:
                raise self._trouble
            self._writer.close()
        except OSError as error:
            self._writer.discard()
            if kind is None:
                raise self._error(error) from error

    def _take(self) -> None:
        """Every STEP_NS; called between two instructions. With the host's clock some are missed."""
        passed = (self._bus.clock.now() - self._due) // STEP_NS + 1
        self._due += passed * STEP_NS
        self._timer.set(self._due)
        picture = self._screen.array
        self._steps += passed if self._shown is not None else 0
        if picture is not self._shown:
            self._put()
            self._shown, self._steps = picture, 0

    def _put(self) -> None:
        if self._shown is None or self._trouble is not None:
            return
        try:
            self._writer.show(self._shown, self._steps)
        except OSError as error:
            self._trouble = error

    def _error(self, error: OSError) -> UserError:
        return UserError(f"cannot write the recording {self._path}: {error.strerror or error}")

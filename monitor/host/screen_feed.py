"""The machine's screen for somebody in another thread: a server, a window's toolkit.

The machine's own thread takes the picture, between two turns, FRAMES times a second at most, and
only when somebody wants one: a screen that nobody looks at costs nothing. A picture is an array
that is never changed afterwards, so it needs no lock.

    with ScreenFeed(machine) as feed:
        feed.on_picture = wake_up      called by the machine's thread
        feed.want()                    from any thread
        feed.picture
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from typing_extensions import Self

    from monitor import Machine

FRAMES = 30  # a second


class ScreenFeed:
    """A context manager, and a chore of the machine's loop."""

    def __init__(self, machine: Machine, clock: Callable[[], float] = time.monotonic) -> None:
        self._machine = machine
        self._clock = clock
        self._wanted = False
        self._next = 0.0
        #: The newest picture: lines x pixels x 3.
        self.picture: npt.NDArray[np.uint8] = machine.screen.array
        #: How often it was looked at.
        self.looks = 0
        self.on_picture: Callable[[], None] = _nothing

    def __enter__(self) -> Self:
        self._machine.loop.chores.append(self)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._machine.loop.chores.remove(self)

    def want(self) -> None:
        """Somebody would like to have a new picture. From any thread."""
        self._wanted = True
        self._machine.loop.look_soon()

    def look(self) -> int | None:
        """Take a picture if it is wanted, and time; wants no instruction of its own."""
        if not self._wanted:
            return None
        now = self._clock()
        if now < self._next:
            return None
        self._next = now + 1 / FRAMES
        self._wanted = False
        self.picture = self._machine.screen.array  # the same one, if nothing has changed
        self.looks += 1
        self._machine.board.host.request("display", self.on_picture)
        return None


def _nothing() -> None:
    """Nobody waits for it."""

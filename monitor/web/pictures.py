"""The screen for whoever watches: taken by the machine's own thread, FRAMES times a second at most.

A picture is an array that nobody changes any more, so the newest one is handed over by its name:
the machine neither copies nor encodes it, nor waits. While nobody watches nothing is drawn.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from monitor.vmm.errors import UserError
from monitor.web.subject import Subject

Picture = npt.NDArray[np.uint8]
FRAMES = 25


class Pictures:
    """Of one machine; a chore of its loop."""

    def __init__(self, machine: Subject, clock: Callable[[], float] = time.monotonic) -> None:
        self._machine = machine
        self._clock = clock
        self._next = 0.0
        #: Called, by the machine's thread, when there is another picture.
        self.watchers: list[Callable[[], None]] = []
        #: The last one, if any was taken.
        self.newest: Picture | None = None
        try:
            self._screen = machine.screen
        except UserError:  # it has none, and there is nothing to be seen
            return
        machine.loop.chores.append(self)

    def close(self) -> None:
        """No more."""
        self.watchers.clear()
        if self in self._machine.loop.chores:
            self._machine.loop.chores.remove(self)

    def look(self) -> int | None:
        """Take one, if it is time and somebody watches; wants no instruction of its own."""
        if self.watchers and self._clock() >= self._next:
            self.take()
        return None

    def take(self) -> None:
        """Take one now. For the machine's own thread, or while it does not run."""
        if self not in self._machine.loop.chores:
            return
        self._next = self._clock() + 1 / FRAMES
        picture = self._screen.array
        if picture is self.newest:
            return
        self.newest = picture
        for tell in tuple(self.watchers):
            self._machine.board.host.request("display", tell)

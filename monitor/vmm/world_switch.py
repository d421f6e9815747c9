"""The world switch: the one way from the monitor's core to the host application.

The Virtual Platform of 1999 was two programs. The monitor had the processor to itself; disks,
screens and sockets belonged to an application of the host operating system. A request from one to
the other saved one world and loaded the other (Sugerman, Venkitachalam and Lim 2001, section 2).
Here both are one process, and what is left of the switch is this door: whoever wants something of
the host's goes through it, and it keeps count.

>>> door = WorldSwitch()
>>> door.request("console output", len, b"login: ")
7
>>> door.count, door.statistics()["console output"]["count"]
(1, 1)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Kind:
    """Requests of one kind so far."""

    __slots__ = ("count", "nanoseconds")

    def __init__(self) -> None:
        self.count = 0
        self.nanoseconds = 0


class WorldSwitch:
    """One machine's door to its host application. Kinds are words for people."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Kind] = {}

    def request(self, kind: str, serve: Callable[..., Result], *args: Any) -> Result:
        """Have the host application serve a request; what it raises comes through."""
        counted = self._kinds.get(kind)
        if counted is None:
            counted = self._kinds[kind] = _Kind()
        counted.count += 1
        begun = time.perf_counter_ns()
        try:
            return serve(*args)
        finally:
            counted.nanoseconds += time.perf_counter_ns() - begun

    @property
    def count(self) -> int:
        """Requests of all kinds."""
        return sum(kind.count for kind in self._kinds.values())

    def statistics(self) -> dict[str, dict[str, float]]:
        """By kind: how many, and the real seconds that they took."""
        return {
            name: {"count": kind.count, "seconds": round(kind.nanoseconds / 1e9, 6)}
            for name, kind in sorted(self._kinds.items())
        }

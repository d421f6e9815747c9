"""Virtual time: whole nanoseconds, and exact conversions to the ticks of a chip's own crystal.

The machine owns the clock; chips only ask it. No chip ever looks at the host's time, so a run
under a deterministic clock repeats exactly.

Tick k of an oscillator of f Hz happens at the first nanosecond not before k/f seconds. With
integers only, nothing drifts:

>>> ns_of_tick(1, 1_193_182)            # 838.095... ns, rounded up
839
>>> tick_at(839, 1_193_182), tick_at(838, 1_193_182)
(1, 0)
>>> tick_at(ns_of_tick(10**15, 1_193_182), 1_193_182) == 10**15
True
"""

from __future__ import annotations

from typing import Protocol

NS_PER_SECOND = 1_000_000_000


class Clock(Protocol):
    """What a bus needs of the machine's clock."""

    def now(self) -> int:
        """Virtual nanoseconds since the machine was switched on."""
        ...


class ManualClock:
    """A clock that stands still until it is moved: for tests and for reading examples."""

    def __init__(self, start: int = 0) -> None:
        self.time = start

    def now(self) -> int:
        """Where it was moved to, in nanoseconds."""
        return self.time

    def advance(self, nanoseconds: int) -> None:
        """Move it."""
        self.time += nanoseconds


def tick_at(nanoseconds: int, hertz: int) -> int:
    """How many whole ticks of an oscillator have passed at a moment."""
    return nanoseconds * hertz // NS_PER_SECOND


def ns_of_tick(tick: int, hertz: int) -> int:
    """The first nanosecond at which ``tick_at`` counts this tick."""
    return -(-tick * NS_PER_SECOND // hertz)

"""Events in virtual time: a heap of callbacks.

An idle machine jumps straight to the next deadline, so a chip must only schedule what some guest
asked for, and strictly in the future when it schedules from a callback.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

# Rebuild the heap when this many cancelled timers, and half of the heap, are dead wood: a guest
# that re-arms an alarm for ever must not make the host's memory grow.
_COMPACT_AT = 64


class Timer:
    """One scheduled callback. ``cancel`` may be called at any time, also after it fired."""

    __slots__ = ("_callback", "_queue", "when")

    def __init__(self, when: int, callback: Callable[[], None], queue: TimerQueue) -> None:
        self.when = when
        self._callback: Callable[[], None] | None = callback
        self._queue = queue

    @property
    def live(self) -> bool:
        """Will it still fire?"""
        return self._callback is not None

    def cancel(self) -> None:
        """It will not fire."""
        if self._callback is not None:
            self._callback = None
            self._queue.note_cancelled()

    def fire(self) -> None:
        """Call the function, once."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class TimerQueue:
    """Timers by time, and by order of scheduling where times are equal."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timer]] = []
        self._sequence = 0
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap)

    def schedule(self, when: int, callback: Callable[[], None]) -> Timer:
        """Call a function at `when`, in nanoseconds."""
        timer = Timer(when, callback, self)
        heapq.heappush(self._heap, (when, self._sequence, timer))
        self._sequence += 1
        return timer

    def next_deadline(self) -> int | None:
        """When the first live one is due."""
        heap = self._heap
        while heap:
            if heap[0][2].live:
                return heap[0][0]
            self._pop()
        return None

    def run_due(self, now: int) -> None:
        """Fire all that are due by `now`, also those that are set meanwhile."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            self._pop().fire()

    def note_cancelled(self) -> None:
        """One of them will not fire; rebuild the heap if there are many."""
        self._cancelled += 1
        if self._cancelled >= _COMPACT_AT and 2 * self._cancelled >= len(self._heap):
            self._heap[:] = [entry for entry in self._heap if entry[2].live]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def _pop(self) -> Timer:
        timer = heapq.heappop(self._heap)[2]
        if not timer.live:
            self._cancelled -= 1
        return timer

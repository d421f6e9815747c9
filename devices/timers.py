"""Events in virtual time: a heap of callbacks.

An idle machine jumps straight to the next deadline, so a chip must only set what some guest asked
for, and strictly in the future when it sets a timer from a callback.

A `Timer` belongs to a device for good and is set and cancelled as often as it likes. Timers that
are due at the same nanosecond go off in the order in which they were made, whenever they were set:
so a machine that is restored needs to know when each is due, and nothing else.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from devices.errors import Released

# Rebuild the heap when this many cancelled timers, and half of the heap, are dead wood: a guest
# that re-arms an alarm for ever must not make the host's memory grow.
_COMPACT_AT = 64
_LAST = 1 << 62  # the order of timers that are set once: behind all others, as they were set


class Timer:
    """A callback that can be set to a moment; it goes off once, until it is set again."""

    __slots__ = ("__weakref__", "_callback", "_order", "_queue", "_sequence", "released", "when")

    def __init__(self, callback: Callable[[], None], queue: TimerQueue, order: int) -> None:
        #: When it goes off, in nanoseconds; None while it is not set.
        self.when: int | None = None
        self._callback = callback
        self._queue = queue
        self._order = order
        self._sequence = -1  # of its entry in the heap that counts
        #: It was given back.
        self.released = False

    @property
    def live(self) -> bool:
        """Will it go off?"""
        return self.when is not None

    def set(self, when: int) -> None:
        """Go off at `when`, and at no other time that it was set to before."""
        if self.released:
            raise Released("a timer is set that was given back")
        self.cancel()
        self.when = when
        self._sequence = self._queue.push(when, self._order, self)

    def cancel(self) -> None:
        """It will not go off. Nothing happens if it was not set."""
        if self.when is not None:
            self.when = None
            self._queue.note_cancelled()

    def release(self) -> None:
        """Give it back: its device leaves the board. Released if it was before."""
        if self.released:
            raise Released("a timer is given back twice")
        self.cancel()
        self.released = True

    def is_entry(self, sequence: int) -> bool:
        """Is it set, and by this entry of the heap?"""
        return self.when is not None and self._sequence == sequence

    def fire(self) -> None:
        """Call the function."""
        self.when = None
        self._callback()


class TimerQueue:
    """Timers by time, and by the order in which they were made where times are equal."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, Timer]] = []
        self._made = 0
        self._sequence = 0
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap)

    def timer(self, callback: Callable[[], None]) -> Timer:
        """A timer that is not set yet."""
        self._made += 1
        return Timer(callback, self, self._made)

    def schedule(self, when: int, callback: Callable[[], None]) -> Timer:
        """Call a function at `when`, in nanoseconds."""
        timer = Timer(callback, self, _LAST)
        timer.set(when)
        return timer

    def next_deadline(self) -> int | None:
        """When the first one is due."""
        heap = self._heap
        while heap:
            when, _, sequence, timer = heap[0]
            if timer.is_entry(sequence):
                return when
            self._pop()
        return None

    def run_due(self, now: int) -> None:
        """Fire all that are due by `now`, also those that are set meanwhile."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            timer = self._pop()
            if timer is not None:
                timer.fire()

    def push(self, when: int, order: int, timer: Timer) -> int:
        """For a timer that is set: its entry's number."""
        self._sequence += 1
        heapq.heappush(self._heap, (when, order, self._sequence, timer))
        return self._sequence

    def note_cancelled(self) -> None:
        """One of them will not fire; rebuild the heap if there are many."""
        self._cancelled += 1
        if self._cancelled >= _COMPACT_AT and 2 * self._cancelled >= len(self._heap):
            self._heap[:] = [entry for entry in self._heap if entry[3].is_entry(entry[2])]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def _pop(self) -> Timer | None:
        """Take the first entry out: its timer, or None if it was cancelled."""
        _, _, sequence, timer = heapq.heappop(self._heap)
        if timer.is_entry(sequence):
            return timer
        self._cancelled -= 1
        return None

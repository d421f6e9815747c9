"""Why the engine has left, counted and kept, and other numbers that compiled code has, too.

bt/interp/crossing.py counts what it answers by itself, and monitor/vmm/virtual.py the rest. For who
looks it is one.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from bt.engine import Crossing
from bt.interp.crossing_state import (
    NOTE_CRITICAL,
    NOTE_EMULATE,
    NOTE_FILL,
    NOTE_INT,
    NOTE_TRACED,
    NOTE_VECTOR,
    NOTES,
)

VECTOR_NAMES = {0: "#DE", 1: "#DB", 3: "#BP", 4: "#OF", 5: "#BR", 6: "#UD", 7: "#NM", 10: "#TS",
                11: "#NP", 12: "#SS", 13: "#GP", 14: "#PF", 16: "#MF", 17: "#AC"}  # fmt: skip
WORDS = {NOTE_EMULATE: "emulate", NOTE_FILL: "shadow fill", NOTE_TRACED: "traced write",
         NOTE_CRITICAL: "critical instruction"}  # fmt: skip


def shared(name: str) -> property:
    """A number of the processor's that compiled code has, too: of that name in its crossing."""

    def put(processor: Any, value: int) -> None:
        setattr(processor.crossing, name, value)

    return property(attrgetter(f"crossing.{name}"), put)


def said(code: int) -> str:
    """Why the engine left, in words, by NOTE_*."""
    if code >= NOTE_VECTOR:
        return VECTOR_NAMES.get(code - NOTE_VECTOR, f"vector {code - NOTE_VECTOR}")
    return WORDS[code] if code < NOTE_INT else f"INT {code - NOTE_INT:#x}"


class Notes:
    """Why the engine has left, how often, and the last times: from both halves of the monitor."""

    def __init__(self, crossing: Crossing) -> None:
        self._crossing = crossing
        self._compiled = memoryview(bytearray(8 * NOTES))
        self._counts: Counter[str] = Counter()
        self._recent: deque[tuple[str, int, int]] = deque(maxlen=16)
        self._known = 0  # of the compiled notes, how many are among the recent ones
        crossing.use_notes(self._compiled)

    def add(self, why: str, eip: int, count: int) -> None:
        self._counts[why] += 1
        self._catch_up()
        self._recent.append((why, eip, count))

    def count(self, why: str) -> None:
        """No exit, but something to be counted among them."""
        self._counts[why] += 1

    def _catch_up(self) -> None:
        new = self._crossing.noted - self._known
        if new:
            self._known += new
            for code, eip, count in self._crossing.latest()[-new:]:
                self._recent.append((said(code), eip, count))

    def counts(self) -> Counter[str]:
        """All there were, in words."""
        counts = self._counts.copy()
        for code, number in enumerate(self._compiled.cast("Q").tolist()):
            if number:
                counts[said(code)] += number
        return counts

    def recent(self) -> Iterator[str]:
        self._catch_up()
        for why, eip, count in self._recent:
            yield f"{why:22} at {eip:08x} after {count:,}"

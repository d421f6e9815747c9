"""The end of what a serial line said, for readers who may be slow.

>>> tail = Tail(limit=4)
>>> tail.write(b"abcdef")
>>> tail.since(0)
(6, b'cdef')
>>> tail.since(6)
(6, b'')
"""

from __future__ import annotations

import threading

LIMIT = 1 << 18  # bytes


class Tail:
    """Written to by one thread, read by others, each of whom knows how far it has read."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._end = 0
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """More."""
        with self._lock:
            self._kept += data[-self._limit :]
            self._end += len(data)
            del self._kept[: max(0, len(self._kept) - self._limit)]

    def since(self, position: int) -> tuple[int, bytes]:
        """The end's position, and what lies before it from `position` on, or what is kept of it."""
        with self._lock:
            behind = min(self._end - position, len(self._kept))
            return self._end, bytes(self._kept[len(self._kept) - behind :])

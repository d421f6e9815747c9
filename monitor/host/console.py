"""What a guest sent to a console: a bounded tail of it, and the whole stream by length and digest.

A guest may talk for ever, so only the newest bytes are kept: `limit` of them at least, twice as
many at most. Positions count from the first byte ever sent.

>>> console = Console(limit=4)
>>> console.write(b"0123456789")
>>> console.total, console.start, console.tail
(10, 6, b'6789')
>>> console.since(8)
b'89'

The digest is resumable, so that a checkpoint can hold it: SHA-256 of all that was sent, and from
1 MiB on of a chain, where each whole MiB is hashed behind the hash of those before it.

A text that is waited for is looked for in the stream as it comes, not in the tail: each byte is
looked at once, and where the tail is cut does not matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from monitor.vmm.errors import UserError

LIMIT = 1 << 20  # bytes
PIECE = 1 << 20  # bytes that are hashed at once


@dataclass(frozen=True)
class ConsoleState:
    """A console between two bytes: what a checkpoint holds of it."""

    cut: int = 0  # bytes that are no longer kept,
    chain: bytes = b""  # the hash of whole pieces of them
    pending: bytes = b""  # and the last of them, which are no whole piece
    kept: bytes = b""


class Console:
    """The output of one console. `on_found` is called inside write() when an awaited text came.

    What is kept is the last `limit` bytes and perhaps some before them; everything with `keep_all`.
    """

    def __init__(self, limit: int = LIMIT, on_found: Callable[[], None] | None = None) -> None:
        #: Bytes that are kept at least, once so many were sent. May be changed at any time.
        self.limit = limit
        #: Keep everything from now on, without bound.
        self.keep_all = False
        self.on_found = on_found
        self._kept = bytearray()
        self._cut = 0  # bytes that are no longer kept,
        self._hash = StreamHash()  # and the hash of them
        self._awaited: Awaited | None = None

    def __len__(self) -> int:
        return self.total

    @property
    def total(self) -> int:
        """Bytes sent so far: the position of the next one."""
        return self._cut + len(self._kept)

    @property
    def start(self) -> int:
        """The position of the oldest byte that is kept."""
        return self._cut

    @property
    def tail(self) -> bytes:
        """What is kept: everything, as long as that is no more than `limit` bytes."""
        return bytes(self._kept)

    def last(self, size: int) -> bytes:
        """The newest `size` bytes, or fewer if no more are kept."""
        return bytes(self._kept[-size:]) if size else b""

    def since(self, position: int) -> bytes:
        """Everything from a position on. UserError: the position is cut off, or yet to come."""
        if not self._cut <= position <= self.total:
            raise UserError(
                f"console position {position} is not kept: choose one from {self._cut} to "
                f"{self.total}, or set keep_all before the run"
            )
        return bytes(self._kept[position - self._cut :])

    def digest(self) -> str:
        """A hash of all that was ever sent, in hex: equal digests are equal outputs.

        SHA-256 of it, if it is less than 1 MiB.
        """
        whole = self._hash.copy()
        whole.update(self._kept)
        return whole.hexdigest()

    def state(self, most: int | None = None) -> ConsoleState:
        """What there is to be told of it; of the kept bytes, the last `most`."""
        kept = self._kept if most is None else self._kept[-most:]
        hashed = self._hash.copy()
        dropped = len(self._kept) - len(kept)
        hashed.update(memoryview(self._kept)[:dropped])
        return ConsoleState(self._cut + dropped, hashed.chain, bytes(hashed.pending), bytes(kept))

    def resume(self, state: ConsoleState) -> None:
        """Be as the console that said so; what is awaited here is awaited on."""
        self._cut = state.cut
        self._hash = StreamHash(state.chain, state.pending)
        self._kept = bytearray(state.kept)

    def write(self, data: bytes) -> None:
        """More output."""
        self._kept += data
        if self._awaited is not None and self._awaited.hear(data) and self.on_found is not None:
            self.on_found()
        if len(self._kept) > 2 * self.limit and not self.keep_all:
            self._trim()

    def _trim(self) -> None:
        cut = len(self._kept) - self.limit
        self._hash.update(memoryview(self._kept)[:cut])
        del self._kept[:cut]
        self._cut += cut

    def await_text(self, wanted: bytes, since: int | str = "new") -> Awaited:
        """Look for a text from now on, in place of the one before.

        `since`: "new" for one that is complete after this moment, "all" for any that is kept or
        comes, or the position from which on it shall lie. UserError: that is not kept.
        """
        if since == "new":
            seen = self.last(max(0, len(wanted) - 1))
        elif since == "all":
            seen = self.tail
        elif isinstance(since, int):
            seen = self.since(since)
        else:
            raise UserError(f'since={since!r}: choose "new", "all" or a position of the console')
        self._awaited = Awaited(wanted, seen)
        return self._awaited

    def forget_text(self) -> None:
        """Look for nothing."""
        self._awaited = None


class Awaited:
    """A text that is looked for in a stream, piece by piece."""

    def __init__(self, wanted: bytes, seen: bytes) -> None:
        self._wanted = wanted
        self._before = b""  # as much of the stream's end as may begin the text
        self.found = False
        self.hear(seen)

    def hear(self, data: bytes) -> bool:
        """More of the stream; has the text come by now?"""
        if not self.found:
            window = self._before + data
            self.found = self._wanted in window
            self._before = window[max(0, len(window) - len(self._wanted) + 1) :]
        return self.found


class StreamHash:
    """A hash of a stream that can be put aside and taken up again, which hashlib's cannot.

    >>> one = StreamHash(); one.update(b"ab"); two = StreamHash(one.chain, bytes(one.pending))
    >>> two.update(b"c"); two.hexdigest() == hashlib.sha256(b"abc").hexdigest()
    True
    """

    def __init__(self, chain: bytes = b"", pending: bytes = b"") -> None:
        self.chain = chain  # the hash of whole pieces, none at first
        self.pending = bytearray(pending)  # what came behind them

    def copy(self) -> StreamHash:
        """Another one of the same stream."""
        return StreamHash(self.chain, bytes(self.pending))

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """More of the stream."""
        for at in range(0, len(data), PIECE):
            self.pending += data[at : at + PIECE]
            if len(self.pending) >= PIECE:
                self.chain = hashlib.sha256(self.chain + self.pending[:PIECE]).digest()
                del self.pending[:PIECE]

    def hexdigest(self) -> str:
        """The hash, in hex."""
        return hashlib.sha256(self.chain + self.pending).hexdigest()

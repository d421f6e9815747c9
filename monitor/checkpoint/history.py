"""RAM at many moments of one run, in bounded memory: what changed between two of them.

Of the newest moment there is a copy, of each older one the pages that the next one has otherwise:

    moment 0          moment 1          moment 2 (the newest)
    pages changed     pages changed     the copy: only what is not zero
    before 1          before 2

Going back to a moment is the copy with the changes of 1, then of 0 undone. Leaving a moment out
joins its pages with those of the one before, where those count: no other moment loses anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from monitor.checkpoint.ram import CHUNK, PAGE, Bytes, chunk_frames

Pages = dict[int, bytes]  # frame number: what it held


class RamHistory:
    """Of one machine's RAM. Moments are numbered from 0, the oldest that is kept."""

    def __init__(self, ram: Bytes, touched: Callable[[], Iterable[int]]) -> None:
        """`touched` says which chunks may hold something (ram.py)."""
        self._ram = ram
        self._touched = touched
        self._copy: dict[int, Bytes] = {}  # by chunk; those that are all zero are not there
        self._undo: list[Pages] = []  # of all moments but the newest
        self._any = False

    def __len__(self) -> int:
        """Moments."""
        return len(self._undo) + 1 if self._any else 0

    @property
    def bytes(self) -> int:
        """What the older moments take; the newest one's copy is as large as what the guest uses."""
        return PAGE * sum(map(len, self._undo))

    def take(self) -> None:
        """A new moment: now."""
        before: Pages = {}
        for number in self._touched():
            self._take_chunk(number, before)
        if self._any:
            self._undo.append(before)
        self._any = True

    def _take_chunk(self, number: int, before: Pages) -> None:
        now = chunk_frames(self._ram, number)
        copy = self._copy.get(number)
        if copy is None:
            if not now.any():
                return
            copy = self._copy[number] = np.zeros_like(now)
        elif np.array_equal(now, copy):
            return
        first = number * (CHUNK // PAGE)
        changed = np.flatnonzero((now.view(np.uint64) != copy.view(np.uint64)).any(axis=1))
        for frame in changed.tolist():
            before[first + frame] = copy[frame].tobytes()
        copy[changed] = now[changed]

    def go(self, moment: int) -> None:
        """RAM is as it was; the moments stay."""
        for number in {*self._touched(), *self._copy}:
            now = chunk_frames(self._ram, number)
            copy = self._copy.get(number)
            if copy is None:
                if now.any():
                    now[:] = 0
            elif not np.array_equal(now, copy):
                now[:] = copy
        for pages in reversed(self._undo[moment:]):
            self._put(pages, self._ram)

    def forget_after(self, moment: int) -> None:
        """That moment is the newest; those behind it never were."""
        for pages in reversed(self._undo[moment:]):
            for frame, data in pages.items():
                number, row = divmod(frame, CHUNK // PAGE)
                self._copy[number][row] = np.frombuffer(data, np.uint8)
        del self._undo[moment:]

    def leave_out(self, moment: int) -> None:
        """Forget one moment; not the newest."""
        pages = self._undo.pop(moment)
        if moment:
            self._undo[moment - 1] = pages | self._undo[moment - 1]

    def _put(self, pages: Pages, ram: Bytes) -> None:
        for frame, data in pages.items():
            ram[frame * PAGE : (frame + 1) * PAGE] = np.frombuffer(data, np.uint8)

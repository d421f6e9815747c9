"""The guest's page tables as arrays: for each of 2^20 linear pages its frame and bits.

As the processor's own walk finds them (`Interp.peek_tables`) when it only looks: no accessed bit is
set, and a table outside RAM maps nothing, since a read there might be a device's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bt.engine import Interp
from bt.interp.state import CR0_PG, CR0_WP
from bt.interp.walk import PTE_P, PTE_U, PTE_W

PAGES = 1 << 20
BITS = 0xFFF

Array = npt.NDArray[np.uint32]


@dataclass
class GuestTables:
    """`bits` are those of a page-table entry; PTE_PS: a piece of a large page. 0: not mapped."""

    frames: Array
    bits: Array
    paging: bool

    @property
    def mapped(self) -> npt.NDArray[np.bool_]:
        return (self.bits & PTE_P) != 0

    def at(self, pages: npt.NDArray[np.int64]) -> GuestTables:
        """Of some pages only."""
        return GuestTables(self.frames[pages], self.bits[pages], self.paging)

    def writable(self, user: bool, write_protect: bool) -> npt.NDArray[np.bool_]:
        """May a write at CPL 3 (`user`), or below, go through?"""
        if not user and not write_protect:
            return self.mapped
        return (self.bits & PTE_W) != 0


def guest_tables(cpu: Interp) -> GuestTables:
    """What the tables that CR3 names map; without paging every page is its own frame."""
    if cpu.cr0 & CR0_PG == 0:
        identity = np.arange(PAGES, dtype=np.uint32)
        return GuestTables(identity, np.full(PAGES, PTE_P | PTE_W | PTE_U, np.uint32), False)
    frames, bits = np.zeros(PAGES, np.uint32), np.zeros(PAGES, np.uint32)
    linear, pages, entries = np.array(cpu.peek_tables(), np.int64).reshape(-1, 3).T
    small = pages == 1
    frames[linear[small] >> 12] = entries[small] >> 12
    bits[linear[small] >> 12] = entries[small] & BITS
    large = np.stack((linear, pages, entries))[:, ~small].T
    for at, count, entry in large.tolist():
        first, frame = at >> 12, entry >> 12
        frames[first : first + count] = np.arange(frame, frame + count)
        bits[first : first + count] = entry & BITS
    return GuestTables(frames, bits, True)


def write_protects(cpu: Interp) -> bool:
    """Does a read-only page stop the kernel, too?"""
    return bool(cpu.cr0 & CR0_WP)

"""The guest's page tables as arrays: for each of 2^20 linear pages its frame and bits.

32-bit paging with 4 KiB and 4 MiB pages (SDM vol. 3, chapter 4), read from memory as a debugger
would: no accessed bit is set, and a table outside RAM maps nothing, since a read there might be
a device's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bt.engine import Interp
from bt.interp.paging import PTE_A, PTE_D, PTE_G, PTE_P, PTE_PS, PTE_U, PTE_W
from bt.interp.state import CR0_PG, CR0_WP, CR4_PGE, CR4_PSE
from monitor.vmm.physical_map import PhysicalMap

PAGES = 1 << 20
TABLE = 1024
RESERVED = 0x003FE000  # in the entry of a 4 MiB page
SOFT = PTE_P | PTE_W | PTE_U  # what both levels must grant

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


def guest_tables(cpu: Interp, board: PhysicalMap) -> GuestTables:
    """Read the tables that CR3 names; without paging every page is its own frame."""
    if cpu.cr0 & CR0_PG == 0:
        identity = np.arange(PAGES, dtype=np.uint32)
        return GuestTables(identity, np.full(PAGES, PTE_P | PTE_W | PTE_U, np.uint32), False)
    frames, bits = np.zeros(PAGES, np.uint32), np.zeros(PAGES, np.uint32)
    directory = _table(board, cpu.cr3 & 0xFFFFF000)
    if directory is not None:
        large_pages = bool(cpu.cr4 & CR4_PSE)
        for number in np.flatnonzero(directory & PTE_P):
            part = slice(number * TABLE, (number + 1) * TABLE)
            found = _region(board, int(directory[number]), large_pages)
            if found is not None:
                frames[part], bits[part] = found
    if cpu.cr4 & CR4_PGE == 0:
        bits &= np.uint32(~PTE_G & 0xFFFFFFFF)
    return GuestTables(frames, bits, True)


def write_protects(cpu: Interp) -> bool:
    """Does a read-only page stop the kernel, too?"""
    return bool(cpu.cr0 & CR0_WP)


def _region(board: PhysicalMap, entry: int, large_pages: bool) -> tuple[Array, Array] | None:
    """The 1024 pages of a page-directory entry."""
    if entry & PTE_PS and large_pages:
        if entry & RESERVED:
            return None
        frames = (entry >> 12 & ~0x3FF) + np.arange(TABLE, dtype=np.uint32)
        kept = entry & (SOFT | PTE_A | PTE_D | PTE_G | PTE_PS)
        return frames, np.full(TABLE, kept, np.uint32)
    table = _table(board, entry & 0xFFFFF000)
    if table is None:
        return None
    both = table & (np.uint32(entry & SOFT) | np.uint32(~SOFT & 0xFFFFFFFF))
    bits = both & np.uint32(SOFT | PTE_A | PTE_D | PTE_G)
    mapped = (bits & PTE_P) != 0
    return np.where(mapped, table >> 12, 0), np.where(mapped, bits, 0)


def _table(board: PhysicalMap, address: int) -> Array | None:
    if board.place(address) < 0:
        return None
    return np.frombuffer(board.read(address, 4 * TABLE), np.dtype("<u4"))

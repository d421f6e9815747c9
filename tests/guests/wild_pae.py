"""Random worlds with PAE: wild_user.py's, their page tables with entries of 64 bits.

    0x04000 pointer entries   0x0A000 directory   0x0B000, 0x0C000 page tables

Two tables map the first 4 MiB as in the other worlds. From 4 MiB on there are pages of 2 MiB, some
of them beyond 4 GiB or with reserved bits, with nothing behind any of them. The kernel goes on to
write entries, both halves of them; sometimes pointer entries, which count from the next load of CR3
on, or make that fault.
"""

from __future__ import annotations

import random
import struct

from wild_code import World, dword
from wild_user import DIRECTORY, UserWorld

POINTERS, FOLDER, TABLES = DIRECTORY, 0xA000, 0xB000
WINDOW = 0x3FE000  # linear: both page tables, for ring 0
FOLDER_VIEW, POINTERS_VIEW = 0x3FC000, 0x3FD000  # linear: the other two pages
HIGH_HALVES = (*[0] * 12, 1, 0xF, 0x10, 0x80000000)  # beyond 4 GiB; reserved
LARGE = range(2, 8)  # entries of the directory
POINTER_BITS = 1 << 3  # PWT, which is none of the reserved ones
MODEL = "pentium3"


class PaeWorld(UserWorld):
    """Its tables, and what is written into them."""

    wide = True

    def __init__(self, dice: random.Random) -> None:
        super().__init__(dice)
        self.paging = self.paging or dice.random() < 0.9

    def control_bits(self) -> int:
        """CR4 to begin with."""
        return 0x20 | super().control_bits()

    def tables(self) -> list[tuple[int, bytes]]:
        entries = list(struct.unpack("<1024I", self.page_table()))
        for page in (FOLDER >> 12, TABLES >> 12, (TABLES >> 12) + 1):
            entries[page] = 0  # as in page_table(): nothing but the views leads to tables
        entries[FOLDER_VIEW >> 12] = FOLDER | 3
        entries[POINTERS_VIEW >> 12] = POINTERS | 3
        entries[WINDOW >> 12], entries[(WINDOW >> 12) + 1] = TABLES | 3, TABLES + 0x1000 | 3
        pages = [entry | (self.dice.choice(HIGH_HALVES) if self.is_user(page) else 0) << 32
                 for page, entry in enumerate(entries)]  # fmt: skip
        folder = [TABLES | 7, TABLES + 0x1000 | 7, *(self.large() for _ in LARGE)]
        pointers = [FOLDER | 1 | self.dice.choice((0, POINTER_BITS)), *(self.pointer()
                    for _ in range(3))]  # fmt: skip
        return [
            (POINTERS, struct.pack("<4Q", *pointers)),
            (FOLDER, struct.pack(f"<{len(folder)}Q", *folder)),
            (TABLES, struct.pack("<1024Q", *pages)),
        ]

    def is_user(self, page: int) -> bool:
        """May its entry be anything? The kernel needs its own."""
        return 0x110 <= page < 0x3FC

    def large(self) -> int:
        """An entry of 2 MiB, behind RAM."""
        dice = self.dice
        low = dice.choice((0x200000, 0x200000, 0x40000000, 0x202000, 0x3FE000, 0x201000))
        bits = dice.choice((0x87, 0x87, 0x85, 0x83, 0x80, 0x187))
        return (low | bits) | dice.choice(HIGH_HALVES) << 32

    def pointer(self, faults: bool = False) -> int:
        """One that can be loaded, or cannot."""
        if faults:
            return self.dice.choice((FOLDER | 3, FOLDER | 0x101, FOLDER | 1 | 1 << 36))
        return self.dice.choice((0, 0x1E6, FOLDER | 1, FOLDER | 1 | 1 << 32, 0x200001))

    # --- acts ---------------------------------------------------------------------------

    def page(self, at: int, data: int) -> tuple[bytes, bytes]:
        act = self.dice.choices((self.entry_act, self.large_act, self.pointer_act, self.reach),
                                (60, 15, 10, 15))[0]  # fmt: skip
        return act(at)

    def write(self, place: int, value: int) -> bytes:
        """MOV dword ptr ss:[place], value."""
        return b"\x36\xc7\x05" + dword(place) + dword(value)

    def entry_act(self, at: int) -> tuple[bytes, bytes]:
        """Half of a page-table entry, and INVLPG or a load of CR3."""
        dice = self.dice
        page = dice.choice((*range(0x110, 0x11F), *range(0x200, 0x210)))
        if dice.random() < 0.2:
            code = self.write(WINDOW + 8 * page + 4, dice.choice(HIGH_HALVES))
        else:
            frame = dice.choice((page & 0x1FF, *range(0x110, 0x11F)))
            bits = dice.choice((7, 7, 5, 3, 1, 0, 0x107, 0x67))
            code = self.write(WINDOW + 8 * page, frame << 12 | bits)
        if dice.random() < 0.7:
            return self.then(code + b"\x36\x0f\x01\x3d" + dword(page << 12), at)
        return self.then(code + self.flush(), at)

    def flush(self) -> bytes:
        """All of the TLB: CR4 without PGE, then CR3."""
        code = b"\x0f\x20\xe0\x83\xe0\x7f\x0f\x22\xe0" if self.dice.random() < 0.5 else b""
        return code + b"\x0f\x20\xd8\x0f\x22\xd8"

    def large_act(self, at: int) -> tuple[bytes, bytes]:
        entry, number = self.large(), self.dice.choice(LARGE)
        half = self.dice.randrange(2)
        code = self.write(FOLDER_VIEW + 8 * number + 4 * half, entry >> 32 * half)
        return self.then(code + b"\x36\x0f\x01\x3d" + dword(number << 21), at)

    def pointer_act(self, at: int) -> tuple[bytes, bytes]:
        """Those but the first. What faults is put right by a later act, or by none."""
        number = self.dice.randrange(1, 4)
        entry = self.pointer(faults=self.dice.random() < 0.15)
        half = self.dice.randrange(2)
        code = self.write(POINTERS_VIEW + 8 * number + 4 * half, entry >> 32 * half)
        return self.then(code + (b"" if self.dice.random() < 0.3 else self.flush()), at)

    def reach(self, at: int) -> tuple[bytes, bytes]:
        """Ring 0 reads or writes where a large page may be, or another gigabyte."""
        place = self.dice.choice((0x400000, 0x5FFFFE, 0x800000, 0xC00010, 0x40110000, 0xC011A000,
                                  0x80400000, 0x40007000))  # fmt: skip
        code = self.dice.choice((b"\x36\xa1", b"\x36\xa3", b"\x36\xff\x05", b"\x36\x80\x25"))
        tail = b"\xff" if code[-2:] == b"\x80\x25" else b""
        return self.then(code + dword(place) + tail, at)


def make(dice: random.Random) -> World:
    """One world, for a machine with MODEL."""
    return PaeWorld(dice).world()

"""A world's page tables with entries of 64 bits: the same pages by PAE, some with reserved bits.

| place    | what                                                                       |
| -------- | -------------------------------------------------------------------------- |
| page 7   | the table of 2 MiB from 4 MiB on, the arena's other names; at POINTERS the |
|          | page-directory-pointer table                                               |
| page 8   | the page directory                                                         |
| page 9   | the table of the first 2 MiB                                               |

CR3 in the state and in all tasks is POINTERS then. What was a page of 4 MiB is one of 2 MiB.
"""

from __future__ import annotations

import struct
from random import Random

from tests.bochs import layout as at
from tests.bochs import objects as the
from tests.bochs.world import World

ALIASES, DIRECTORY, TABLE = 0x7000, 0x8000, 0x9000
POINTERS = 0x7800
CR4_PAE = 0x20
CR3_IN_TSS = 28
#: Reserved whatever the width of physical addresses and without EFER.NXE.
RESERVED = (1 << 63, 1 << 51, 1 << 52, 1 << 62)
POINTER_BITS = (0x8, 0x10, 0x200, 0xE00)  # PWT, PCD, and what is the system's
POINTER_RESERVED = (0x2, 0x4, 0x20, 0x80, 0x100, 1 << 63)
REACH = 2 << 20  # of a table


def widen(made: World, random: Random) -> None:
    """In the place of the tables that it has."""
    old = {base: struct.unpack_from("<1024I", made.arena, base)
           for base in (the.DIRECTORY, the.TABLE, the.ALIASES)}  # fmt: skip
    made.put(the.DIRECTORY, bytes(3 * at.PAGE))
    to_aliases, large = old[the.DIRECTORY][1:3]
    folder = [TABLE | 7, 0, ALIASES | to_aliases & (at.PAGE - 1), 0, large and large | 1 << 21]
    made.put(DIRECTORY, _entries([_damaged(each, random) for each in folder]))
    first = old[the.TABLE][: REACH // at.PAGE]
    pages = at.ARENA_SIZE // at.PAGE
    made.put(TABLE, _entries([_damaged(each, random) for each in first[:pages]]))
    made.put(TABLE + 8 * pages, _entries(first[pages:]))
    aliases = old[the.ALIASES][:pages]
    made.put(ALIASES, _entries([_damaged(each, random) for each in aliases]))
    made.put(POINTERS, _entries([DIRECTORY | 1 | random.choice((0, 0, *POINTER_BITS)),
                                 *(_pointer(random) for _ in range(3))]))  # fmt: skip
    made.state["cr4"] |= CR4_PAE
    made.state["cr3"] = POINTERS
    for base in the.TSS.values():
        place = base + CR3_IN_TSS
        if made.arena[place : place + 4] == struct.pack("<I", the.DIRECTORY):
            pointers = POINTERS if random.random() < 0.95 else random.choice((DIRECTORY, ALIASES))
            made.put(place, struct.pack("<I", pointers))


def _damaged(entry: int, random: Random) -> int:
    """With a reserved bit, once in a while."""
    return entry | (random.choice(RESERVED) if random.random() < 0.02 else 0)


def _pointer(random: Random) -> int:
    """One that nobody follows; if it is present with reserved bits, CR3 cannot be loaded."""
    entry = random.choice((0, 0x1E6, DIRECTORY | 1, TABLE | 1))
    if entry & 1 and random.random() < 0.02:
        entry |= random.choice(POINTER_RESERVED)
    return entry


def _entries(entries: list[int] | tuple[int, ...]) -> bytes:
    return struct.pack(f"<{len(entries)}Q", *entries)

"""The Multiboot information structure (the specification's chapter 3.3) and what it points to.

    offset 0   flags: bit 0 memory sizes, 2 command line, 3 modules, 6 memory map, 9 loader name
    4, 8       KiB below and above 1 MiB
    16         command line          20, 24  modules: number, address of their table
    44, 48     memory map: length, address   64  name of the boot loader

It all goes into low memory as one piece: the structure, the module table, the map, the strings.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from monitor.loaders.memory_map import EXTENDED_AREA, memory_map
from monitor.loaders.plan import HOLE_END, LoadPlan
from monitor.vmm.errors import UserError

SIZE = 116
MEMORY, COMMAND_LINE, MODULES, MEMORY_MAP, LOADER_NAME = (1 << n for n in (0, 2, 3, 6, 9))
PREFERRED = 0x10000
NAME = "Virtual Platform"


def put_information(plan: LoadPlan, cmdline: str, modules: Sequence[tuple[str, int, int]]) -> int:
    """Plan the structure for modules (string, start, end); returns its address."""
    strings = [encode(text) for text in (cmdline, NAME, *(name for name, _, _ in modules))]
    area = entries(plan.memory_size)
    size = SIZE + 16 * len(modules) + len(area) + sum(map(len, strings))
    base = plan.room("Multiboot information", size, above=PREFERRED)
    module_table = base + SIZE
    map_address = module_table + 16 * len(modules)
    text = map_address + len(area)
    places = [text + sum(map(len, strings[:n])) for n in range(len(strings))]
    table = b"".join(
        struct.pack("<4I", start, end, place, 0)
        for (_, start, end), place in zip(modules, places[2:], strict=True)
    )
    info = bytearray(SIZE)
    flags = MEMORY | COMMAND_LINE | MODULES | MEMORY_MAP | LOADER_NAME
    low, high = EXTENDED_AREA >> 10, plan.memory_size - HOLE_END >> 10
    struct.pack_into("<3I", info, 0, flags, low, high)
    struct.pack_into("<3I", info, 16, places[0], len(modules), module_table)
    struct.pack_into("<2I", info, 44, len(area), map_address)
    struct.pack_into("<I", info, 64, places[1])
    plan.put("Multiboot information", base, bytes(info) + table + area + b"".join(strings))
    return base


def encode(text: str) -> bytes:
    if "\0" in text:
        raise UserError("a NUL character in a Multiboot command line or module name; take it out")
    return text.encode("utf-8", "surrogateescape") + b"\0"


def entries(memory_size: int) -> bytes:
    """The memory map, in entries of 24 bytes: the size of the rest (20), base, length, type."""
    return b"".join(struct.pack("<IQQI", 20, *piece) for piece in memory_map(memory_size))

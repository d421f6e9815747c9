"""The real-mode interrupt table (SDM vol. 3, 21.1.4), and the handlers that it points at.

    00-1F    08-0F hardware, lines 0 to 7; 10-1A services
    60-66    0: free for programs
    70-77    hardware, lines 8 to 15
    else     IRET

The vectors that are pointers to tables (1D video, 1E diskette, 41 and 46 disks) are 0: there is
neither screen nor disk.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from monitor.loaders.memory_map import EXTENDED_AREA

if TYPE_CHECKING:
    from monitor.guests.assembler import Assembly

SEGMENT = EXTENDED_AREA >> 4
OFFSET = 0x200  # of the handlers in it

HANDLERS = {
    0x08: "timer_irq",
    0x09: "keyboard_irq",
    **dict.fromkeys(range(0x0A, 0x10), "other_master_irq"),
    0x11: "equipment_service",
    0x12: "memory_service",
    0x13: "disk_service",
    0x15: "system_service",
    0x16: "keyboard_service",
    0x18: "boot_service",
    0x19: "boot_service",
    0x1A: "time_service",
    0x70: "clock_irq",
    **dict.fromkeys(range(0x71, 0x78), "other_slave_irq"),
}
EMPTY = frozenset((0x1D, 0x1E, 0x1F, 0x41, 0x43, 0x46, *range(0x60, 0x67)))


@lru_cache(maxsize=1)
def handlers() -> Assembly:
    """The handlers' code and the offsets of its labels in SEGMENT.

    The assembler is imported here: it takes a while, and most guests that are raw need none.
    """
    from monitor.guests.assembler import assemble

    return assemble(_read, "handlers.asm", OFFSET, bits=16)


def interrupt_table() -> bytes:
    """All 256 vectors, offset and segment each."""
    labels = handlers().symbols
    return b"".join(
        bytes(4)
        if vector in EMPTY
        else struct.pack("<HH", labels[HANDLERS.get(vector, "nothing")], SEGMENT)
        for vector in range(256)
    )


def _read(name: str) -> str:
    return files("monitor.firmware").joinpath(name).read_text(encoding="utf-8")

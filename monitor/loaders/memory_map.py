"""Where a PC has RAM, as its firmware tells a guest (INT 15h AX=E820h; ACPI, chapter 15)."""

from __future__ import annotations

from monitor.loaders.plan import HOLE_END, HOLE_START

EXTENDED_AREA = 0x9FC00  # from here to the hole a BIOS keeps its extended data area
BIOS_ROM = 0xF0000
RAM, RESERVED = 1, 2


def memory_map(memory_size: int) -> list[tuple[int, int, int]]:
    """Pieces in order: (start, size, type)."""
    return [
        (0, EXTENDED_AREA, RAM),
        (EXTENDED_AREA, HOLE_START - EXTENDED_AREA, RESERVED),
        (BIOS_ROM, HOLE_END - BIOS_ROM, RESERVED),
        (HOLE_END, memory_size - HOLE_END, RAM),
    ]

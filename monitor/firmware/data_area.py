"""The BIOS data area at 0x400 and the extended one at the top of low memory.

Manual: IBM PC/AT Technical Reference, "BIOS data area"; offsets as in segment 40h.

    00  ports of COM1 to COM4         49  video mode and what belongs to it: 0, there is no screen
    08  ports of LPT1 to LPT3         6C  timer ticks since midnight, 18.2 Hz
    0E  extended data area: segment   70  midnight has passed
    10  equipment                     78  time-outs of LPT1 to LPT3; 7C of COM1 to COM4
    13  KiB of low memory             80  keyboard buffer: from, to
    1A  keyboard buffer: head, tail   96  keyboard: 101 keys
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from monitor.loaders.memory_map import EXTENDED_AREA
from monitor.loaders.plan import HOLE_START

SIZE = 0x100
LOW_KIB = EXTENDED_AREA >> 10
EXTENDED_KIB = (HOLE_START - EXTENDED_AREA) >> 10
BUFFER, BUFFER_END = 0x1E, 0x3E
COPROCESSOR = 0x02
SERIAL_SHIFT, PARALLEL_SHIFT = 9, 14
SERIAL_TIMEOUT, PARALLEL_TIMEOUT = 1, 20
KEYBOARD_101 = 0x10


@dataclass(frozen=True)
class Found:
    """What the power-on test found."""

    serial_ports: Sequence[int]  # I/O addresses, four at most
    ticks: int  # since midnight
    parallel_ports: Sequence[int] = ()  # three at most

    @property
    def equipment(self) -> int:
        """The equipment word: a coprocessor, serial and parallel ports; no screen, no diskette."""
        ports = len(self.serial_ports) << SERIAL_SHIFT | len(self.parallel_ports) << PARALLEL_SHIFT
        return COPROCESSOR | ports


def data_area(found: Found) -> bytes:
    """The 256 bytes at 0x400."""
    area = bytearray(SIZE)
    struct.pack_into(f"<{len(found.serial_ports)}H", area, 0x00, *found.serial_ports)
    struct.pack_into(f"<{len(found.parallel_ports)}H", area, 0x08, *found.parallel_ports)
    struct.pack_into("<HH", area, 0x0E, EXTENDED_AREA >> 4, found.equipment)
    struct.pack_into("<H", area, 0x13, LOW_KIB)
    struct.pack_into("<HH", area, 0x1A, BUFFER, BUFFER)
    struct.pack_into("<I", area, 0x6C, found.ticks)
    area[0x7C : 0x7C + len(found.serial_ports)] = [SERIAL_TIMEOUT] * len(found.serial_ports)
    area[0x78 : 0x78 + len(found.parallel_ports)] = [PARALLEL_TIMEOUT] * len(found.parallel_ports)
    struct.pack_into("<HH", area, 0x80, BUFFER, BUFFER_END)
    area[0x96] = KEYBOARD_101
    return bytes(area)


def extended_area(code: bytes, offset: int) -> bytes:
    """The extended data area: its size in KiB, and the handlers from `offset` on."""
    area = bytearray(EXTENDED_KIB << 10)
    area[0] = EXTENDED_KIB
    assert offset + len(code) <= len(area)
    area[offset : offset + len(code)] = code
    return bytes(area)

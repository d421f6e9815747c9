"""What a record holds that no manual defines: it is blanked before two records are compared.

As in tests/oracle/undefined.py: contents of empty x87 registers, the reserved halves of the x87
environment, and the x87 pointers.
"""

from __future__ import annotations

from dataclasses import replace

from tests.bochs.record import Record

RESERVED = (2, 3, 6, 7, 10, 11)
POINTERS = range(12, 28)  # FIP, FCS, FOP, FDP, FDS


def blank(record: Record) -> Record:
    """The record without what is undefined."""
    image = record.registers["fpu"]
    assert isinstance(image, bytes)
    return replace(record, registers=record.registers | {"fpu": _blank_fpu(image)})


def _blank_fpu(image: bytes) -> bytes:
    """Registers are stored in stack order, tags in physical order: ST(i) is R((TOP + i) mod 8)."""
    unit = bytearray(image)
    for byte in (*RESERVED, *POINTERS):
        unit[byte] = 0
    tags = int.from_bytes(image[8:10], "little")
    top = image[5] >> 3 & 7
    for number in range(8):
        if tags >> 2 * ((top + number) & 7) & 3 == 3:
            unit[28 + 10 * number : 38 + 10 * number] = bytes(10)
    return bytes(unit)

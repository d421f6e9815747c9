"""The MP floating pointer and configuration table, by which systems before ACPI found APICs.

Manual: Intel MultiProcessor Specification 1.4, chapter 4.

    _MP_   in the BIOS's ROM: where the table is; interrupts begin in virtual wire mode
    PCMP   processors, buses, I/O APICs, where ISA's and PCI's lines arrive, what the LINTs are
"""

from __future__ import annotations

import struct

from bt.models import APIC, Model
from devices.apic import io_apic, local_apic
from devices.bus import Bus
from devices.pci.piix4_pm import SCI
from monitor.firmware.tables.acpi import HIGH_LEVEL, IO_APIC_ID
from monitor.firmware.tables.dsdt import PINS, PIRQ_ROUTES, interrupt_of

REVISION = 4
POINTER_BYTES, HEADER = 16, 44
INT, NMI, EXTINT = 0, 1, 3
CONFORMS = 0  # polarity and trigger are those of the bus
USABLE_AND_BOOTS = 3
ALL_LOCAL_APICS = 0xFF
CASCADE = 2


def pointer(table_at: int) -> bytes:
    """The floating pointer structure, to be put at a multiple of 16."""
    data = bytearray(struct.pack("<4sIBBB", b"_MP_", table_at, 1, REVISION, 0).ljust(16, b"\0"))
    data[10] = -sum(data) & 0xFF
    return bytes(data)


def table(model: Model, bus: Bus, pci: bool) -> bytes:
    """The configuration table, for the PCI devices on a bus."""
    slots = sorted({slot for slot, _, _ in bus.pci.functions()})
    isa_bus = 1 if pci else 0
    entries = [_processor(model)]
    if pci:
        entries.append(struct.pack("<BB6s", 1, 0, b"PCI   "))
    entries.append(struct.pack("<BB6s", 1, isa_bus, b"ISA   "))
    version = io_apic.VERSION_REGISTER & 0xFF
    entries.append(struct.pack("<BBBBI", 2, IO_APIC_ID, version, 1, io_apic.BASE))
    if pci:
        entries += [_interrupt(HIGH_LEVEL, 0, slot << 2 | pin, interrupt_of(slot, pin + 1))
                    for slot in slots for pin in range(PINS)]  # fmt: skip
    levels = {SCI, *PIRQ_ROUTES} if pci else set()
    entries += [_interrupt(HIGH_LEVEL if line in levels else CONFORMS, isa_bus, line,
                           io_apic.pin_of(line))
                for line in range(io_apic.LINES) if line != CASCADE]  # fmt: skip
    for kind, pin in ((EXTINT, 0), (NMI, 1)):
        entries.append(struct.pack("<BBHBBBB", 4, kind, CONFORMS, isa_bus, 0, ALL_LOCAL_APICS, pin))
    return _with_header(entries)


def _processor(model: Model) -> bytes:
    version = local_apic.VERSIONS[model.family] & 0xFF
    features = model.announced | APIC
    return struct.pack("<BBBBIIQ", 0, 0, version, USABLE_AND_BOOTS, model.signature, features, 0)


def _interrupt(flags: int, bus: int, line: int, pin: int) -> bytes:
    return struct.pack("<BBHBBBB", 3, INT, flags, bus, line, IO_APIC_ID, pin)


def _with_header(entries: list[bytes]) -> bytes:
    body = b"".join(entries)
    data = bytearray(struct.pack("<4sHBB8s12sIHHIHBB", b"PCMP", HEADER + len(body), REVISION, 0,
                                 b"VIRTPLAT", b"VIRTUAL PC  ", 0, 0, len(entries),
                                 local_apic.BASE_RESET & local_apic.ADDRESS, 0, 0, 0))  # fmt: skip
    data += body
    data[7] = -sum(data) & 0xFF
    return bytes(data)

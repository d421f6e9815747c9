"""ACPI's tables for the board with PIIX4 power management and APICs.

Manual: ACPI 1.0b, 5.2: RSDP, RSDT, FADT ("fixed ACPI description table"), FACS, MADT ("multiple
APIC description table"), DSDT.

    RSDP -> RSDT -> FADT -> FACS, DSDT
                 -> MADT

They are made as two pieces, the RSDP and the others, with pointers that count from the beginning of
the others: where that is, and so the check sums, is filled in by `located`, or by a BIOS that is
given both with orders how to (loader.py).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from devices.apic import io_apic, local_apic
from devices.pci.piix4_pm import ACPI_DISABLE, ACPI_ENABLE, APM_PORTS, GPE_PORTS, PMTMR, SCI
from monitor.firmware.tables.dsdt import PIRQ_ROUTES, byte_code

OEM, TABLE_ID, CREATOR = b"VIRTPC", b"VIRTPLAT", b"VP  "
HEADER = 36
CHECKSUM = 9  # in a table's header
RSDP_BYTES, RSDP_CHECKSUM, RSDP_RSDT = 20, 8, 16
FACS_BYTES, FADT_BYTES = 64, 116
FADT_FACS, FADT_DSDT = 36, 40
PM_BASE = 0x600  # ports of power management, where SeaBIOS has them, too
CENTURY = 0x32  # in CMOS
NO_C2, NO_C3 = 0x0FFF, 0x0FFF  # microseconds: too slow to be there
FLAGS = 0x01 | 0x04 | 0x20  # WBINVD works, C1 is there, no sleep button in fixed registers
PCAT_COMPAT = 1  # 8259As are there, too
HIGH_LEVEL = 0x0D  # an interrupt's flags: active high, level
IO_APIC_ID = 1


@dataclass
class Tables:
    """All tables but the RSDP one after the other, and the RSDP; pointers are offsets so far."""

    rsdp: bytearray
    blob: bytearray = field(default_factory=bytearray)
    pointers: list[int] = field(default_factory=list)  #: where they are, four bytes each
    sums: list[tuple[int, int]] = field(default_factory=list)  #: first byte and size of tables

    def add(self, signature: bytes, revision: int, body: bytes) -> int:
        """Put a table in; its offset."""
        at = len(self.blob)
        length = HEADER + len(body)
        self.blob += struct.pack("<4sIBB6s8sI4sI", signature, length, revision, 0,
                                 OEM, TABLE_ID, 1, CREATOR, 1) + body  # fmt: skip
        self.sums.append((at, length))
        return at

    def located(self, base: int) -> tuple[bytes, bytes]:
        """RSDP and tables for a place in memory."""
        rsdp, blob = bytearray(self.rsdp), bytearray(self.blob)
        _move(rsdp, RSDP_RSDT, base)
        for at in self.pointers:
            _move(blob, at, base)
        for first, size in self.sums:
            blob[first + CHECKSUM] = -sum(blob[first : first + size]) & 0xFF
        rsdp[RSDP_CHECKSUM] = -sum(rsdp) & 0xFF
        return bytes(rsdp), bytes(blob)


def _move(data: bytearray, at: int, base: int) -> None:
    (offset,) = struct.unpack_from("<I", data, at)
    struct.pack_into("<I", data, at, base + offset)


def build(memory_bytes: int, pm_base: int) -> Tables:
    """The tables, for so much RAM, and with power management at these ports."""
    tables = Tables(bytearray(RSDP_BYTES))
    tables.blob += struct.pack("<4sI", b"FACS", FACS_BYTES).ljust(FACS_BYTES, b"\0")
    dsdt = tables.add(b"DSDT", 1, byte_code(memory_bytes))
    fadt = tables.add(b"FACP", 1, _fadt(0, dsdt, pm_base))
    madt = tables.add(b"APIC", 1, _madt())
    rsdt = tables.add(b"RSDT", 1, struct.pack("<2I", fadt, madt))
    tables.pointers += [fadt + FADT_FACS, fadt + FADT_DSDT, rsdt + HEADER, rsdt + HEADER + 4]
    struct.pack_into("<8sB6sBI", tables.rsdp, 0, b"RSD PTR ", 0, OEM, 0, rsdt)
    return tables


def _fadt(facs: int, dsdt: int, pm_base: int) -> bytes:
    """Behind its header."""
    ports = (pm_base, 0, pm_base + 4, 0, 0, pm_base + PMTMR, GPE_PORTS, 0)
    sizes = (4, 2, 0, 4, 4, 0, 0, 0)  # PM1 event and control, PM2, timer, GPE0, GPE1 and its base
    return (
        struct.pack("<IIBBH", facs, dsdt, 1, 0, SCI)
        + struct.pack("<IBBBB", APM_PORTS, ACPI_ENABLE, ACPI_DISABLE, 0, 0)
        + struct.pack("<8I8B", *ports, *sizes)
        + struct.pack("<4H8BI", NO_C2, NO_C3, 0, 0, 0, 0, 0, 0, CENTURY, 0, 0, 0, FLAGS)
    )


def _madt() -> bytes:
    """Behind its header: one processor, one I/O APIC, and how ISA's lines differ."""
    levels = sorted({SCI, *PIRQ_ROUTES})
    entries = [
        struct.pack("<BBBBI", 0, 8, 0, 0, 1),
        struct.pack("<BBBBII", 1, 12, IO_APIC_ID, 0, io_apic.BASE, 0),
        struct.pack("<BBBBIH", 2, 10, 0, 0, io_apic.TIMER_PIN, 0),
        *(struct.pack("<BBBBIH", 2, 10, 0, line, line, HIGH_LEVEL) for line in levels),
        struct.pack("<BBBHB", 4, 6, 0xFF, 0, 1),  # NMI is LINT1 of each processor
    ]
    head = struct.pack("<II", local_apic.BASE_RESET & local_apic.ADDRESS, PCAT_COMPAT)
    return head + b"".join(entries)

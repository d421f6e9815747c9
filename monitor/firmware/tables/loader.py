"""The ACPI tables and the MP table in fw_cfg, with orders by which a BIOS puts them into memory.

Manual: SeaBIOS documentation, "Runtime configuration": etc/table-loader; QEMU documentation, "ACPI
tables": 128 bytes each order.

    1  allocate       a file, its alignment, and where: 1 high memory, 2 the segment F000
    2  add pointer    to four bytes of a file at an offset, the address of another file
    3  add checksum   at an offset, over a range

SeaBIOS makes an MP table, too, and asks whether the timer is at pin 2 of the I/O APIC
(etc/irq0-override). In it the I/O APIC has the processor's ID, 0, for QEMU's local APICs are all as
a Pentium 4's (version 14h), which share no bus with it. A P6's (version 11h) do. Linux without ACPI
then gives the I/O APIC another ID, but not the table's interrupts, finds none of them, and ends.
So the right table is handed over as well. SeaBIOS fills the segment F000 from its end on, and makes
its own table first: ours lies below, and the first one from F0000h on is the one that is found.

The BIOS decides where power management has its ports, and sets the register for it before it asks
for tables. So they are made anew whenever one of the files is read.
"""

from __future__ import annotations

import struct

from devices.chipset import Chipset
from devices.pci.piix4_pm import PMBA
from monitor.firmware.tables import mp
from monitor.firmware.tables.acpi import (
    CHECKSUM,
    PM_BASE,
    RSDP_BYTES,
    RSDP_CHECKSUM,
    RSDP_RSDT,
    Tables,
    build,
)

RSDP_FILE, TABLES_FILE, LOADER_FILE = "etc/acpi/rsdp", "etc/acpi/tables", "etc/table-loader"
MP_FILE, IRQ0_OVERRIDE = "etc/mp-table", "etc/irq0-override"
MP_POINTER, MP_CHECKSUM = 4, 10  # in the floating pointer, with which the file begins
FILES = (RSDP_FILE, TABLES_FILE, LOADER_FILE)
PM_ADDRESS = 0xFFC0
ALLOCATE, ADD_POINTER, ADD_CHECKSUM = 1, 2, 3
HIGH, SEGMENT_F = 1, 2
ORDER_BYTES, NAME_BYTES = 128, 56


def offer(chipset: Chipset, memory_bytes: int, mp_table: bytes) -> None:
    """Let the BIOS find them. ValueError: there are too many files already."""
    fw_cfg = chipset.fw_cfg

    def renew(name: str) -> None:
        if name in FILES:
            pm_base = chipset.power.long(PMBA) & PM_ADDRESS or PM_BASE
            fw_cfg.set_files(fw_cfg.files | files(build(memory_bytes, pm_base)), fw_cfg.boot_menu)

    fw_cfg.on_select = renew
    more = files(build(memory_bytes, PM_BASE))
    more |= {MP_FILE: mp.pointer(mp.POINTER_BYTES) + mp_table, IRQ0_OVERRIDE: b"\x01"}
    fw_cfg.set_files(fw_cfg.files | more, fw_cfg.boot_menu)


def files(tables: Tables) -> dict[str, bytes]:
    """By their names in fw_cfg."""
    return {
        RSDP_FILE: bytes(tables.rsdp),
        TABLES_FILE: bytes(tables.blob),
        LOADER_FILE: _orders(tables),
    }


def _orders(tables: Tables) -> bytes:
    orders = [
        struct.pack("<I56sIB", ALLOCATE, _name(RSDP_FILE), 16, SEGMENT_F),
        struct.pack("<I56sIB", ALLOCATE, _name(TABLES_FILE), 64, HIGH),
        struct.pack("<I56sIB", ALLOCATE, _name(MP_FILE), 16, SEGMENT_F),
        *(_pointer(TABLES_FILE, at, TABLES_FILE) for at in tables.pointers),
        _pointer(RSDP_FILE, RSDP_RSDT, TABLES_FILE),
        _pointer(MP_FILE, MP_POINTER, MP_FILE),
        *(_sum(TABLES_FILE, first + CHECKSUM, first, size) for first, size in tables.sums),
        _sum(RSDP_FILE, RSDP_CHECKSUM, 0, RSDP_BYTES),
        _sum(MP_FILE, MP_CHECKSUM, 0, mp.POINTER_BYTES),
    ]
    return b"".join(order.ljust(ORDER_BYTES, b"\0") for order in orders)


def _pointer(file: str, at: int, to: str) -> bytes:
    return struct.pack("<I56s56sIB", ADD_POINTER, _name(file), _name(to), at, 4)


def _sum(file: str, at: int, first: int, size: int) -> bytes:
    return struct.pack("<I56sIII", ADD_CHECKSUM, _name(file), at, first, size)


def _name(text: str) -> bytes:
    return text.encode().ljust(NAME_BYTES, b"\0")

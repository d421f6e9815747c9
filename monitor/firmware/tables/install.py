"""APICs, interrupt routing and power management as a BIOS leaves them, and the tables of them.

For guests that a loader starts, on a machine with the part "apic": a ROM at F0000h holds

    F0000h   RSDP              with the chipset "i440fx" alone: it has what ACPI is about
    F0020h   _MP_, the MP floating pointer
    F0040h   the ACPI tables, then the MP configuration table

and the local APIC is in virtual wire mode: the 8259A goes on interrupting, through LINT0.
"""

from __future__ import annotations

from bt.models import MODELS
from devices.apic import io_apic, local_apic
from devices.apic.messages import EXTINT, NMI
from devices.bus import Bus
from devices.pci.piix3 import PIRQRC
from devices.pci.piix4_pm import PMBA, PMIOSE, PMREGMISC, SCI
from monitor.embedding.roms import Roms
from monitor.firmware.tables import acpi, mp
from monitor.firmware.tables.dsdt import PIRQ_ROUTES, interrupt_of
from monitor.vmm.board import Board

ROM, POINTER_AT, TABLES_AT = 0xF0000, 0x20, 0x40
SPURIOUS = 0x0F
CONFIG_ADDRESS, CONFIG_DATA = 0xCF8, 0xCFC
ISA_BRIDGE, POWER = 1 << 11, 1 << 11 | 3 << 8
COMMAND, IO_SPACE = 0x04, 1
INTERRUPT_PIN, INTERRUPT_LINE = 0x3D, 0x3C
ELCR = 0x4D0


def install(board: Board, roms: Roms, cpu: str) -> None:
    """Program the chips and put the ROM in. UserError: another one is there."""
    bus = board.bus
    _virtual_wire(bus)
    pci = any(True for _ in bus.pci.functions()) and bus.owner_of(CONFIG_ADDRESS) is not None
    rom = bytearray(TABLES_AT)
    if pci:
        _route(bus)
        _power(bus)
        rsdp, tables = acpi.build(board.memory_bytes, acpi.PM_BASE).located(ROM + TABLES_AT)
        rom[: len(rsdp)] = rsdp
        rom += tables
    rom += bytes(-len(rom) % 16)
    rom[POINTER_AT : POINTER_AT + mp.POINTER_BYTES] = mp.pointer(ROM + len(rom))
    rom += mp.table(MODELS[cpu], bus, pci)
    roms.add(ROM, bytes(rom))


def _virtual_wire(bus: Bus) -> None:
    """MP specification, 3.6.2.2: through the local APIC, which does nothing else."""
    base = local_apic.BASE_RESET & local_apic.ADDRESS
    for register, value in (
        (local_apic.SVR, local_apic.SOFTWARE_ENABLED | SPURIOUS),
        (local_apic.LVT + local_apic.LINT0, EXTINT << 8),
        (local_apic.LVT + local_apic.LINT1, NMI << 8),
    ):
        bus.write_memory(base + (register << 4), 4, value)
    bus.write_memory(io_apic.BASE + io_apic.SELECT, 4, io_apic.ID)
    bus.write_memory(io_apic.BASE + io_apic.WINDOW, 4, acpi.IO_APIC_ID << 24)


def _route(bus: Bus) -> None:
    """PIRQ lines to ISA's, which are levels then; and each function is told which is its own."""
    for number, line in enumerate(PIRQ_ROUTES):
        _config(bus, ISA_BRIDGE, PIRQRC + number, 1, line)
    levels = 1 << SCI
    for slot, function, target in bus.pci.functions():
        pin = target.read_config(INTERRUPT_PIN, 1)
        if 1 <= pin <= 4:
            line = SCI if (slot, function) == (1, 3) else interrupt_of(slot, pin)
            target.write_config(INTERRUPT_LINE, 1, line)
            levels |= 1 << line
    for line in PIRQ_ROUTES:
        levels |= 1 << line
    bus.write_port(ELCR, 1, levels & 0xFF)
    bus.write_port(ELCR + 1, 1, levels >> 8)


def _power(bus: Bus) -> None:
    """The ports of power management."""
    _config(bus, POWER, PMBA, 4, acpi.PM_BASE | 1)
    _config(bus, POWER, COMMAND, 2, IO_SPACE)
    _config(bus, POWER, PMREGMISC, 1, PMIOSE)


def _config(bus: Bus, function: int, register: int, size: int, value: int) -> None:
    """A write into configuration space, as a BIOS does it."""
    bus.write_port(CONFIG_ADDRESS, 4, 1 << 31 | function | register & 0xFC)
    bus.write_port(CONFIG_DATA + register % 4, size, value)

"""The board as ACPI describes it: PCI, where its interrupts arrive, and how to switch off.

Manual: ACPI 1.0b, 6.2.8 "_PRT", 6.4.3 (resources), 7.5.2 "_Sx states"; devices/pci/piix4_pm.py.

    \\_S5        SLP_TYP 0: soft off; there is no other state
    \\_SB.PCI0   the host bridge: what lies behind it (_CRS), and for each device and pin the global
                interrupt that it is wired to (_PRT)

Interrupts are said to be wired, which they are once the PIIX3's router is programmed: install.py
and SeaBIOS do it in the same way, PIRQ0 and 1 to IRQ 10, PIRQ2 and 3 to IRQ 11.
"""

from __future__ import annotations

from devices.apic.io_apic import BASE as IO_APIC
from devices.pci.slots import DEVICES, pirq_of
from monitor.firmware.tables.aml import (
    BUS,
    CACHEABLE,
    END_TAG,
    IO,
    READ_WRITE,
    buffer,
    device,
    eisa_id,
    integer,
    memory_range,
    name,
    package,
    ports,
    scope,
    word_range,
)

PIRQ_ROUTES = (10, 10, 11, 11)
PINS = 4
CONFIG_PORTS, CONFIG_SIZE = 0xCF8, 8
VIDEO = range(0xA0000, 0xC0000)
HOLE_END = 0x100000


def interrupt_of(slot: int, pin: int) -> int:
    """The IRQ, which is the global interrupt and the I/O APIC's pin, of a pin from 1 to 4."""
    return PIRQ_ROUTES[pirq_of(slot, pin)]


def byte_code(memory_bytes: int) -> bytes:
    """All of it, for a board with so much RAM."""
    bridge = device(
        "PCI0",
        name("_HID", eisa_id("PNP0A03")),
        name("_UID", integer(0)),
        name("_CRS", buffer(_resources(memory_bytes))),
        name("_PRT", _routing()),
    )
    return name("\\_S5", package(0, 0, 0, 0)) + scope("\\_SB", bridge)


def _resources(memory_bytes: int) -> bytes:
    """Buses, ports and memory of the host bridge, and of what is behind it."""
    above = max(memory_bytes, HOLE_END)
    return (
        word_range(BUS, 0, 0xFF)
        + ports(CONFIG_PORTS, CONFIG_SIZE)
        + word_range(IO, 0, CONFIG_PORTS - 1)
        + word_range(IO, CONFIG_PORTS + CONFIG_SIZE, 0xFFFF)
        + memory_range(VIDEO.start, VIDEO.stop - 1, READ_WRITE | CACHEABLE)
        + memory_range(above, IO_APIC - 1, READ_WRITE)
        + END_TAG
    )


def _routing() -> bytes:
    """For each slot and pin: address of all its functions, pin from 0, and the interrupt."""
    return package(
        *(
            package(slot << 16 | 0xFFFF, pin, 0, interrupt_of(slot, pin + 1))
            for slot in range(DEVICES)
            for pin in range(PINS)
        )
    )

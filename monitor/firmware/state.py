"""The state that a BIOS leaves, put into a machine.

    plan = Plan(memory.size, areas("bios"))     the loader keeps out of the BIOS's memory
    ...
    install(memory, bus)                        once the guest is loaded

The handlers lie in the extended data area and not at F0000h, where a PC has its ROM: here there is
open bus, or a ROM of the embedder's. Memory maps call the area reserved, and INT 12h leaves it out.
"""

from __future__ import annotations

from monitor.firmware import vectors
from monitor.firmware.chips import Ports, power_on
from monitor.firmware.data_area import EXTENDED_KIB, data_area, extended_area
from monitor.loaders.memory_map import EXTENDED_AREA
from monitor.loaders.plan import Memory, Reserved
from monitor.settings.config import check_firmware_state

DATA_AREA = 0x400
AREAS: tuple[Reserved, ...] = (
    ("the BIOS's interrupt table and data area", 0, 0x500),
    ("the BIOS's extended data area", EXTENDED_AREA, EXTENDED_KIB << 10),
)


def areas(firmware_state: str) -> tuple[Reserved, ...]:
    """The memory that is not the guest's; UserError for a state that there is not."""
    check_firmware_state(firmware_state)
    return AREAS if firmware_state == "bios" else ()


def install(memory: Memory, bus: Ports) -> None:
    """Program the chips and fill the BIOS's memory."""
    found = power_on(bus)
    memory.write(0, vectors.interrupt_table())
    memory.write(DATA_AREA, data_area(found))
    memory.write(EXTENDED_AREA, extended_area(vectors.handlers().image, vectors.OFFSET))

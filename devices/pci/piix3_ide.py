"""Intel 82371SB (PIIX3), function 1: the IDE interface, with its bus master.

Manual: 82371SB datasheet (290550), 3.3.

    20h       BMIBA     16 ports of both channels' bus masters (devices/storage/ide_bus_master.py)
    40h 42h   IDETIM    bit 15: the channel's ports are decoded; the rest is timing
    44h       SIDETIM   timing

The channels are at the ports that a PC/AT has them at, and always answer there: whether firmware
has switched them on shows only in bit 15. While bit 2 of the command register is off, no bus master
reaches memory.
"""

from __future__ import annotations

from devices.bus import Bus
from devices.fields import fields
from devices.pci.bars import PortBar
from devices.pci.function import COMMAND_IO, COMMAND_MASTER, PciFunction
from devices.storage.ide_bus_master import BusMasterPorts
from devices.storage.ide_channel import IdeChannel

PORTS = 16


class Piix3Ide(PciFunction):
    """The function, over the two channels."""

    name = "piix3-ide"
    vendor_id, device_id, revision = 0x8086, 0x7010, 0x00
    class_code = 0x010180
    command_writable = COMMAND_IO | COMMAND_MASTER
    status = 0x0280
    state = fields(**PciFunction.state)

    def __init__(self, bus: Bus, primary: IdeChannel, secondary: IdeChannel) -> None:
        super().__init__(bus, 1, 1)
        masters = primary.bus_master, secondary.bus_master
        for master in masters:
            master.allowed = lambda: self.master_enabled
        self.add_bar(PortBar(4, PORTS, BusMasterPorts(*masters)))
        self.define(0x40, 2, 0, 0xFFFF)
        self.define(0x42, 2, 0, 0xFFFF)
        self.define(0x44, 1, 0, 0xFF)

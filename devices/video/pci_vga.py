"""The VGA as a PCI function, 1234:1111, as drivers for QEMU's and Bochs's adapter know it.

Manual: QEMU, docs/specs/standard-vga; PCI Local Bus Specification 2.2, chapter 6; 3.10 on a VGA's
fixed addresses.

    BAR 0   the frame buffer, all of memory
    BAR 2   registers: at 400h the ports 3C0h to 3DFh, at 500h VBE's registers, two bytes each

The ports and A0000h to BFFFFh answer whether the command register lets them or not, as QEMU's
do: a guest that was started without firmware has nobody to set it.
"""

from __future__ import annotations

from devices.bus import Bus
from devices.fields import PART, fields
from devices.pci.bars import MemoryBar, RegisterBar
from devices.pci.function import PciFunction
from devices.video.vga import MEMORY_BYTES, Vga

REGISTER_BYTES = 0x1000
PORTS_AT, PORTS, FIRST_PORT = 0x400, 0x20, 0x3C0
VBE_AT, VBE_BYTES = 0x500, 0x16


class PciVga(PciFunction):
    """The adapter `vga`, and its place on PCI."""

    name = "pci-vga"
    vendor_id, device_id, revision = 0x1234, 0x1111, 2
    class_code = 0x030000
    subsystem = (0x1AF4, 0x1100)
    state = fields(**PciFunction.state, vga=PART)

    def __init__(self, bus: Bus, device: int, memory_bytes: int = MEMORY_BYTES) -> None:
        super().__init__(bus, device)
        self.vga = Vga(bus, memory_bytes, frame_buffer=None)
        self.add_bar(MemoryBar(0, self.vga.windows.memory))
        self.add_bar(RegisterBar(2, REGISTER_BYTES, self))

    def reset(self) -> None:
        super().reset()
        self.vga.reset()

    def read_memory(self, offset: int, size: int) -> int:
        """BAR 2; ones where it has no register."""
        if offset >= PORTS_AT and offset + size <= PORTS_AT + PORTS:
            return self.bus.read_port(offset - PORTS_AT + FIRST_PORT, size)
        if VBE_AT <= offset < VBE_AT + VBE_BYTES and size == 2 and not offset & 1:
            return self.vga.vbe.read(offset - VBE_AT >> 1)
        return (1 << 8 * size) - 1

    def write_memory(self, offset: int, size: int, value: int) -> None:
        """The same."""
        if offset >= PORTS_AT and offset + size <= PORTS_AT + PORTS:
            self.bus.write_port(offset - PORTS_AT + FIRST_PORT, size, value)
        elif VBE_AT <= offset < VBE_AT + VBE_BYTES and size == 2 and not offset & 1:
            self.vga.vbe.write(offset - VBE_AT >> 1, value)

"""Read-only memory of the guest's: between A0000 and FFFFF, and firmware at the top of 4 GiB.

    machine.roms.add(0xC8000, image)      an expansion ROM
    machine.load_rom(bios)                firmware, and RESET

A region of the physical map (monitor/vmm/physical_map.py) in frames that the interpreter lets
nobody write (FRAME_ROM): it is read and executed at full speed, on every path, and what the guest
writes there vanishes without a fault, as on a PC's bus. That holds for the processor's own writes
too: accessed bits of page tables in ROM stay as they are.

Firmware ends at FFFFF and, as a PC's chipset decodes it, once more at FFFFFFFF, where the first
instruction after RESET is fetched: physical FFFFFFF0 and FFFF0 are the same bytes.
"""

from __future__ import annotations

from devices.bus import Bus
from monitor.vmm.errors import UserError
from monitor.vmm.memory import PAGE
from monitor.vmm.physical_map import HOLE, TOP, PhysicalMap

ERASED = b"\xff"


class Roms:
    """The ROMs of one machine; what was put in stays, but may be programmed anew."""

    def __init__(self, physical_map: PhysicalMap, bus: Bus) -> None:
        self._map = physical_map
        self._bus = bus

    @property
    def ranges(self) -> tuple[range, ...]:
        """Physical addresses that are ROM, the second place of firmware not among them."""
        return self._map.roms

    @property
    def firmware_size(self) -> int:
        """Bytes of the firmware that appears a second time at the top of 4 GiB."""
        return len(self._map.firmware)

    def restore(self, ranges: list[tuple[int, int]], firmware: int) -> None:
        """These ROMs (address and size) are there, their bytes in place. UserError: that cannot be.

        For a machine without ROMs.
        """
        for address, size in ranges:
            if size == 0 or size % PAGE or not HOLE.start <= address <= HOLE.stop - size:
                raise UserError(f"a ROM at {address:#x}, {size:#x} bytes")
            self.add(address, self._map.array(address, size).tobytes())
        if firmware:
            if firmware % PAGE or not 0 < firmware <= len(HOLE):
                raise UserError(f"firmware of {firmware} bytes")
            self.add_firmware(self._map.array(HOLE.stop - firmware, firmware).tobytes())

    def add(self, address: int, data: bytes) -> None:
        """Bytes at a physical address from 0xA0000 to 0xFFFFF, a multiple of 4096.

        The rest of the last page reads as ones. Exactly the place of a ROM that is there programs
        that one anew. UserError: elsewhere, or a part of it is another ROM's or a device's.
        """
        size = -(-len(data) // PAGE) * PAGE
        place = range(address, address + size)
        if not data or address % PAGE or address < HOLE.start or place.stop > HOLE.stop:
            raise UserError(
                f"a ROM of {len(data)} bytes at {address:#x}: it needs bytes, and a place from "
                "0xa0000 to 0xfffff that begins at a multiple of 0x1000"
            )
        if place not in self._map.roms:
            self._map.check_free(place, f"a ROM at {address:#x}, {size:#x} bytes")
            if self._bus.memory_in(address, size):
                raise UserError(f"a ROM at {address:#x}, {size:#x} bytes: a device answers there")
        self._map.add_rom(place, data + ERASED * (size - len(data)))

    def add_firmware(self, data: bytes) -> None:
        """Bytes that end at FFFFF, and once more at FFFFFFFF; 384 KiB at most.

        An image that does not fill its first page has ones before it. UserError: as for add(), and
        for firmware of another size than the first.
        """
        size = -(-len(data) // PAGE) * PAGE
        if not data or size > len(HOLE):
            raise UserError(
                f"firmware of {len(data)} bytes: it needs bytes, and no more than "
                f"{len(HOLE)} fit below 1 MiB"
            )
        there = self._map.firmware
        if there and len(there) != size:
            raise UserError(f"firmware of {len(there)} bytes is there already: make it fit")
        if self._bus.memory_in(TOP - size, size):
            raise UserError("a device answers at the top of 4 GiB, where firmware has to begin")
        self.add(HOLE.stop - size, ERASED * (size - len(data)) + data)
        self._map.show_firmware(size)

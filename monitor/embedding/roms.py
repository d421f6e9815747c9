"""Read-only memory of the guest's: between A0000 and FFFFF, and firmware at the top of 4 GiB.

    machine.roms.add(0xC8000, image)      an expansion ROM
    machine.load_rom(bios)                firmware, and RESET

The bytes lie in the machine's memory where they appear, in frames that the interpreter lets nobody
write (FRAME_ROM): they are read and executed at full speed, on every path, and what the guest
writes there vanishes without a fault, as on a PC's bus. That holds for the processor's own writes
too: accessed bits of page tables in ROM stay as they are.

Firmware ends at FFFFF and, as a PC's chipset decodes it, once more at FFFFFFFF, where the first
instruction after RESET is fetched: physical FFFFFFF0 and FFFF0 are the same bytes.
"""

from __future__ import annotations

from bt.engine import Ram
from devices.bus import Bus
from monitor.vmm.errors import UserError
from monitor.vmm.memory import HOLE_END, HOLE_START, PAGE, GuestMemory
from monitor.vmm.processor import Processor

TOP = 1 << 32
ERASED = b"\xff"


class Roms:
    """The ROMs of one machine; what was put in stays, but may be programmed anew."""

    def __init__(self, ram: Ram, memory: GuestMemory, processor: Processor, bus: Bus) -> None:
        self._ram = ram
        self._memory = memory
        self._processor = processor
        self._bus = bus
        self._ranges: list[range] = []
        self._window = range(TOP, TOP)

    @property
    def ranges(self) -> tuple[range, ...]:
        """Physical addresses that are ROM, the second place of firmware not among them."""
        return tuple(self._ranges)

    @property
    def firmware_size(self) -> int:
        """Bytes of the firmware that appears a second time at the top of 4 GiB."""
        return len(self._window)

    def restore(self, ranges: list[tuple[int, int]], firmware: int) -> None:
        """These ROMs (address and size) are there, their bytes in place. UserError: that cannot be.

        For a machine without ROMs.
        """
        for address, size in ranges:
            if size == 0 or size % PAGE or address + size > HOLE_END:
                raise UserError(f"a ROM at {address:#x}, {size:#x} bytes")
            self.add(address, self._memory.read(address, size))
        if firmware:
            if firmware % PAGE or not 0 < firmware <= HOLE_END - HOLE_START:
                raise UserError(f"firmware of {firmware} bytes")
            self.add_firmware(self._memory.read(HOLE_END - firmware, firmware))

    def add(self, address: int, data: bytes) -> None:
        """Bytes at a physical address from 0xA0000 to 0xFFFFF, a multiple of 4096.

        The rest of the last page reads as ones. Exactly the place of a ROM that is there programs
        that one anew. UserError: elsewhere, or a part of it is another ROM's or a device's.
        """
        size = -(-len(data) // PAGE) * PAGE
        place = range(address, address + size)
        if not data or address % PAGE or address < HOLE_START or place.stop > HOLE_END:
            raise UserError(
                f"a ROM of {len(data)} bytes at {address:#x}: it needs bytes, and a place from "
                "0xa0000 to 0xfffff that begins at a multiple of 0x1000"
            )
        if place not in self._ranges:
            self.check_free(address, size)
            if self._bus.memory_in(address, size):
                raise UserError(f"a ROM at {address:#x}, {size:#x} bytes: a device answers there")
            self._ranges.append(place)
        self._memory.write(address, data + ERASED * (size - len(data)))
        self._ram.set_rom(address // PAGE, size // PAGE)
        self._changed(place)

    def add_firmware(self, data: bytes) -> None:
        """Bytes that end at FFFFF, and once more at FFFFFFFF; 384 KiB at most.

        An image that does not fill its first page has ones before it. UserError: as for add(), and
        for firmware of another size than the first.
        """
        size = -(-len(data) // PAGE) * PAGE
        if not data or size > HOLE_END - HOLE_START:
            raise UserError(
                f"firmware of {len(data)} bytes: it needs bytes, and no more than "
                f"{HOLE_END - HOLE_START} fit below 1 MiB"
            )
        if self._window and len(self._window) != size:
            raise UserError(f"firmware of {len(self._window)} bytes is there already: make it fit")
        if self._bus.memory_in(TOP - size, size):
            raise UserError("a device answers at the top of 4 GiB, where firmware has to begin")
        self.add(HOLE_END - size, ERASED * (size - len(data)) + data)
        self._window = range(TOP - size, TOP)
        self._ram.set_window(TOP - size, HOLE_END - size)
        self._changed(range(0))

    def check_free(self, address: int, size: int) -> None:
        """UserError: a ROM lies in this range."""
        for taken in (*self._ranges, self._window):
            if taken and address < taken.stop and taken.start < address + size:
                raise UserError(
                    f"{size:#x} bytes at {address:#x}: a ROM is at {taken.start:#x} to "
                    f"{taken.stop - 1:#x} already"
                )

    def _changed(self, place: range) -> None:
        """Forget what was known of the bytes, and what was mapped there."""
        for at in range(place.start, place.stop, PAGE):
            self._processor.memory_changed(at, PAGE)
        self._processor.ideal.flush()
        self._processor.restarted()

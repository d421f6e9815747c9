"""Bus-master DMA of an IDE channel, as Intel's PIIX has it.

Manual: 82371FB/82371SB (PIIX/PIIX3), 2.5.15 "Bus master IDE registers"; Programming Interface for
Bus Master IDE Controller, revision 1.0.

    +0  command   bit 0 start, bit 3 to memory (the device reads)
    +2  status    bit 0 active, 1 error, 2 interrupt (1 clears both), 5 and 6 the drives can DMA
    +4  address of the table of physical regions: address, then bytes (0: 64 KiB) and, in bit 31,
        whether it is the last

The engine goes through the table as its drive has data. The table is the guest's, and so may be one
without an end, full of regions of two bytes, or no memory at all: a call reads a bounded number of
entries and the drive comes again, so time passes; and what is no memory reads as ones and takes
writes for nothing, as bus.memory has it.
"""

from __future__ import annotations

from collections.abc import Callable

from devices.bus import Bus
from devices.device import Chip
from devices.fields import BYTE, DWORD, FLAG, fields, number

COMMAND, STATUS, TABLE = 0, 2, 4
START, TO_MEMORY = 0x01, 0x08
ACTIVE, ERROR, INTERRUPT, CAPABLE = 0x01, 0x02, 0x04, 0x60
LAST_REGION = 0x80000000
SEGMENT = 0x10000  # regions and their table do not go beyond one
ENTRY = 8
MOST_ENTRIES = 256  # in one call


class BusMaster(Chip):
    """One channel's. `on_start` is called when the guest starts it."""

    name = "ide-bus-master"
    state = fields(
        command=BYTE,
        status=BYTE,
        table=DWORD,
        entry=DWORD,
        address=DWORD,
        left=number(0, SEGMENT),
        last=FLAG,
    )
    wiring = ("_memory", "allowed", "on_start")

    def __init__(self, bus: Bus) -> None:
        self._memory = bus.memory
        self.on_start: Callable[[], None] = _nobody
        #: May it reach memory? A PCI function's command register says so.
        self.allowed: Callable[[], bool] = _always
        self.reset()

    def reset(self) -> None:
        self.command = self.status = self.table = 0
        self.entry = self.address = self.left = 0
        self.last = False

    # --- its registers ------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        """1, 2 or 4 bytes at 0 to 7."""
        registers = bytes((self.command, 0, self.status, 0)) + self.table.to_bytes(4, "little")
        return int.from_bytes(registers[offset : offset + size].ljust(size, b"\0"), "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """The same."""
        for i in range(min(size, ENTRY - offset)):
            self._write_byte(offset + i, value >> 8 * i & 0xFF)

    def _write_byte(self, offset: int, value: int) -> None:
        if offset == COMMAND:
            self._write_command(value)
        elif offset == STATUS:
            kept = self.status & (ACTIVE | ERROR | INTERRUPT) & ~(value & (ERROR | INTERRUPT))
            self.status = kept | value & CAPABLE
        elif offset >= TABLE:
            shift = 8 * (offset - TABLE)
            self.table = (self.table & ~(0xFF << shift) | value << shift) & 0xFFFFFFFC

    def _write_command(self, value: int) -> None:
        started = value & ~self.command & START
        self.command = value & (START | TO_MEMORY)
        if not value & START:
            self.status &= ~ACTIVE
        elif started:
            self.status |= ACTIVE
            self.entry, self.left, self.last = self.table, 0, False
            self.on_start()

    # --- the drive's side ---------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Does it go through its table?"""
        return bool(self.status & ACTIVE)

    def interrupt(self) -> None:
        """The channel's interrupt line has gone up."""
        self.status |= INTERRUPT

    def to_memory(self, data: bytes | bytearray) -> int:
        """Bytes of the drive's into memory; how many went."""
        done = 0
        if self.command & TO_MEMORY:
            for address, size in self._regions(len(data)):
                self._memory.write(address, data[done : done + size])
                done += size
        return done

    def from_memory(self, most: int) -> bytes:
        """Bytes for the drive out of memory."""
        if self.command & TO_MEMORY:
            return b""
        return b"".join(self._memory.read(*region) for region in self._regions(most))

    def _regions(self, most: int) -> list[tuple[int, int]]:
        """Addresses and sizes for the next bytes, and the table has been gone through so far."""
        found = []
        for _ in range(MOST_ENTRIES):
            if not most or not self.active or not self.allowed():
                break
            if not self.left:
                self._next_entry()
            size = min(most, self.left)
            found.append((self.address, size))
            self.address = self.address + size & 0xFFFFFFFF
            self.left -= size
            most -= size
            if not self.left and self.last:
                self.status &= ~ACTIVE
        return found

    def _next_entry(self) -> None:
        entry = self._memory.read(self.entry, ENTRY)
        self.address = int.from_bytes(entry[:4], "little") & ~1
        size = int.from_bytes(entry[4:], "little")
        self.left = size & 0xFFFE or SEGMENT
        self.last = bool(size & LAST_REGION)
        self.entry = self.entry & ~(SEGMENT - 1) | self.entry + ENTRY & SEGMENT - 1


class BusMasterPorts:
    """The 16 ports of both channels' engines, wherever a base address register puts them."""

    name = "ide-bus-masters"

    def __init__(self, primary: BusMaster, secondary: BusMaster) -> None:
        self._masters = primary, secondary

    def port_widths(self, offset: int) -> tuple[int, ...]:
        """A double word is one access only where it is aligned."""
        return tuple(size for size in (1, 2, 4) if offset % size == 0)

    def read_port(self, offset: int, size: int) -> int:
        """IN."""
        return self._masters[offset >> 3].read(offset & 7, size)

    def write_port(self, offset: int, size: int, value: int) -> None:
        """OUT."""
        self._masters[offset >> 3].write(offset & 7, size, value)


def _always() -> bool:
    """On a board without PCI."""
    return True


def _nobody() -> None:
    """A channel without drives."""

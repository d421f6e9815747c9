"""The VGA's memory as its processor side has it: four planes, latches, write modes.

Manual: IBM VGA Technical Reference, "Display memory" and "Graphics controller registers"; FreeVGA,
"Accessing the VGA Display Memory".

An address of the planes has a byte in each of the four: a *cell* of 32 bits, plane 0 in its lowest
byte. What the processor's address A means depends on three switches:

    chain 4     plane A mod 4, address A with its two lowest bits cleared
    odd/even    even A plane 0 (or 2), odd A plane 1 (or 3), address A with its lowest bit cleared
    otherwise   address A, all planes: Map Mask and Read Map Select say which

A read fills the latches with the cell. A write makes a new cell from the byte, the latches and the
write mode:

    0  the byte, rotated; planes of Enable Set/Reset get Set/Reset; logical operation; bit mask
    1  the latches
    2  the byte's lowest four bits are the colour; logical operation; bit mask
    3  Set/Reset is the colour; the byte, rotated, and the bit mask are the bit mask

**How cells lie in memory.** Cells whose address is a multiple of four come first, then those with
remainder 1, and so on (`cell_of`). So the 64 KiB that chain 4 reaches lie in a row, as the guest
sees them, and in mode 13h it writes the adapter's memory itself (windows.py).

>>> [cell_of(address) for address in (0, 4, 1, 0xFFFC, 0xFFFF, 0x10000)]
[0, 1, 16384, 16383, 65535, 65536]
"""

from __future__ import annotations

from devices.device import Chip
from devices.fields import DWORD, fields
from devices.own_memory import OwnMemory
from devices.video.graphics import (
    BIT_MASK,
    CHAIN_ODD_EVEN,
    COLOR_COMPARE,
    COLOR_DONT_CARE,
    DATA_ROTATE,
    ENABLE_SET_RESET,
    HOST_ODD_EVEN,
    MISCELLANEOUS,
    MODE,
    READ_MAP_SELECT,
    READ_MODE,
    SET_RESET,
    WRITE_MODE,
    GraphicsController,
)
from devices.video.sequencer import CHAIN_4, MAP_MASK, MEMORY_MODE, SEQUENTIAL, Sequencer

ADDRESSES = 0x10000  # of the planes of a VGA
CELL = 4  # bytes
M32 = 0xFFFFFFFF
#: A bit for each plane as a byte for each.
PLANES = tuple(sum(0xFF << 8 * plane for plane in range(4) if bits >> plane & 1)
               for bits in range(16))  # fmt: skip
EVERY_BYTE = 0x01010101


def cell_of(address: int) -> int:
    """Where the cell of an address of the planes lies, in cells."""
    return address & ~0xFFFF | (address & 3) << 14 | (address & 0xFFFF) >> 2


class Planes(Chip):
    """The processor's way to `memory`. `bank` is added to its addresses: VBE's, with planes."""

    name = "vga planes"
    state = fields(latches=DWORD, bank=DWORD)
    wiring = ("memory", "_cells", "_count", "_sequencer", "_graphics")

    def __init__(
        self, memory: OwnMemory, sequencer: Sequencer, graphics: GraphicsController
    ) -> None:
        self.memory = memory
        self._cells = memory.bytes.data.cast("I")
        self._count = len(self._cells)
        self._sequencer = sequencer
        self._graphics = graphics
        self.reset()

    def reset(self) -> None:
        """The RESET pin. Memory keeps its bytes."""
        self.latches = self.bank = 0

    def latch(self) -> int:
        """What the latch of Read Map Select's plane holds."""
        return self.latches >> 8 * self._graphics.registers[READ_MAP_SELECT] & 0xFF

    # An access; `at` is the offset in the window that the processor sees

    def read(self, at: int) -> int:
        """A byte: of a plane, or where the colour is the one that is looked for."""
        graphics = self._graphics.registers
        cell = self.latches = self._cells[self._cell(at)]
        if graphics[MODE] & READ_MODE:
            return self._compare(cell)
        if self._sequencer.registers[MEMORY_MODE] & CHAIN_4:
            plane = at & 3
        elif graphics[MODE] & HOST_ODD_EVEN:
            plane = graphics[READ_MAP_SELECT] & 2 | at & 1
        else:
            plane = graphics[READ_MAP_SELECT]
        return cell >> 8 * plane & 0xFF

    def write(self, at: int, value: int) -> None:
        """A byte into the planes of Map Mask, as the write mode has it."""
        sequencer = self._sequencer.registers
        mask = sequencer[MAP_MASK]
        if sequencer[MEMORY_MODE] & CHAIN_4:
            mask &= 1 << (at & 3)
        elif not sequencer[MEMORY_MODE] & SEQUENTIAL:
            mask &= 0b1010 if at & 1 else 0b0101
        if mask:
            cell, planes = self._cell(at), PLANES[mask]
            self._cells[cell] = self._cells[cell] & ~planes | self._compose(value) & planes
            self.memory.stored(CELL * cell, CELL)

    def _cell(self, at: int) -> int:
        if self._sequencer.registers[MEMORY_MODE] & CHAIN_4:
            address = at & 0xFFFC
        elif self._graphics.registers[MISCELLANEOUS] & CHAIN_ODD_EVEN:
            address = at & 0xFFFE | at >> 16 & 1
        else:
            address = at & 0xFFFF
        return cell_of(address + self.bank) % self._count

    def _compare(self, cell: int) -> int:
        """Read mode 1: ones where the planes that matter hold the colour."""
        graphics = self._graphics.registers
        differ = (cell ^ PLANES[graphics[COLOR_COMPARE]]) & PLANES[graphics[COLOR_DONT_CARE]]
        differ |= differ >> 16
        return ~(differ | differ >> 8) & 0xFF

    def _compose(self, value: int) -> int:
        """The new cell, by write mode."""
        graphics = self._graphics.registers
        mode = graphics[MODE] & WRITE_MODE
        if mode == 1:
            return self.latches
        bits = graphics[BIT_MASK]
        if mode == 2:
            cell = PLANES[value & 0xF]
        else:
            value = _rotated(value, graphics[DATA_ROTATE] & 7)
            if mode == 3:
                bits &= value
                cell = PLANES[graphics[SET_RESET]]
            else:
                cell, set_reset = value * EVERY_BYTE, PLANES[graphics[ENABLE_SET_RESET]]
                cell = cell & ~set_reset | PLANES[graphics[SET_RESET]] & set_reset
        cell = self._combine(cell, graphics[DATA_ROTATE] >> 3)
        mask = bits * EVERY_BYTE
        return cell & mask | self.latches & ~mask & M32

    def _combine(self, cell: int, operation: int) -> int:
        """The logical operation with the latches."""
        if operation == 1:
            return cell & self.latches
        if operation == 2:
            return cell | self.latches
        return cell ^ self.latches if operation == 3 else cell


def _rotated(value: int, count: int) -> int:
    """A byte rotated to the right."""
    return (value >> count | value << 8 - count) & 0xFF

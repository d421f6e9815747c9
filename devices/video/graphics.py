"""The VGA's graphics controller, ports 3CEh and 3CFh: what happens to a byte on its way to memory.

Manual: IBM VGA Technical Reference, "Graphics controller registers"; FreeVGA, "Graphics Registers".

    00  Set/Reset             a colour: what planes get that are set/reset
    01  Enable Set/Reset      which planes those are, in write mode 0
    02  Color Compare         the colour that read mode 1 looks for
    03  Data Rotate           Logical Operation with the latches, Rotate Count
    04  Read Map Select       the plane that read mode 0 reads
    05  Graphics Mode         Shift, Host Odd/Even, Read Mode, Write Mode
    06  Miscellaneous         Memory Map Select, Chain Odd/Even, Graphics or text
    07  Color Don't Care      the planes that read mode 1 looks at
    08  Bit Mask              bits that come from the processor; the others from the latches

What they do is in planes.py.
"""

from __future__ import annotations

from devices.fields import BYTE, fields, sequence
from devices.video.part import IndexedPart

(SET_RESET, ENABLE_SET_RESET, COLOR_COMPARE, DATA_ROTATE, READ_MAP_SELECT, MODE, MISCELLANEOUS,
 COLOR_DONT_CARE, BIT_MASK) = range(9)  # fmt: skip

WRITE_MODE = 0x03  # Mode
READ_MODE = 0x08
HOST_ODD_EVEN = 0x10
SHIFT_INTERLEAVE = 0x20  # the CGA's four colours
SHIFT_256 = 0x40
ALPHA_DISABLE = 0x01  # Miscellaneous: graphics
CHAIN_ODD_EVEN = 0x02


class GraphicsController(IndexedPart):
    """Nine registers."""

    name = "vga graphics controller"
    masks = (0x0F, 0x0F, 0x0F, 0x1F, 0x03, 0x7B, 0x0F, 0x0F, 0xFF)
    index_mask = 0x0F
    state = fields(index=BYTE, registers=sequence(BYTE, least=9, most=9))

    @property
    def memory_map(self) -> int:
        """Memory Map Select: 0 is A0000h and 128 KiB, 1 A0000h, 2 B0000h, 3 B8000h."""
        return self.registers[MISCELLANEOUS] >> 2 & 3

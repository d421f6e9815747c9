"""The VGA's attribute controller, ports 3C0h and 3C1h: pixels into indexes of the DAC.

Manual: IBM VGA Technical Reference, "Attribute controller registers"; FreeVGA, "Attribute
Controller Registers".

    00-0F  Palette                 six bits for each of 16 attributes
    10     Attribute Mode Control  graphics, mono, line graphics, blink, panning, 8-bit, P5/P4
    11     Overscan Color
    12     Color Plane Enable
    13     Horizontal Pixel Panning
    14     Color Select            bits 7 to 4 of the DAC's index

Index and data are written to the same port in turn; reading Input Status #1 makes the next write
an index. Bit 5 of the index, Palette Address Source, lets the display have the palette: without it
the screen has the overscan colour.
"""

from __future__ import annotations

from devices.fields import BYTE, FLAG, fields, sequence
from devices.video.part import ADDRESS, IndexedPart

MODE_CONTROL, OVERSCAN_COLOR, COLOR_PLANE_ENABLE, PIXEL_PANNING, COLOR_SELECT = range(0x10, 0x15)

GRAPHICS = 0x01  # Mode Control
LINE_GRAPHICS = 0x04  # the ninth dot of characters C0h to DFh is the eighth again
BLINK = 0x08
PANNING_COMPATIBLE = 0x20  # no panning below the line of Line Compare
EIGHT_BIT = 0x40  # 256 colours
P54_SELECT = 0x80  # Color Select has bits 5 and 4, too
PALETTE_ADDRESS_SOURCE = 0x20  # of the index


class AttributeController(IndexedPart):
    """21 registers. `at_data`: the next write is a register's."""

    name = "vga attribute controller"
    masks = (*(0x3F,) * 16, 0xEF, 0xFF, 0x3F, 0x0F, 0x0F)
    index_mask = 0x3F
    state = fields(index=BYTE, registers=sequence(BYTE, least=21, most=21), at_data=FLAG)

    def __init__(self) -> None:
        super().__init__()
        self.at_data = False

    def reset(self) -> None:
        super().reset()
        self.at_data = False

    @property
    def shows(self) -> bool:
        """Does the display have the palette?"""
        return bool(self.index & PALETTE_ADDRESS_SOURCE)

    def read_port(self, offset: int, size: int) -> int:
        if offset == ADDRESS:
            return self.index
        register = self.index & 0x1F
        return self.registers[register] if register < len(self.masks) else 0

    def write_port(self, offset: int, size: int, value: int) -> None:
        if offset != ADDRESS:
            return  # 3C1h is for reading
        register = self.index & 0x1F
        if not self.at_data:
            self.index = value & self.index_mask
        elif register < len(self.masks):
            self.registers[register] = value & self.masks[register]
        self.at_data = not self.at_data

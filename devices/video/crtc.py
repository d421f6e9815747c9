"""The VGA's CRT controller, ports 3D4h and 3D5h (3B4h and 3B5h): what is shown, and when.

Manual: IBM VGA Technical Reference, "CRT controller registers"; FreeVGA, "CRTC Registers".

    00 Horizontal Total        09 Maximum Scan Line     11 Vertical Retrace End, Protect
    01 End Horizontal Display  0A Cursor Start          12 Vertical Display End
    02 Start Horiz. Blanking   0B Cursor End            13 Offset
    03 End Horiz. Blanking     0C Start Address High    14 Underline Location
    04 Start Horiz. Retrace    0D Start Address Low     15 Start Vertical Blanking
    05 End Horizontal Retrace  0E Cursor Location High  16 End Vertical Blanking
    06 Vertical Total          0F Cursor Location Low   17 CRTC Mode Control
    07 Overflow                10 Vertical Retr. Start  18 Line Compare
    08 Preset Row Scan

Protect (11h, bit 7) keeps 00h to 07h as they are, but for the bit of Line Compare in 07h.
"""

from __future__ import annotations

from devices.fields import BYTE, fields, sequence
from devices.video.part import DATA, IndexedPart

(HORIZONTAL_TOTAL, END_HORIZONTAL_DISPLAY, START_HORIZONTAL_BLANKING, END_HORIZONTAL_BLANKING,
 START_HORIZONTAL_RETRACE, END_HORIZONTAL_RETRACE, VERTICAL_TOTAL, OVERFLOW, PRESET_ROW_SCAN,
 MAXIMUM_SCAN_LINE, CURSOR_START, CURSOR_END, START_ADDRESS_HIGH, START_ADDRESS_LOW,
 CURSOR_LOCATION_HIGH, CURSOR_LOCATION_LOW, VERTICAL_RETRACE_START, VERTICAL_RETRACE_END,
 VERTICAL_DISPLAY_END, OFFSET, UNDERLINE_LOCATION, START_VERTICAL_BLANKING, END_VERTICAL_BLANKING,
 MODE_CONTROL, LINE_COMPARE) = range(25)  # fmt: skip

SCAN_DOUBLING = 0x80  # Maximum Scan Line
CURSOR_DISABLE = 0x20  # Cursor Start
CLEAR_VERTICAL_INTERRUPT = 0x10  # Vertical Retrace End; 0 clears
PROTECT = 0x80
DOUBLEWORD = 0x40  # Underline Location
COUNT_BY_FOUR = 0x20
MAP_13, MAP_14 = 0x01, 0x02  # Mode Control: address bits that are not the row scan counter's
DIVIDE_SCAN_LINE_CLOCK = 0x04
COUNT_BY_TWO = 0x08
ADDRESS_WRAP = 0x20
BYTE_MODE = 0x40
SYNC_ENABLE = 0x80
LINE_COMPARE_8 = 0x10  # Overflow

MEMORY_LATCH = 0x22  # what the latch of the plane of Read Map Select holds; read by diagnostics


class CrtController(IndexedPart):
    """25 registers, and the numbers that are spread over several of them."""

    name = "vga crt controller"
    masks = (0xFF,) * 25
    index_mask = 0x3F
    state = fields(index=BYTE, registers=sequence(BYTE, least=25, most=25))

    def put(self, index: int, value: int) -> None:
        if index <= OVERFLOW and self.registers[VERTICAL_RETRACE_END] & PROTECT:
            if index != OVERFLOW:
                return
            value = self.registers[OVERFLOW] & ~LINE_COMPARE_8 | value & LINE_COMPARE_8
        self.registers[index] = value

    def is_at(self, offset: int, index: int) -> bool:
        """Does an access mean the register of this index?"""
        return offset == DATA and self.index == index

    def _ten_bits(self, low: int, bit_8: int, bit_9: int) -> int:
        overflow = self.registers[OVERFLOW]
        return self.registers[low] | (overflow >> bit_8 & 1) << 8 | (overflow >> bit_9 & 1) << 9

    @property
    def total_characters(self) -> int:
        """Character clocks of a scan line."""
        return self.registers[HORIZONTAL_TOTAL] + 5

    @property
    def shown_characters(self) -> int:
        """Of these, the ones that are shown."""
        return min(self.registers[END_HORIZONTAL_DISPLAY] + 1, self.total_characters)

    @property
    def total_lines(self) -> int:
        """Scan lines of a frame."""
        return self._ten_bits(VERTICAL_TOTAL, 0, 5) + 2

    @property
    def shown_lines(self) -> int:
        """Of these, the ones that are shown."""
        return min(self._ten_bits(VERTICAL_DISPLAY_END, 1, 6) + 1, self.total_lines)

    @property
    def sync_line(self) -> int:
        """The scan line on which vertical retrace begins."""
        return self._ten_bits(VERTICAL_RETRACE_START, 2, 7)

    @property
    def sync_lines(self) -> int:
        """How many it lasts, 1 to 16: its end is told by four bits."""
        return (self.registers[VERTICAL_RETRACE_END] - self.sync_line & 15) or 16

    @property
    def line_compare(self) -> int:
        """The last scan line before the display goes on from address 0."""
        ninth = self.registers[MAXIMUM_SCAN_LINE] >> 6 & 1
        return (self.registers[LINE_COMPARE] | (self.registers[OVERFLOW] >> 4 & 1) << 8
                | ninth << 9)  # fmt: skip

    @property
    def start_address(self) -> int:
        """Of the first character, in counts of the memory address counter."""
        return self.registers[START_ADDRESS_HIGH] << 8 | self.registers[START_ADDRESS_LOW]

    @property
    def cursor_location(self) -> int:
        """In the same counts."""
        return self.registers[CURSOR_LOCATION_HIGH] << 8 | self.registers[CURSOR_LOCATION_LOW]

    @property
    def row_scans(self) -> int:
        """Scan lines of a row, before doubling."""
        return (self.registers[MAXIMUM_SCAN_LINE] & 0x1F) + 1

"""The VGA's digital to analog converter, ports 3C6h to 3C9h: 256 colours.

Manual: IBM VGA Technical Reference, "Video digital-to-analog converter"; FreeVGA, "Color
Registers".

    3C6  PEL Mask             is ANDed to each pixel's index
    3C7  Address Read Mode    written: the colour that is read next; read: DAC State
    3C8  Address Write Mode   the colour that is written next
    3C9  Data                 red, green, blue, and on to the next colour

A colour is taken over with its third byte. It has six bits for each of the three; eight while the
VBE extensions say so.
"""

from __future__ import annotations

from devices.device import Chip
from devices.fields import BYTE, FLAG, choice, fields, hex_bytes, number, sequence

MASK, READ_ADDRESS, WRITE_ADDRESS, DATA = range(4)
STATE_WRITE, STATE_READ = 0, 3
COLOURS = 256


class Dac(Chip):
    """`colours` are 256 times red, green and blue. `wide`: all eight bits of them count."""

    name = "vga dac"
    state = fields(mask=BYTE, read_address=BYTE, write_address=BYTE, part=number(0, 2),
                   mode=choice((STATE_WRITE, STATE_READ)), taken=sequence(BYTE, least=3, most=3),
                   wide=FLAG, colours=hex_bytes(3 * COLOURS))  # fmt: skip

    def __init__(self) -> None:
        self.colours = bytearray(3 * COLOURS)
        self.reset()

    def reset(self) -> None:
        """The RESET pin."""
        self.mask = 0xFF
        self.read_address = self.write_address = self.part = 0
        self.mode = STATE_WRITE
        self.taken = [0, 0, 0]
        self.wide = False
        self.colours[:] = bytes(3 * COLOURS)

    def contradiction(self, state: object) -> str | None:
        """All 256 colours have to be there."""
        assert isinstance(state, dict)
        return None if len(state["colours"]) == 6 * COLOURS else "it has not 256 colours"

    def read_port(self, offset: int, size: int) -> int:
        """3C6h to 3C9h as 0 to 3."""
        if offset == MASK:
            return self.mask
        if offset == READ_ADDRESS:
            return self.mode
        if offset == WRITE_ADDRESS:
            return self.write_address
        value = self.colours[3 * self.read_address + self.part]
        self.part = (self.part + 1) % 3
        if self.part == 0:
            self.read_address = self.read_address + 1 & 0xFF
        return value

    def write_port(self, offset: int, size: int, value: int) -> None:
        """The same."""
        if offset == MASK:
            self.mask = value
        elif offset == READ_ADDRESS:
            self.read_address, self.part, self.mode = value, 0, STATE_READ
        elif offset == WRITE_ADDRESS:
            self.write_address, self.part, self.mode = value, 0, STATE_WRITE
        else:
            self._take(value if self.wide else value & 0x3F)

    def _take(self, value: int) -> None:
        self.taken[self.part] = value
        self.part = (self.part + 1) % 3
        if self.part == 0:
            at = 3 * self.write_address
            self.colours[at : at + 3] = bytes(self.taken)
            self.write_address = self.write_address + 1 & 0xFF

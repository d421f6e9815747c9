"""The Bochs VBE extensions, ports 1CEh and 1CFh: true colour, big screens, a linear frame buffer.

Manual: Bochs, "VBE Display API" (docs of its VGA BIOS); QEMU, docs/specs/standard-vga.

    0 ID             B0C0 to B0C5: as which version the adapter shall behave, kept as written
    1 XRES  2 YRES  3 BPP          of the next mode; taken while there is none
    4 ENABLE         1 a mode, 2 capabilities, 20 eight bits of colour, 40 linear, 80 keep memory
    5 BANK           which 64 KiB are at A0000
    6 VIRT_WIDTH     pixels of a line in memory        8 X_OFFSET, 9 Y_OFFSET   what is shown first
    7 VIRT_HEIGHT    lines that fit into memory        A  memory in units of 64 KiB

Registers are words. A mode has 4 bits to a pixel (four planes), 8, 15, 16, 24 or 32. A value that
no mode has is not taken. With CAPABILITIES, XRES, YRES and BPP read the most there can be.
"""

from __future__ import annotations

from collections.abc import Callable

from devices.device import Chip
from devices.fields import WORD, choice, fields, number

(ID, XRES, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET,
 VIDEO_MEMORY) = range(11)  # fmt: skip

ENABLED = 0x01
CAPABILITIES = 0x02
EIGHT_BIT_DAC = 0x20
LINEAR = 0x40
KEEP_MEMORY = 0x80
FLAGS = ENABLED | CAPABILITIES | EIGHT_BIT_DAC | LINEAR | KEEP_MEMORY

FIRST_ID, LAST_ID = 0xB0C0, 0xB0C5
DEPTHS = (4, 8, 15, 16, 24, 32)
MOST_X, MOST_Y, MOST_BPP = 2560, 1600, 32
UNIT = 0x10000


def _nothing(clears: bool) -> None:
    pass


class VbeExtensions(Chip):
    """`memory` is the adapter's, in bytes. `on_mode` is called when a mode begins or ends;

    it is told whether memory is to be cleared.
    """

    name = "vga vbe extensions"
    state = fields(index=WORD, id=number(FIRST_ID, LAST_ID), xres=number(1, MOST_X),
                   yres=number(1, MOST_Y), bpp=choice(DEPTHS), enable=WORD, bank=WORD,
                   virt_width=number(1, 0xFFFF), x_offset=WORD, y_offset=WORD)  # fmt: skip
    wiring = ("memory", "on_mode")

    def __init__(self, memory: int, on_mode: Callable[[bool], None] = _nothing) -> None:
        self.memory = memory
        self.on_mode = on_mode
        self.reset()

    def reset(self) -> None:
        """The RESET pin."""
        self.index = self.enable = self.bank = self.x_offset = self.y_offset = 0
        self.id = LAST_ID
        self.xres, self.yres, self.bpp, self.virt_width = 640, 480, 8, 640

    # What there is

    @property
    def enabled(self) -> bool:
        """Is there a mode of VBE's?"""
        return bool(self.enable & ENABLED)

    @property
    def planar(self) -> bool:
        """Is it one of four planes?"""
        return self.enabled and self.bpp == 4

    @property
    def packed(self) -> bool:
        """Or one whose pixels lie one behind the other?"""
        return self.enabled and self.bpp != 4

    @property
    def line_bytes(self) -> int:
        """From a line to the next, in memory; with planes, in each."""
        return self.line_of(self.virt_width)

    def line_of(self, width: int) -> int:
        """The same for another width."""
        return (width + 7) // 8 if self.bpp == 4 else width * ((self.bpp + 7) // 8)

    @property
    def virt_height(self) -> int:
        """Lines that fit into memory."""
        memory = self.memory // 4 if self.bpp == 4 else self.memory
        return min(memory // self.line_bytes, 0xFFFF)

    # Ports

    def port_widths(self, offset: int) -> tuple[int, ...]:
        """Words."""
        return (2,)

    def read_port(self, offset: int, size: int) -> int:
        """The index at 1CEh; at 1CFh and at 1D0h, as others have it, the register."""
        return self.index if offset == 0 else self.read(self.index)

    def write_port(self, offset: int, size: int, value: int) -> None:
        """The same."""
        if offset == 0:
            self.index = value
        else:
            self.write(self.index, value)

    def read(self, index: int) -> int:
        """A register; 0 where there is none."""
        if self.enable & CAPABILITIES and index in (XRES, YRES, BPP):
            return {XRES: MOST_X, YRES: MOST_Y, BPP: MOST_BPP}[index]
        found = (self.id, self.xres, self.yres, self.bpp, self.enable, self.bank, self.virt_width,
                 self.virt_height, self.x_offset, self.y_offset, self.memory // UNIT)  # fmt: skip
        return found[index] if index < len(found) else 0

    def write(self, index: int, value: int) -> None:
        """A register gets 16 bits."""
        if index in (ID, XRES, YRES, BPP):
            self._describe(index, value)
        elif index == ENABLE:
            self._enable(value & FLAGS)
        elif index == BANK:
            self.bank = value
            self.on_mode(False)
        elif index == VIRT_WIDTH:
            self._widen(value)
        elif index == X_OFFSET:
            self.x_offset = value
        elif index == Y_OFFSET:
            self.y_offset = value

    def _describe(self, index: int, value: int) -> None:
        """The next mode, as long as there is none."""
        if index == ID:
            if FIRST_ID <= value <= LAST_ID:
                self.id = value
        elif self.enabled:
            return
        elif index == XRES and 1 <= value <= MOST_X:
            self.xres = value
        elif index == YRES and 1 <= value <= MOST_Y:
            self.yres = value
        elif index == BPP and (value or 8) in DEPTHS:
            self.bpp = value or 8

    def _enable(self, value: int) -> None:
        begins = value & ENABLED and not self.enabled
        self.enable = value
        if begins:
            self.virt_width = self.xres
            self.x_offset = self.y_offset = self.bank = 0
        elif not value & ENABLED:
            self.bank = 0
        self.on_mode(bool(begins and not value & KEEP_MEMORY))

    def _widen(self, value: int) -> None:
        """Lines may be longer than what is shown, as long as a screen of them fits."""
        memory = self.memory // 4 if self.bpp == 4 else self.memory
        if value >= self.xres and self.line_of(value) * self.yres <= memory:
            self.virt_width = value

"""A text screen as text: characters by the PC's code page, line by line, as they are shown.

>>> decode(bytes((0x48, 0x69, 0x21, 0x00, 0xC4, 0x03)))
'Hi! ─♥'
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from devices.video.crtc import CURSOR_DISABLE, CURSOR_END, CURSOR_START
from devices.video.vga import Vga
from monitor.screen.picture import is_text
from monitor.screen.scan import Numbers, addresses_of, counts_of, doubling, scan_lines

_LOW = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
#: Code page 437 as a PC's character generator has it.
CHARACTERS = (_LOW + bytes(range(0x20, 0x7F)).decode("ascii") + "⌂"
              + bytes(range(0x80, 0xFF)).decode("cp437") + " ")  # fmt: skip


def decode(codes: bytes) -> str:
    """Characters of the PC's as text."""
    return "".join(map(CHARACTERS.__getitem__, codes))


def characters(vga: Vga) -> npt.NDArray[np.uint16] | None:
    """Character and attribute (the high byte) by row and column; None in a graphics mode.

    From the start address on, and from the beginning again below the line of Line Compare. It does
    not matter whether the display is on.
    """
    if not is_text(vga):
        return None
    counts, scans = _rows(vga)
    cells = vga.windows.cells()[addresses_of(vga.crtc, counts, scans)]
    return (cells & 0xFFFF).astype(np.uint16)


def cursor(vga: Vga) -> tuple[int, int] | None:
    """Row and column of the cursor of a text mode, if it is to be seen."""
    registers = vga.crtc.registers
    start, end = registers[CURSOR_START], registers[CURSOR_END] & 0x1F
    if not is_text(vga) or start & CURSOR_DISABLE or start & 0x1F > end:
        return None
    found = np.argwhere(_rows(vga)[0] == vga.crtc.cursor_location)
    return (int(found[0][0]), int(found[0][1])) if len(found) else None


def _rows(vga: Vga) -> tuple[Numbers, Numbers]:
    """Counts of all characters by row and column, and the scan lines that rows begin with."""
    lines = scan_lines(vga.crtc, doubling(vga.crtc))
    first = lines.scans == 0
    first[:1] = True  # a row that begins above the screen's edge
    return counts_of(vga.crtc, lines, vga.crtc.shown_characters)[first], lines.scans[first]


def text_lines(vga: Vga) -> list[str]:
    """The rows of the screen, without the blanks at their ends; none in a graphics mode."""
    cells = characters(vga)
    if cells is None:
        return []
    return [decode(bytes(row.astype(np.uint8))).rstrip() for row in cells]

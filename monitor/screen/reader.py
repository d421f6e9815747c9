"""A text screen as text: characters by the PC's code page, line by line, as they are shown.

>>> decode(bytes((0x48, 0x69, 0x21, 0x00, 0xC4, 0x03)))
'Hi! ─♥'
"""

from __future__ import annotations

import numpy as np

from devices.video.vga import Vga
from monitor.screen.picture import is_text
from monitor.screen.scan import addresses_of, counts_of, doubling, scan_lines

_LOW = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
#: Code page 437 as a PC's character generator has it.
CHARACTERS = (_LOW + bytes(range(0x20, 0x7F)).decode("ascii") + "⌂"
              + bytes(range(0x80, 0xFF)).decode("cp437") + " ")  # fmt: skip


def decode(codes: bytes) -> str:
    """Characters of the PC's as text."""
    return "".join(map(CHARACTERS.__getitem__, codes))


def characters(vga: Vga) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]] | None:
    """Character and attribute (the high byte) by row and column; None in a graphics mode.

    From the start address on, and from the beginning again below the line of Line Compare. It does
    not matter whether the display is on.
    """
    if not is_text(vga):
        return None
    lines = scan_lines(vga.crtc, doubling(vga.crtc))
    first = lines.scans == 0
    first[:1] = True  # a row that begins above the screen's edge
    counts = counts_of(vga.crtc, lines, vga.crtc.shown_characters)[first]
    cells = vga.windows.cells()[addresses_of(vga.crtc, counts, lines.scans[first])]
    return (cells & 0xFFFF).astype(np.uint16)


def text_lines(vga: Vga) -> list[str]:
    """The rows of the screen, without the blanks at their ends; none in a graphics mode."""
    cells = characters(vga)
    if cells is None:
        return []
    return [decode(bytes(row.astype(np.uint8))).rstrip() for row in cells]

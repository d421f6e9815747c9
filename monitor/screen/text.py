"""Text modes of the VGA as pixels: characters of plane 0, attributes of plane 1, fonts of plane 2.

Manual: FreeVGA, "VGA Text Mode Operation"; IBM VGA Technical Reference, "Alphanumeric modes".

    attribute   bits 2 to 0 and 3 the character's colour, 6 to 4 the ground's; bit 7 blinks, or is
                the ground's, too; bit 3 chooses one of two fonts as well
    fonts       256 characters of 32 lines each, at one of eight places (Character Map Select)

Characters blink with a period of 32 frames, the cursor with one of 16.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from devices.video.attribute import BLINK, LINE_GRAPHICS, MODE_CONTROL, PIXEL_PANNING
from devices.video.crtc import (
    CURSOR_DISABLE,
    CURSOR_END,
    CURSOR_START,
    UNDERLINE_LOCATION,
)
from devices.video.sequencer import CHARACTER_MAP_SELECT, CLOCKING_MODE, EIGHT_DOTS
from devices.video.vga import Vga
from monitor.screen.colours import palette_colours
from monitor.screen.graphics import SPREAD, Pixels, lines_unpanned, panned
from monitor.screen.scan import (
    Lines,
    Numbers,
    addresses_of,
    counts_of,
    doubling,
    scan_lines,
)

Flags = npt.NDArray[np.bool_]
CURSOR_FRAMES, BLINK_FRAMES = 8, 16  # on, and off for as many
LINE_CHARACTERS = range(0xC0, 0xE0)
FONT_LINES = 32


class _Page(NamedTuple):
    """What is to be drawn, by line and column."""

    lines: Lines
    counts: Numbers
    characters: Numbers
    attributes: Numbers


def draw_text(vga: Vga) -> Pixels:
    """The picture: lines x pixels x 3."""
    columns = vga.crtc.shown_characters
    lines = scan_lines(vga.crtc, doubling(vga.crtc))
    counts = counts_of(vga.crtc, lines, columns + 1)  # one more, for panning
    memory = vga.windows.cells()
    cells = memory[addresses_of(vga.crtc, counts, lines.scans)]
    page = _Page(lines, counts, (cells & 0xFF).astype(np.int64),
                 (cells >> 8 & 0xFF).astype(np.int64))  # fmt: skip
    shapes, width = _shapes(vga, page, memory)
    pixels = _coloured(vga, page, shapes)
    shown = panned(pixels.reshape(len(pixels), -1), columns * width, _panning(vga, width),
                   lines_unpanned(vga.attribute.registers[MODE_CONTROL], lines.below))  # fmt: skip
    return np.take(palette_colours(vga.attribute, vga.dac), shown, axis=0)


def phases(vga: Vga) -> tuple[bool, bool]:
    """Do the cursor and blinking characters show at this moment?"""
    frame = vga.frame.number(vga.now)
    return not frame // CURSOR_FRAMES & 1, not frame // BLINK_FRAMES & 1


def fonts(vga: Vga, memory: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """Both fonts: that of attributes without bit 3, and with it; 2 x 256 x 32 bytes."""
    select = vga.sequencer.registers[CHARACTER_MAP_SELECT]
    plane = (memory >> 16).astype(np.uint8)
    found = []
    for low, high in ((select & 3, select >> 4 & 1), (select >> 2 & 3, select >> 5 & 1)):
        begin = low * 0x4000 + high * 0x2000
        found.append(plane[begin : begin + 256 * FONT_LINES].reshape(256, FONT_LINES))
    return np.stack(found)


def _shapes(vga: Vga, page: _Page, memory: npt.NDArray[np.uint32]) -> tuple[Pixels, int]:
    """Ones where a character is, by line, column and dot; and the dots of a character."""
    scans = page.lines.scans[:, None]
    rows = fonts(vga, memory)[page.attributes >> 3 & 1, page.characters, scans]
    rows[_underlined(vga, page)] = 0xFF
    dots = SPREAD[rows].view(np.uint8).reshape(*rows.shape, 8)
    if vga.sequencer.registers[CLOCKING_MODE] & EIGHT_DOTS:
        return dots, 8
    ninth = np.zeros((*rows.shape, 1), np.uint8)
    if vga.attribute.registers[MODE_CONTROL] & LINE_GRAPHICS:
        drawn = (page.characters >= LINE_CHARACTERS.start) & (
            page.characters < LINE_CHARACTERS.stop
        )
        ninth[..., 0] = dots[..., 7] & drawn
    return np.concatenate((dots, ninth), axis=2), 9


def _underlined(vga: Vga, page: _Page) -> Flags:
    line = vga.crtc.registers[UNDERLINE_LOCATION] & 0x1F
    return (page.attributes & 0x77 == 0x01) & (page.lines.scans == line)[:, None]


def _coloured(vga: Vga, page: _Page, shapes: Pixels) -> Pixels:
    """Pixels of 4 bits, by line, column and dot."""
    cursor_shows, blinking_shows = phases(vga)
    ink, ground = page.attributes & 0x0F, page.attributes >> 4
    seen = ink
    if vga.attribute.registers[MODE_CONTROL] & BLINK:
        ground = ground & 7
        if not blinking_shows:
            seen = np.where(page.attributes & 0x80, ground, ink)
    pixels = np.where(shapes, seen[..., None], ground[..., None]).astype(np.uint8)
    if cursor_shows:
        here = _cursor(vga, page)
        pixels[here] = ink[here][:, None]
    return pixels


def _cursor(vga: Vga, page: _Page) -> Flags:
    """Where the cursor is, by line and column."""
    start, end = (vga.crtc.registers[index] for index in (CURSOR_START, CURSOR_END))
    if start & CURSOR_DISABLE:
        return np.zeros(page.counts.shape, bool)
    scans = page.lines.scans
    lines = (scans >= start & 0x1F) & (scans <= end & 0x1F)
    return (page.counts == vga.crtc.cursor_location) & lines[:, None]


def _panning(vga: Vga, width: int) -> int:
    """Dots to the left; with nine of them, 8 is none."""
    value = vga.attribute.registers[PIXEL_PANNING]
    return value & 7 if width == 8 else (value + 1) % 9

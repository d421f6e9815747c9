"""What a VGA shows at this moment, as an array: lines x pixels x 3, red, green and blue.

A pixel is what the guest calls one: mode 13h has 320 x 200, though the display has each of them
four times. Lines of text are those of the display.
"""

from __future__ import annotations

import numpy as np

from devices.video.crtc import MODE_CONTROL as CRTC_MODE
from devices.video.crtc import SYNC_ENABLE
from devices.video.graphics import ALPHA_DISABLE, MISCELLANEOUS, MODE, SHIFT_256
from devices.video.sequencer import CLOCKING_MODE, EIGHT_DOTS, SCREEN_OFF
from devices.video.vga import Vga
from monitor.screen.graphics import Pixels, draw_graphics
from monitor.screen.linear import draw_linear
from monitor.screen.scan import doubling, repeats
from monitor.screen.text import draw_text


def picture(vga: Vga) -> Pixels:
    """The picture, a new array; all black while the display is off."""
    if is_off(vga):
        width, height = size(vga)
        return np.zeros((height, width, 3), np.uint8)
    if vga.vbe.enabled:
        return draw_linear(vga)
    return draw_text(vga) if is_text(vga) else draw_graphics(vga)


def is_text(vga: Vga) -> bool:
    """Is it a text mode?"""
    graphics = vga.graphics.registers[MISCELLANEOUS] & ALPHA_DISABLE
    return not (vga.vbe.enabled or graphics)


def is_off(vga: Vga) -> bool:
    """Is the display blank?"""
    if vga.vbe.enabled:
        return False
    screen_off = vga.sequencer.registers[CLOCKING_MODE] & SCREEN_OFF
    sync = vga.crtc.registers[CRTC_MODE] & SYNC_ENABLE
    return bool(screen_off or not sync or not vga.attribute.shows)


def size(vga: Vga) -> tuple[int, int]:
    """Width and height of the picture."""
    crtc = vga.crtc
    if vga.vbe.enabled:
        return vga.vbe.xres, vga.vbe.yres
    if is_text(vga):
        width = 8 if vga.sequencer.registers[CLOCKING_MODE] & EIGHT_DOTS else 9
        repeat = doubling(crtc)
    else:
        width = 4 if vga.graphics.registers[MODE] & SHIFT_256 else 8
        repeat = repeats(crtc)
    return width * crtc.shown_characters, -(-crtc.shown_lines // repeat)


def look(vga: Vga) -> tuple[object, ...]:
    """All that a picture depends on beside memory and the phase of what blinks."""
    return (
        *(bytes(part.registers) for part in (vga.sequencer, vga.crtc, vga.graphics, vga.attribute)),
        vga.attribute.index, vga.general.miscellaneous, vga.dac.mask, vga.dac.wide,
        bytes(vga.dac.colours),
        vga.vbe.enable, vga.vbe.xres, vga.vbe.yres, vga.vbe.bpp, vga.vbe.virt_width,
        vga.vbe.x_offset, vga.vbe.y_offset,
    )  # fmt: skip

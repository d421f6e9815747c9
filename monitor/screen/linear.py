"""Modes of VBE's as pixels: 4 bits in planes, 8 with the DAC, 15, 16, 24 and 32.

Manual: VESA BIOS Extension 2.0, "Direct color memory model": blue lies lowest.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from devices.video.vga import Vga
from monitor.screen.colours import dac_colours, palette_colours
from monitor.screen.graphics import Pixels, panned, planar


def draw_linear(vga: Vga) -> Pixels:
    """The picture: lines x pixels x 3."""
    vbe = vga.vbe
    if vbe.bpp == 4:
        return _draw_planes(vga)
    size = (vbe.bpp + 7) // 8
    start = vbe.y_offset * vbe.line_bytes + vbe.x_offset * size
    rows = _rows(vga.windows.memory.bytes, start, vbe.line_bytes, vbe.yres, vbe.xres * size)
    if vbe.bpp == 8:
        return np.take(dac_colours(vga.dac), rows, axis=0)
    if size == 2:
        return _sixteen(rows.view("<u2"), 6 if vbe.bpp == 16 else 5)
    return np.ascontiguousarray(rows.reshape(vbe.yres, vbe.xres, size)[..., 2::-1])


def _rows(memory: Pixels, start: int, step: int, count: int, size: int) -> Pixels:
    """`size` bytes of each of `count` lines; behind the end of memory comes its beginning."""
    start %= len(memory)
    end = start + (count - 1) * step + size
    if end <= len(memory):
        shape, strides = (count, size), (step, 1)
        return np.lib.stride_tricks.as_strided(memory[start:end], shape, strides).copy()
    at = start + step * np.arange(count)[:, None] + np.arange(size)
    return memory[at % len(memory)]


def _sixteen(pixels: npt.NDArray[np.uint16], green: int) -> Pixels:
    """Five bits of blue, five or six of green, five of red."""
    picture = np.empty((*pixels.shape, 3), np.uint8)
    for channel, shift, bits in ((0, 5 + green, 5), (1, 5, green), (2, 0, 5)):
        value = pixels >> shift & (1 << bits) - 1
        picture[..., channel] = value << 8 - bits | value >> 2 * bits - 8
    return picture


def _draw_planes(vga: Vga) -> Pixels:
    vbe, columns = vga.vbe, (vga.vbe.xres + 7) // 8
    cells = vga.windows.memory.bytes.view(np.uint32)
    start = vbe.y_offset * vbe.line_bytes + vbe.x_offset // 8
    addresses = start + vbe.line_bytes * np.arange(vbe.yres)[:, None] + np.arange(columns + 1)
    at = addresses & ~0xFFFF | (addresses & 3) << 14 | (addresses & 0xFFFF) >> 2
    pixels = panned(planar(cells[at % len(cells)]), vbe.xres, vbe.x_offset & 7, None)
    return np.take(palette_colours(vga.attribute, vga.dac), pixels, axis=0)

"""Graphics modes of the VGA: 256 colours, 16 of four planes, the CGA's four and two.

Manual: FreeVGA, "Graphics Registers" (Shift Register Interleave, 256-Color Shift Mode).

What a cell is: four pixels of 8 bits, one in each plane; or eight pixels, whose bits are the
planes'; or, interleaved, eight pixels of two bits, four in plane 0 and four in plane 1, with two
more bits from planes 2 and 3.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from devices.video.attribute import MODE_CONTROL as ATTRIBUTE_MODE
from devices.video.attribute import PANNING_COMPATIBLE, PIXEL_PANNING
from devices.video.graphics import MODE, SHIFT_256, SHIFT_INTERLEAVE
from devices.video.vga import Vga
from monitor.screen.colours import dac_colours, palette_colours
from monitor.screen.scan import addresses_of, counts_of, repeats, scan_lines

Pixels = npt.NDArray[np.uint8]
Cells = npt.NDArray[np.uint32]

_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
#: The eight bits of a byte as eight bytes, the highest first.
SPREAD = _BITS.view(np.uint64)[:, 0]
#: Its four pairs of bits as four bytes.
PAIRS = (_BITS[:, ::2] << 1 | _BITS[:, 1::2]).view(np.uint32)[:, 0]


def draw_graphics(vga: Vga) -> Pixels:
    """The picture: lines x pixels x 3."""
    lines = scan_lines(vga.crtc, repeats(vga.crtc))
    columns = vga.crtc.shown_characters
    counts = counts_of(vga.crtc, lines, columns + 1)  # one more, for panning
    cells = vga.windows.cells()[addresses_of(vga.crtc, counts, lines.scans)]
    mode, panning = vga.graphics.registers[MODE], vga.attribute.registers[PIXEL_PANNING] & 7
    if mode & SHIFT_256:
        pixels = cells.view(np.uint8)
        pixels = panned(pixels, 4 * columns, panning // 2, _unpanned(vga, lines.below))
        return np.take(dac_colours(vga.dac), pixels, axis=0)
    pixels = interleaved(cells) if mode & SHIFT_INTERLEAVE else planar(cells)
    pixels = panned(pixels, 8 * columns, panning, _unpanned(vga, lines.below))
    return np.take(palette_colours(vga.attribute, vga.dac), pixels, axis=0)


def planar(cells: Cells) -> Pixels:
    """Eight pixels of four bits to a cell."""
    planes = cells.view(np.uint8).reshape(*cells.shape, 4)
    spread = SPREAD[planes[..., 0]]
    for plane in (1, 2, 3):
        spread |= SPREAD[planes[..., plane]] << np.uint64(plane)
    return spread.view(np.uint8)


def interleaved(cells: Cells) -> Pixels:
    """Eight pixels of two bits, and two more, to a cell."""
    planes = cells.view(np.uint8).reshape(*cells.shape, 4)
    pairs = PAIRS[planes[..., :2]] | PAIRS[planes[..., 2:]] << np.uint32(2)
    return np.ascontiguousarray(pairs).view(np.uint8).reshape(len(cells), -1)


def panned(
    pixels: Pixels, width: int, panning: int, unpanned: npt.NDArray[np.bool_] | None
) -> Pixels:
    """So many pixels of each line, from the one on that panning says."""
    shown = pixels[:, panning : panning + width]
    if panning and unpanned is not None:
        return np.where(unpanned[:, None], pixels[:, :width], shown)
    return shown


def _unpanned(vga: Vga, below: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_] | None:
    return lines_unpanned(vga.attribute.registers[ATTRIBUTE_MODE], below)


def lines_unpanned(mode: int, below: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_] | None:
    """The lines in which panning is off: those below Line Compare, if the mode says so."""
    return below if mode & PANNING_COMPATIBLE else None

"""Which cells of the planes a frame shows: the CRT controller's counters, for all lines at once.

Manual: FreeVGA, "CRTC Registers" (Start Address, Offset, Preset Row Scan, Line Compare) and "VGA
Display Generation"; IBM VGA Technical Reference, CRTC Mode Control, on the memory address counter.

    count    of a character: start + row x 2 x offset + column
    address  in the planes: the count (byte mode), twice (word) or four times that (doubleword)

where Mode Control may put bits of the row scan counter into bits 13 and 14 of the address, which is
how the CGA's two banks of lines come about. Below the line of Line Compare everything begins anew
at count 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from devices.video.crtc import (
    ADDRESS_WRAP,
    BYTE_MODE,
    COUNT_BY_FOUR,
    COUNT_BY_TWO,
    DOUBLEWORD,
    MAP_13,
    MAP_14,
    MAXIMUM_SCAN_LINE,
    MODE_CONTROL,
    OFFSET,
    PRESET_ROW_SCAN,
    SCAN_DOUBLING,
    UNDERLINE_LOCATION,
    CrtController,
)

Numbers = npt.NDArray[np.int64]


class Lines(NamedTuple):
    """For each line that is drawn."""

    counts: Numbers  # of its first character
    scans: Numbers  # the line within its row
    below: npt.NDArray[np.bool_]  # the line of Line Compare


def scan_lines(crtc: CrtController, repeat: int) -> Lines:
    """All lines, each for `repeat` lines of the display that look the same."""
    at = np.arange(0, crtc.shown_lines, repeat, dtype=np.int64)
    preset = crtc.registers[PRESET_ROW_SCAN]
    below = at > crtc.line_compare
    lines = np.where(below, at - crtc.line_compare - 1, at) // doubling(crtc)
    lines += np.where(below, 0, preset & 0x1F)
    start = crtc.start_address + (preset >> 5 & 3)
    rows, scans = np.divmod(lines, crtc.row_scans)
    counts = np.where(below, 0, start) + rows * 2 * crtc.registers[OFFSET]
    return Lines(counts & 0xFFFF, scans, below)


def doubling(crtc: CrtController) -> int:
    """Lines of the display for each that is counted."""
    return 2 if crtc.registers[MAXIMUM_SCAN_LINE] & SCAN_DOUBLING else 1


def repeats(crtc: CrtController) -> int:
    """Lines of the display, in graphics, that look the same: a pixel's height."""
    own = MAP_13 | MAP_14
    rows_matter = crtc.registers[MODE_CONTROL] & own != own
    return doubling(crtc) * (1 if rows_matter else crtc.row_scans)


def counts_of(crtc: CrtController, lines: Lines, columns: int) -> Numbers:
    """The memory address counter, by line and column."""
    step = 1
    if crtc.registers[UNDERLINE_LOCATION] & COUNT_BY_FOUR:
        step = 4
    elif crtc.registers[MODE_CONTROL] & COUNT_BY_TWO:
        step = 2
    return lines.counts[:, None] + np.arange(columns, dtype=np.int64) // step & 0xFFFF


def addresses_of(crtc: CrtController, counts: Numbers, scans: Numbers) -> Numbers:
    """The addresses in the planes; `scans` has one dimension, the lines."""
    control = crtc.registers[MODE_CONTROL]
    if crtc.registers[UNDERLINE_LOCATION] & DOUBLEWORD:
        addresses = counts << 2 | counts >> 14
    elif control & BYTE_MODE:
        addresses = counts
    else:
        addresses = counts << 1 | counts >> (15 if control & ADDRESS_WRAP else 13) & 1
    for enabled, bit, scan in ((control & MAP_13, 13, 0), (control & MAP_14, 14, 1)):
        if not enabled:
            addresses = addresses & ~(1 << bit) | (scans >> scan & 1)[:, None] << bit
    return addresses & 0xFFFF

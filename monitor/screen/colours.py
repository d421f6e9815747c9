"""Colours: from pixels through the attribute controller and the DAC to red, green and blue.

Manual: FreeVGA, "Attribute Controller Registers" (Palette, Color Select) and "Color Registers".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from devices.video.attribute import (
    COLOR_PLANE_ENABLE,
    COLOR_SELECT,
    MODE_CONTROL,
    P54_SELECT,
    AttributeController,
)
from devices.video.dac import Dac

Colours = npt.NDArray[np.uint8]


def dac_colours(dac: Dac) -> Colours:
    """For each pixel of 8 bits, red, green and blue: 256 x 3."""
    colours: Colours = np.frombuffer(bytes(dac.colours), np.uint8).reshape(256, 3)
    if not dac.wide:
        colours = (colours << 2 | colours >> 4).astype(np.uint8)
    return colours[np.arange(256) & dac.mask]


def palette_colours(attribute: AttributeController, dac: Dac) -> Colours:
    """For each pixel of 4 bits: 16 x 3."""
    registers = attribute.registers
    pixels = np.arange(16) & registers[COLOR_PLANE_ENABLE] & 0xF
    indexes = np.array(registers[:16])[pixels]
    select = registers[COLOR_SELECT]
    if registers[MODE_CONTROL] & P54_SELECT:
        indexes = indexes & 0x0F | (select & 3) << 4
    indexes = indexes | (select & 0xC) << 4
    return dac_colours(dac)[indexes]

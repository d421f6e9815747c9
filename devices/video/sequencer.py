"""The VGA's sequencer, ports 3C4h and 3C5h: the dot clock, and which planes are written.

Manual: IBM VGA Technical Reference, "Sequencer registers"; FreeVGA, "Sequencer Registers".

    00  Reset                 stops memory and display on a real one; here it is kept
    01  Clocking Mode         9/8 Dot Mode, Dot Clock Rate, Screen Disable
    02  Map Mask              the planes that a write reaches
    03  Character Map Select  where in plane 2 the two fonts are
    04  Sequencer Memory Mode Extended Memory, Odd/Even Host Memory Disable, Chain 4 Enable
"""

from __future__ import annotations

from devices.fields import BYTE, fields, sequence
from devices.video.part import IndexedPart

RESET, CLOCKING_MODE, MAP_MASK, CHARACTER_MAP_SELECT, MEMORY_MODE = range(5)

EIGHT_DOTS = 0x01  # Clocking Mode: characters are 8 dots wide, not 9
HALF_CLOCK = 0x08
SCREEN_OFF = 0x20
SEQUENTIAL = 0x04  # Memory Mode: no odd/even
CHAIN_4 = 0x08


class Sequencer(IndexedPart):
    """Five registers."""

    name = "vga sequencer"
    masks = (0x03, 0x3D, 0x0F, 0x3F, 0x0E)
    index_mask = 0x07
    state = fields(index=BYTE, registers=sequence(BYTE, least=5, most=5))

"""The VGA's external registers: Miscellaneous Output, Feature Control, the two Input Status.

Manual: IBM VGA Technical Reference, "General registers"; FreeVGA, "External Registers".

    3C2 written, 3CC read     Miscellaneous Output: sync polarity, clock, RAM enable, 3Dx or 3Bx
    3DA written, 3CA read     Feature Control
    3C3                       Video Subsystem Enable
    3C2 read                  Input Status #0: vertical interrupt pending, switch sense
    3DA read                  Input Status #1: in vertical retrace, not showing

Page Select for Odd/Even (Miscellaneous Output, bit 5) is kept and does nothing: the documents
contradict each other about it, and no mode needs it.
"""

from __future__ import annotations

from devices.device import Chip
from devices.fields import BYTE, MOMENT, fields

IO_ADDRESS_SELECT = 0x01  # Miscellaneous Output: ports 3Dx, not 3Bx
RAM_ENABLE = 0x02
CLOCK_28_MHZ = 1  # of Clock Select, bits 3 and 2
VIDEO_ENABLE = 0x01  # Video Subsystem Enable

SWITCH_SENSE = 0x10  # Input Status #0
VERTICAL_INTERRUPT = 0x80
DISPLAY_DISABLED = 0x01  # Input Status #1
VERTICAL_RETRACE = 0x08


class GeneralRegisters(Chip):
    """`awaited_since`: when a vertical interrupt was last cleared."""

    name = "vga general registers"
    state = fields(miscellaneous=BYTE, feature=BYTE, enable=BYTE, awaited_since=MOMENT)

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The RESET pin."""
        self.miscellaneous = self.feature = 0
        self.enable = VIDEO_ENABLE
        self.awaited_since = 0

    @property
    def base(self) -> int:
        """Where the CRT controller's ports are: 3B0h or 3D0h."""
        return 0x3D0 if self.miscellaneous & IO_ADDRESS_SELECT else 0x3B0

    @property
    def clock_select(self) -> int:
        """0: 25 MHz, 1: 28 MHz."""
        return self.miscellaneous >> 2 & 3

    @property
    def decodes_memory(self) -> bool:
        """Does the processor reach the memory?"""
        return bool(self.miscellaneous & RAM_ENABLE and self.enable & VIDEO_ENABLE)

"""An MPU-401 in UART mode, as a Sound Blaster 16 has it: a MIDI port that nothing is plugged into.

Manual: Roland MPU-401 technical reference, "UART mode"; Sound Blaster Series Hardware Programming
Guide, chapter 5.

    330  data     331  status: 80 nothing to read, 40 not ready to be written; command

What is sent goes nowhere. A reset (FF) and UART mode (3F) are acknowledged with FE.
"""

from __future__ import annotations

from collections.abc import Callable

from devices.device import Chip
from devices.fields import FLAG, fields

RESET, UART, ACKNOWLEDGE = 0xFF, 0x3F, 0xFE
NOTHING, ALWAYS = 0x80, 0x3F


class Mpu401(Chip):
    """The port; `interrupt` is told whether there is something to read."""

    name = "mpu401"
    state = fields(uart=FLAG, answer=FLAG)
    wiring = ("_interrupt",)

    def __init__(self, interrupt: Callable[[bool], None]) -> None:
        self._interrupt = interrupt
        self.uart = self.answer = False

    def reset(self) -> None:
        """RESET."""
        self.uart = self.answer = False

    def read_port(self, offset: int, size: int) -> int:
        if offset:
            return ALWAYS | (0 if self.answer else NOTHING)
        answer, self.answer = self.answer, False
        if answer:
            self._interrupt(False)
        return ACKNOWLEDGE

    def write_port(self, offset: int, size: int, value: int) -> None:
        if not offset or (self.uart and value != RESET):
            return
        if value in (RESET, UART):
            self.answer = not self.uart  # which is left without a word
            self.uart = value == UART
            self._interrupt(self.answer)

"""The two timers of a YMF262 and its status register: how programs find out that there is an OPL.

Manual: YMF262 application manual, "Timer 1, timer 2", "Status register".

    02, 03  what they count up from      80.4 us and 321.8 us a step: 4 and 16 samples
    04      RST (80h, alone), MT1 MT2 (40h, 20h: masked), ST2 ST1 (2, 1: they run)
    status  IRQ (80h), FT1, FT2 (40h, 20h); the other bits are 0, which tells it from an OPL2

Nothing happens when one runs over: whoever looks at the status works out what has been. On a PC the
interrupt output leads nowhere.
"""

from __future__ import annotations

from devices.device import Chip
from devices.fields import BYTE, MOMENT, fields, optional, sequence

FIRST, CONTROL = 0x02, 0x04
RST = 0x80
FLAGS = (0x40, 0x20)
STARTS = (0x01, 0x02)
STEPS = (4, 16)
IRQ = 0x80


class Timers(Chip):
    """Both. Times are numbers of samples."""

    name = "opl3-timers"
    state = fields(
        counts=sequence(BYTE, least=2, most=2),
        loaded=sequence(BYTE, least=2, most=2),
        began=sequence(optional(MOMENT), least=2, most=2),
        control=BYTE,
        flags=BYTE,
    )

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Both stand still."""
        self.counts = [0, 0]
        self.loaded = [0, 0]  # what their present turn began with
        self.began: list[int | None] = [None, None]
        self.control = self.flags = 0

    def status(self, tick: int) -> int:
        """The status register at a sample."""
        self._settle(tick)
        return self.flags | (IRQ if self.flags else 0)

    def write(self, register: int, value: int, tick: int) -> None:
        """02 to 04."""
        self._settle(tick)
        if register != CONTROL:
            self.counts[register - FIRST] = value
        elif value & RST:
            self.flags = 0
        else:
            self.control = value
            for i in (0, 1):
                self._start(i, bool(value & STARTS[i]), tick)

    def _start(self, i: int, runs: bool, tick: int) -> None:
        if not runs:
            self.began[i] = None
        elif self.began[i] is None:
            self.began[i], self.loaded[i] = tick, self.counts[i]

    def _settle(self, tick: int) -> None:
        for i in (0, 1):
            began, first = self.began[i], (256 - self.loaded[i]) * STEPS[i]
            if began is None or tick - began < first:
                continue
            if not self.control & FLAGS[i]:
                self.flags |= FLAGS[i]
            since, period = tick - began - first, (256 - self.counts[i]) * STEPS[i]
            self.began[i], self.loaded[i] = tick - since % period, self.counts[i]

"""Where the beam is: the VGA's frame in virtual time.

Manual: IBM VGA Technical Reference, "Input status register 1"; FreeVGA, "VGA Timing".

Nothing ticks. The dots since power-on, divided by those of a frame, say on which line and dot the
beam is at a moment. After a change of the timing's registers it is where it would be had they
always been so.

Text of 80 columns: 900 dots of 28.322 MHz and 449 lines, 70.1 frames a second.

>>> text = Frame(28_322_000, 900, 720, 449, 400, 412, 2)
>>> round(text.number(10**9)), text.beam(0)
(70, (0, 0))
>>> text.in_retrace(31778 * 413), text.in_retrace(31778 * 411)
(True, False)
"""

from __future__ import annotations

from typing import NamedTuple

from devices.clock import NS_PER_SECOND, tick_at
from devices.video.crtc import DIVIDE_SCAN_LINE_CLOCK, MODE_CONTROL, CrtController
from devices.video.general import CLOCK_28_MHZ, GeneralRegisters
from devices.video.sequencer import CLOCKING_MODE, EIGHT_DOTS, HALF_CLOCK, Sequencer
from devices.video.vbe import VbeExtensions

MHZ_25, MHZ_28 = 25_175_000, 28_322_000
VBE_HZ = 60


class Frame(NamedTuple):
    """Dots of a line, lines of a frame, and which of them are shown."""

    hertz: int
    dots: int
    shown_dots: int
    lines: int
    shown_lines: int
    sync_line: int
    sync_lines: int

    def number(self, now: int) -> int:
        """How many frames have been by a moment, in nanoseconds."""
        return tick_at(now, self.hertz) // (self.dots * self.lines)

    def syncs(self, now: int) -> int:
        """How many retraces have begun by then."""
        frame = self.dots * self.lines
        begin = self.dots * (self.sync_line % self.lines)
        return (tick_at(now, self.hertz) + frame - begin) // frame

    def beam(self, now: int) -> tuple[int, int]:
        """The line and the dot."""
        return divmod(tick_at(now, self.hertz) % (self.dots * self.lines), self.dots)

    def is_blank(self, now: int) -> bool:
        """Is nothing shown: at the end of a line or between two frames?"""
        line, dot = self.beam(now)
        return line >= self.shown_lines or dot >= self.shown_dots

    def in_retrace(self, now: int) -> bool:
        """Is the beam on its way back to the top?"""
        line, _ = self.beam(now)
        return (line - self.sync_line) % self.lines < self.sync_lines

    @property
    def nanoseconds(self) -> int:
        """Of a frame."""
        return self.dots * self.lines * NS_PER_SECOND // self.hertz


def frame_of(
    general: GeneralRegisters, sequencer: Sequencer, crtc: CrtController, vbe: VbeExtensions
) -> Frame:
    """What the registers say. With a mode of VBE's, whose guests need not set the CRTC: 60 Hz."""
    if vbe.enabled:
        width, height = vbe.xres, vbe.yres
        dots, lines = width + 160, height + 24
        return Frame(dots * lines * VBE_HZ, dots, width, lines, height, height + 3, 4)
    clocking = sequencer.registers[CLOCKING_MODE]
    width = 8 if clocking & EIGHT_DOTS else 9
    hertz = MHZ_28 if general.clock_select == CLOCK_28_MHZ else MHZ_25
    if clocking & HALF_CLOCK:
        hertz //= 2
    twice = 2 if crtc.registers[MODE_CONTROL] & DIVIDE_SCAN_LINE_CLOCK else 1
    return Frame(
        hertz, width * crtc.total_characters, width * crtc.shown_characters,
        twice * crtc.total_lines, twice * crtc.shown_lines,
        twice * crtc.sync_line, twice * crtc.sync_lines,
    )  # fmt: skip

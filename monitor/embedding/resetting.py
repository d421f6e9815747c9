"""RESET: of the whole board, or of the processor alone.

A guest asks for the second by the keyboard controller, port 92h or CF9h: a program in protected
mode comes back to real mode so, as the 80286 could not otherwise, and RAM and chips stay as they
are. The firmware looks what was meant (CMOS byte 0Fh), and asks for a reset of the board, by CF9h,
if it was that. So a machine whose firmware is there goes on after either. One whose guest was put
in by a loader has nobody to begin anew: its run ends.
"""

from __future__ import annotations

from monitor.vmm.loop import Loop
from monitor.vmm.outcome import Outcome
from monitor.vmm.physical_map import PhysicalMap
from monitor.vmware.guest_calls import GuestCalls


class Resetting:
    """One machine's."""

    def __init__(self, loop: Loop, physical_map: PhysicalMap, calls: GuestCalls) -> None:
        self._loop = loop
        self._map = physical_map
        self._calls = calls
        #: Does the board have a chipset, whose firmware takes over after RESET?
        self.has_chipset = False

    def reset(self) -> None:
        """Everything is as after power-on, but for RAM and the clock."""
        self._loop.board.reset()
        self.reset_processor()

    def reset_processor(self) -> None:
        """The processor begins at its reset vector, and nothing else has changed."""
        self._loop.board.ended = None
        self._loop.board.reset_processor()
        self._loop.processor.ideal.reset()
        self._loop.halted = False
        self._calls.forget()
        self._loop.processor.restarted()

    def begins_anew(self, outcome: Outcome) -> bool:
        """After a run: was it the guest's reset, and does firmware go on?"""
        if outcome.kind != "reset" or not (self.has_chipset and self._map.firmware):
            return False
        if self._loop.board.hard_reset:
            self.reset()
        else:
            self.reset_processor()
        return True

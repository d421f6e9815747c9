"""Running a processor, and what makes it stop.

The third part of `Interp` (interp.py).
"""

from __future__ import annotations

from bt.interp.blocks import forget_blocks
from bt.interp.debug_regs import debug_changed
from bt.interp.dialect import (
    M32,
    M64,
    check_signals,
    i32,
    nogil,
    state,
)
from bt.interp.gates import deliver
from bt.interp.loop import SLICES, begin_run, icount_now, run_loop, settle_fault
from bt.interp.ram import AddressSpace, space_of
from bt.interp.state import (
    EXIT_BUDGET,
    EXIT_NONE,
    EXIT_SIGNALS,
)
from bt.interp.views import Views
from bt.interp.vmware import fault_instead
from bt.interp.watchpoints import wp_space


@state
class Running(Views):
    """How `Interp` runs."""

    def run(self, budget: int) -> int:
        """Run at most `budget` instructions; returns an EXIT_* reason.

        Raises again what a device callback raised.
        """
        begin_run(self, budget)
        reason: i32 = EXIT_SIGNALS
        while True:
            with nogil:
                reason = run_loop(self)
            if reason != EXIT_SIGNALS:
                break
            self.exit_reason = EXIT_BUDGET  # a handler may raise
            check_signals()
            self.slices = SLICES
        if self.host_error is not None:
            self.raise_pending()
        return reason

    def stop(self) -> None:
        """Let run() leave with EXIT_STOPPED, if it runs on for another slice; or the next one.

        From any thread, and from a signal's handler.
        """
        self.stop_asked = 1

    def raise_pending(self) -> None:
        """What a device callback raised comes out here."""
        error = self.host_error
        self.host_error = None
        if error is not None:
            raise error

    def wait(self, ticks: int) -> None:
        """From a callback of the bus: the access takes as long as `ticks` instructions.

        The TSC shows it, and run() comes back so much earlier, since its budget is a time.
        """
        self.tsc_offset = (self.tsc_offset + ticks) & M64
        cut = min(ticks, self.later)
        self.later -= cut
        ticks -= cut
        cut = min(ticks, self.kept)
        self.kept -= cut
        ticks -= cut
        cut = min(ticks, self.budget)
        self.budget -= cut
        self.icount_end = (self.icount_end - cut) & M64
        ticks -= cut
        cut = min(ticks, self.spare)
        self.spare -= cut
        if ticks > cut and self.io_left:
            self.recheck = 1  # the time ends within the block, which is paid for
        elif self.budget == 0 and self.io_begun:
            self.recheck = 1  # or would, behind the block, in the middle of an instruction

    def step_past(self, watchpoints: bool = False) -> int:
        """Run one instruction although run() stopped before it; `watchpoints`: for one, too.

        Raises again what a device callback raised.
        """
        self.icount_end = (icount_now(self) + 1) & M64
        self.budget = 1
        self.spare = 0
        self.later = 0
        self.recheck = 0
        self.traced = 0
        self.wp_fault = 0
        self.passing = 2
        self.wp_pass = watchpoints
        reason: i32 = run_loop(self)
        self.passing = 0
        self.wp_pass = 0
        if self.host_error is not None:
            self.raise_pending()
        return reason

    def interrupt(self, vector: int) -> int:
        """Deliver an external interrupt now; 0, or an EXIT_* reason if that shut us down."""
        if deliver(self, vector, 0, 0, 0) < 0:
            return settle_fault(self)
        return EXIT_NONE

    # --- breakpoints and watchpoints of the embedder -----------------------------------

    def set_stops(self, addresses: list[int]) -> None:
        """Leave run() with EXIT_BREAKPOINT before the instruction at any of these (at most 256)."""
        if self.stop_count == 0 and not addresses:
            return
        if len(addresses) > 256:
            raise ValueError("at most 256 breakpoints")
        self.stop_count = len(addresses)
        for i in range(len(addresses)):
            self.stops[i] = addresses[i]
        forget_blocks(self.mem)

    def set_watchpoints(
        self, watchpoints: list[tuple[int, int, int]], spaces: list[AddressSpace]
    ) -> None:
        """Leave run() after accesses to (first, last, WP_* bits); see watchpoints.py.

        `spaces` are all that this processor runs in. ValueError: more than 16.
        """
        if len(watchpoints) > 16:
            raise ValueError("at most 16 watchpoints")
        self.wp_total = len(watchpoints)
        for i in range(len(watchpoints)):
            self.wp_first[i], self.wp_last[i], self.wp_kinds[i] = watchpoints[i]
        self.wp_hit = 0
        if self.external == 0:
            debug_changed(self)
        for space in spaces:
            wp_space(self, space_of(space))

    def take_watchpoint(self) -> int:
        """The number of the watchpoint that was hit, -1 if none was; it is told once."""
        number: i32 = self.wp_hit - 1
        self.wp_hit = 0
        return number

    # --- VMware's guest interfaces -----------------------------------------------------

    def set_vmware(
        self, backdoor: int, hypercalls: int, served: int, tsc_khz: int, bus_khz: int
    ) -> None:
        """VMware's guest interfaces: BACKDOOR_*, do hypercalls leave run() with EXIT_VMWARE, are
        they backdoor calls, and the frequencies that CPUID tells (0: it does not tell)."""
        self.backdoor = backdoor
        self.hypercalls = hypercalls
        self.hypercalls_served = served
        self.tsc_khz = tsc_khz
        self.bus_khz = bus_khz

    def answer_call(self, vector: int = -1, error: int = 0, address: int = 0) -> int:
        """Complete the instruction that left with EXIT_VMWARE; an EXIT_* reason.

        Or let it fault: with this vector, its error code, and CR2 for a page fault. No interrupt
        comes in between.
        """
        if vector >= 0:
            fault_instead(self, vector, error & M32, address & M32)
            return settle_fault(self)
        intr = self.intr
        self.intr = 0
        self.call_answered = 1
        try:
            return self.step_past()
        finally:
            self.call_answered = 0
            self.intr = intr

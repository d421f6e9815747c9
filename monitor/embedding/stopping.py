"""Where run() stops between two instructions: breakpoints, watchpoints, and the hooks of either."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bt.contract import MAX_STOPS
from bt.interp.state import CS
from monitor.embedding.hooks import Hooks
from monitor.vmm.board import Board
from monitor.vmm.errors import UserError
from monitor.vmm.outcome import Outcome
from monitor.vmm.processor import Processor
from monitor.vmm.watchpoint import Watchpoints


class Stopping:
    """One machine's."""

    def __init__(self, board: Board, processor: Processor) -> None:
        self._processor = processor
        self.breakpoints: set[int] = set()  # linear
        self.watchpoints = Watchpoints()
        self._off = False
        self.hooks = Hooks(board, self.watchpoints, self.breakpoints)

    def add_breakpoint(self, linear: int) -> None:
        """One more; UserError if there are too many."""
        stops = self.breakpoints | {linear} | self.hooks.addresses
        if len(stops) >= MAX_STOPS:  # one is kept for until_address
            raise UserError(f"{MAX_STOPS - 1} breakpoints are set already: remove one first")
        self.breakpoints.add(linear)

    def arm(self, until_address: int | None) -> None:
        """Tell the processor where it shall stop."""
        stops = set() if self._off else self.breakpoints | self.hooks.addresses
        self._processor.set_breakpoints(stops if until_address is None else stops | {until_address})
        changed = self.watchpoints.changes(off=self._off)
        if changed is not None:
            self._processor.set_watchpoints(changed)

    @contextmanager
    def disarmed(self) -> Iterator[None]:
        """Without breakpoints, watchpoints and hooks of either, for a run to come."""
        self._off = True
        try:
            yield
        finally:
            self._off = False

    def hooked(self, outcome: Outcome, until_address: int | None) -> bool:
        """Call the hooks of where it stopped; shall it go on, as only they wanted that?"""
        if outcome.kind == "watchpoint":
            self.watchpoints.told(self._processor.take_watchpoint())
            hit = self.watchpoints.hit
            assert hit is not None
            return self.hooks.call(hit) and not self.watchpoints.ends_run(hit)
        if outcome.kind != "address":
            return False
        cpu = self._processor.ideal
        linear = int(cpu.segment(CS)[1] + cpu.eip & 0xFFFFFFFF)
        ends = linear == until_address or linear in self.breakpoints
        return self.hooks.call(linear) and not ends

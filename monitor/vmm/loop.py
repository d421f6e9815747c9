"""The machine's loop: time, interrupts and idling around a processor that runs.

It is the same for a bare and a virtual processor. One turn:

    hand over console input, fire due timers
    INTR up and the processor can take it?   acknowledge, deliver
    halted?                                  skip to the next timer, or wait for input
    run until the next timer, or until the processor has something to say
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bt.interp.state import (
    EXIT_BREAKPOINT,
    EXIT_HALT,
    EXIT_NONE,
    EXIT_SHUTDOWN,
    EXIT_VMWARE,
    EXIT_WATCHPOINT,
)
from monitor.vmm.board import Board
from monitor.vmm.clock import Clock, HostClock
from monitor.vmm.errors import CallbackFailed
from monitor.vmm.outcome import Outcome
from monitor.vmm.processor import Processor

# Instructions between looks at the host (stop requests, time limit, input). The loop adapts this to
# what the guest does, so that a turn takes neither much less nor much more than these times; the
# guest cannot tell.
FIRST_SLICE = 20_000
LONGEST_SLICE = 4_000_000
SHORT_TURN = 0.01  # seconds
LONG_TURN = 0.05
POLL = 0.002  # seconds between looks at the input of a guest that waits for nothing else


WATCHPOINT = Outcome("watchpoint", detail="a watched address was accessed")


@dataclass
class Limits:
    """Where run() shall end, apart from the guest's own doing."""

    deadline: float | None = None  # time.monotonic()
    max_count: int | None = None  # absolute guest instruction count
    check: Callable[[], Outcome | None] | None = None  # asked between turns


class Chore(Protocol):
    """Something to do between two instructions, when the machine is whole."""

    def look(self) -> int | None:
        """Called before each turn. The instruction count at which it wants to be, if any."""


class Loop:
    def __init__(self, board: Board, processor: Processor, clock: Clock) -> None:
        self.board = board
        self.processor = processor
        self.clock = clock
        self.interrupts = 0
        self.idle = 0  # turns spent halted
        self.on_turn: Callable[[], None] | None = None  # called after each turn that ran code
        self.chores: list[Chore] = []  # what others have to do between turns
        self.executing = False  # within a turn
        self.most = LONGEST_SLICE  # instructions of a turn
        self.steady = False  # always that many, however fast the host is
        self._slice = FIRST_SLICE
        self._stop = False  # no Event, whose lock a signal's handler might find taken
        self._thread = threading.get_ident()  # which runs it

    @property
    def halted(self) -> bool:
        """The processor has executed HLT, and nothing has woken it up."""
        return bool(self.processor.ideal.halted)

    @halted.setter
    def halted(self, halted: bool) -> None:
        self.processor.ideal.halted = 1 if halted else 0

    def stop(self) -> None:
        """Let run() return soon, or the next one if none is under way.

        From any thread, and from a signal's handler. From its own thread, where a device or a hook
        is called: behind this instruction, so that runs repeat.
        """
        self._stop = True
        if self._is_own_thread():
            self.processor.notice()
        self.processor.stop()  # in a signal's handler it is our thread, and no access

    def look_soon(self) -> None:
        """There is news, as stop() has it; not for a signal's handler."""
        if self._is_own_thread():
            self.processor.notice()
        else:
            self.processor.stop()

    def _is_own_thread(self) -> bool:
        return threading.get_ident() == self._thread

    def run(self, limits: Limits) -> Outcome:
        """Run until the guest or a limit ends it."""
        self._thread = threading.get_ident()
        while True:
            try:
                outcome = self._turn(limits)
            except CallbackFailed as failure:
                outcome = Outcome("callback", detail=str(failure))
            if outcome is not None:
                self._stop = False
                return outcome

    def _turn(self, limits: Limits) -> Outcome | None:
        self._gather_events()
        latest = self._chores()
        self.executing = True
        try:
            return self._go(limits, latest)
        finally:
            self.executing = False

    def _go(self, limits: Limits, latest: int | None) -> Outcome | None:
        """The turn, in which the machine is not whole between two instructions."""
        if self.processor.ideal.wp_hit:  # by an interrupt that was delivered
            return WATCHPOINT
        outcome = self._limit_reached(limits)
        if outcome is not None:
            return outcome
        if self.processor.nmi_ready():
            return self._deliver_nmi()
        if self.board.bus.intr and self.processor.interruptible():
            return self._deliver()
        if self.halted:
            return self._idle()
        budget = self._budget(limits)
        if latest is not None:
            budget = max(1, min(budget, latest - self.processor.count()))
        begun = time.monotonic()
        reason = self.processor.run(budget)
        self._adapt(budget, time.monotonic() - begun)
        if self.on_turn is not None:
            self.on_turn()
        if reason == EXIT_HALT:
            self.halted = True
        elif reason == EXIT_SHUTDOWN:
            return Outcome("shutdown", detail="triple fault: the processor shut down")
        elif reason == EXIT_BREAKPOINT:
            return Outcome("address", detail="a breakpoint was reached")
        elif reason == EXIT_WATCHPOINT:
            return WATCHPOINT
        elif reason == EXIT_VMWARE:
            assert self.board.guest_calls is not None
            return self.board.guest_calls.serve() or self.board.ended
        return self.board.ended

    def _chores(self) -> int | None:
        """Do what others have to do now; the count at which the first wants to look again."""
        latest = None
        for chore in tuple(self.chores):
            count = chore.look()
            if count is not None and (latest is None or count < latest):
                latest = count
        return latest

    def _gather_events(self) -> None:
        self.board.take_input()
        self.board.bus.run_due()
        if isinstance(self.clock, HostClock):
            self.processor.ideal.tsc_offset = self.clock.tsc_offset() & 0xFFFFFFFFFFFFFFFF

    def _limit_reached(self, limits: Limits) -> Outcome | None:
        if self.board.ended is not None:
            return self.board.ended
        if limits.check is not None:
            outcome = limits.check()
            if outcome is not None:
                return outcome
        if self._stop:
            return Outcome("stopped", detail="stopped on request")
        if limits.deadline is not None and time.monotonic() >= limits.deadline:
            return Outcome("timeout", detail="the time limit was reached")
        if limits.max_count is not None and self.processor.count() >= limits.max_count:
            return Outcome("instructions", detail="the instruction limit was reached")
        return None

    def _adapt(self, budget: int, seconds: float) -> None:
        """Choose the next slice by how long this turn took."""
        if seconds > LONG_TURN:
            self._slice = max(1, self._slice // 4)
        elif seconds < SHORT_TURN and budget == self._slice:
            self._slice = min(LONGEST_SLICE, self._slice * 2)

    def _budget(self, limits: Limits) -> int:
        budget = self.most if self.steady else min(self._slice, self.most)
        deadline = self.board.next_deadline()
        if deadline is not None:
            budget = min(budget, max(1, self.clock.budget_until(deadline)))
        if limits.max_count is not None:
            budget = min(budget, limits.max_count - self.processor.count())
        if self.processor.ideal.nmi_pending and not self.processor.ideal.nmi_blocked:
            return 1  # past the shadow of MOV SS or STI
        return budget

    def _deliver(self) -> Outcome | None:
        self.halted = False
        self.interrupts += 1
        vector = self.board.interrupts.acknowledge()
        try:
            if self.processor.listeners:
                self.processor.tell(f"interrupt {vector:#x}", self.processor.ideal.eip)
        finally:  # the controller has handed it out
            reason = self.processor.interrupt(vector)
        if reason != EXIT_NONE:
            return Outcome("shutdown", detail="triple fault while an interrupt was delivered")
        return None

    def _deliver_nmi(self) -> Outcome | None:
        self.halted = False
        self.interrupts += 1
        if self.processor.listeners:
            self.processor.tell("NMI", self.processor.ideal.eip)
        if self.processor.deliver_nmi() != EXIT_NONE:
            return Outcome("shutdown", detail="triple fault while an NMI was delivered")
        return None

    def _idle(self) -> Outcome | None:
        """HLT: nothing happens until an interrupt, if one can still come."""
        self.idle += 1
        if not self.processor.interruptible():
            return Outcome("stuck", detail="halted with interrupts off: nothing can wake the guest")
        if not self.board.can_interrupt():
            return Outcome("stuck", detail="halted, and no timer or input can interrupt the guest")
        deadline = self.board.next_deadline()
        if deadline is not None:
            passed = self.clock.skip_to(deadline)
            ideal = self.processor.ideal
            ideal.tsc_offset = (ideal.tsc_offset + passed) & 0xFFFFFFFFFFFFFFFF
            return None
        time.sleep(POLL)
        return None



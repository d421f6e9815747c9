"""What happens in `Machine.run`: limits, hooks, a watchdog, and the machine's loop between them."""

from __future__ import annotations

import threading
import time

from monitor.embedding import watchdog
from monitor.embedding.resetting import Resetting
from monitor.embedding.stopping import Stopping
from monitor.embedding.waiting import Check
from monitor.vmm.loop import Limits, Loop
from monitor.vmm.outcome import Outcome
from monitor.vmware.guest_calls import GuestCalls


class Running:
    """One machine's runs, and the real time that they took."""

    def __init__(
        self, loop: Loop, stopping: Stopping, calls: GuestCalls, resetting: Resetting
    ) -> None:
        self._loop = loop
        self._resetting = resetting
        self._stopping = stopping
        self._calls = calls
        self.seconds = 0.0
        self._thread: int | None = None  # which runs it now

    def run(
        self,
        timeout: float | None,
        max_instructions: int | None,
        until_address: int | None,
        check: Check | None,
    ) -> Outcome:
        """Until the guest ends, or a limit is reached; as Machine.run has it."""
        board, processor = self._loop.board, self._loop.processor
        most = None if max_instructions is None else processor.count() + max_instructions
        deadline = None if timeout is None else time.monotonic() + timeout
        begun = time.perf_counter()
        before, self._thread = self._thread, threading.get_ident()
        try:
            with watchdog.limit(deadline, board, processor, self._stopping.hooks):
                return self._loop_until(Limits(deadline, most, check), until_address)
        except watchdog.TimeOver as over:
            if over.board is not board:  # a machine's within which this one runs
                raise
            return over.outcome()
        finally:
            self._thread = before
            self.seconds += time.perf_counter() - begun

    def within(self) -> bool:
        """Does this thread run the machine now: is it one of its callbacks that asks?"""
        return self._thread == threading.get_ident()

    def within_instruction(self) -> bool:
        """The same, amid guest code?"""
        amid = self._loop.executing or self._loop.board.counter.in_access
        return amid and self.within()

    def _loop_until(self, limits: Limits, until_address: int | None) -> Outcome:
        while True:
            self._stopping.arm(until_address)
            outcome = self._calls.resume() or self._loop.run(limits)
            if self._resetting.begins_anew(outcome):
                continue
            if not self._stopping.hooked(outcome, until_address):
                return outcome

"""Instructions that the engine executes, stubs included, where a machine counts only the guest's.

In the translation cache the engine counts the instructions that complete one of the guest's. Here
everything there is marked as counting, so that the machine's instruction count becomes the
engine's; what runs outside the cache, bare, direct or emulated, counts as ever.

One thing must be mended: a budget may now end between two instructions of a stub, where the
monitor cannot stop (half a stub has no guest state). Such a run goes on, one instruction at a
time, until one that completes a guest instruction.

The guest's clock counts the same instructions, so a timer comes after more of the engine's work
and less of the guest's than it should, and a boot takes a slightly different road to the prompt.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bt.contract import Bus
from bt.engine import ENGINES, InterpEngine, Ram
from bt.interp.state import EXIT_BUDGET, EXIT_STOPPED
from monitor.vmm.shadow import HIDDEN_BASE, TC_BYTES


class CountingEngine(InterpEngine):
    """An engine for which every instruction counts."""

    def __init__(self, ram: Ram, bus: Bus) -> None:
        super().__init__(ram, bus)
        self.completes = bytearray(TC_BYTES)  # the true marks, a byte per byte of the cache

    def mark(self, address: int, marks: bytes) -> None:
        """Keep the true marks here, and give the engine ones."""
        offset = address - HIDDEN_BASE
        self.completes[offset : offset + len(marks)] = marks
        super().mark(address, b"\1" * len(marks))

    def run(self, budget: int) -> int:
        """To the end of the budget, and then to the end of a guest instruction."""
        reason = int(super().run(budget))
        while reason in (EXIT_BUDGET, EXIT_STOPPED) and self._inside():
            at = self.eip - HIDDEN_BASE
            reason = int(super().run(1))
            if self.completes[at]:
                break
        return reason

    def _inside(self) -> bool:
        return 0 <= self.eip - HIDDEN_BASE < TC_BYTES


@contextmanager
def everything_counts() -> Iterator[None]:
    """Machines made inside count what their engines execute."""
    usual = ENGINES["interp"]
    ENGINES["interp"] = CountingEngine
    try:
        yield
    finally:
        ENGINES["interp"] = usual

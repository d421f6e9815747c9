"""Virtual time: what the guest's devices and its TSC take for time.

`icount`: time is the number of guest instructions completed, 5 ns each (a processor at 200 MHz
that does one instruction a cycle), plus the time that no instruction took: skipped while the guest
was halted, or spent waiting for the bus. A run repeats exactly, and an interrupt lands on the same
instruction bare and virtualized.

`host`: real time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.vmm.processor import Processor

NS_PER_INSTRUCTION = 5
EVER = 1 << 32  # more than anybody waits
TSC_HZ = 1_000_000_000 // NS_PER_INSTRUCTION


class InstructionCounter:
    """Guest instructions completed, also from inside a port access (then: before the access)."""

    def __init__(self) -> None:
        self.processor: Processor | None = None  # none while the machine is being built
        self.in_access = False

    def __call__(self) -> int:
        if self.processor is None:
            return 0
        return self.processor.io_count() if self.in_access else self.processor.count()


class IcountClock:
    """now() = (instructions + skipped) * 5 ns."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self.skipped = 0  # instructions' worth of time that no instruction took

    def now(self) -> int:
        return (self._count() + self.skipped) * NS_PER_INSTRUCTION

    def budget_until(self, deadline: int) -> int:
        """Instructions that may run before `deadline` (ns) is reached; 0: it is due."""
        ticks = -(-deadline // NS_PER_INSTRUCTION)
        return max(0, ticks - self._count() - self.skipped)

    def skip_to(self, deadline: int) -> int:
        """The processor is halted: jump to the deadline. Returns the TSC ticks that passed."""
        ticks = self.budget_until(deadline)
        self.skipped += ticks
        return ticks

    def resume_at(self, now: int) -> None:
        """It is this time, whatever it was before."""
        self.skipped = -(-now // NS_PER_INSTRUCTION) - self._count()

    def wait(self, ns: int, cycles: int = 1) -> int:
        """Bus cycles took so long each. Returns the TSC ticks that passed."""
        ticks = -(-ns // NS_PER_INSTRUCTION) * cycles
        self.skipped += ticks
        return ticks

    def waits_before(self, deadline: int, ns: int) -> int:
        """How many bus cycles of so long end before the deadline."""
        return max(0, self.budget_until(deadline) - 1) // -(-ns // NS_PER_INSTRUCTION)


class HostClock:
    """Nanoseconds of real time since the machine was made; the TSC runs at TSC_HZ too."""

    POLL = 100_000  # instructions between looks at the clock while a deadline is near

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._start = time.monotonic_ns()

    def now(self) -> int:
        return time.monotonic_ns() - self._start

    def budget_until(self, deadline: int) -> int:
        return 0 if deadline <= self.now() else self.POLL

    def skip_to(self, deadline: int) -> int:
        """Sleep until the deadline, at most 10 ms at a time so that the loop can look around."""
        wait = min(deadline - self.now(), 10_000_000)
        if wait > 0:
            time.sleep(wait / 1e9)
        return 0

    def resume_at(self, now: int) -> None:
        """It is this time, whatever it was before."""
        self._start = time.monotonic_ns() - now

    def wait(self, _ns: int, _cycles: int = 1) -> int:
        """Real time passes by itself."""
        return 0

    def waits_before(self, deadline: int, _ns: int) -> int:
        """As many as there are, since they take none."""
        return 0 if deadline <= self.now() else EVER

    def tsc_offset(self) -> int:
        """What to add to the instruction count to make the TSC follow real time."""
        return self.now() * TSC_HZ // 1_000_000_000 - self._count()


Clock = IcountClock | HostClock

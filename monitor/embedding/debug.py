"""`machine.debug`: breakpoints, watchpoints, and where a guest is, in words.

    machine.debug.add_breakpoint(0xC0101000)
    machine.run().kind == "address"
    print(machine.debug.where())
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monitor.embedding.stopping import Stopping
from monitor.vmm.processor import Processor
from monitor.vmm.watchpoint import Watchpoint


class Debug:
    """One machine's."""

    def __init__(
        self,
        stopping: Stopping,
        processor: Processor,
        registers: Callable[[], Mapping[str, int]],
        read: Callable[[int, int], bytes],
    ) -> None:
        self._stopping = stopping
        self._processor = processor
        self._registers = registers
        self._read = read
        #: Linear addresses of the breakpoints that are set.
        self.breakpoints = stopping.breakpoints

    def add_breakpoint(self, linear: int) -> None:
        """From now on run() returns with kind "address" before the instruction there.

        The guest's memory is not touched. UserError beyond 255 of them, hooks included.
        """
        self._stopping.add_breakpoint(linear)

    def remove_breakpoint(self, linear: int) -> None:
        """Forget a breakpoint; nothing happens where none is set."""
        self.breakpoints.discard(linear)

    def add_watchpoint(self, linear: int, size: int = 4, access: str = "write") -> None:
        """From now on run() returns with kind "watchpoint" right after an access to these bytes.

        `size` bytes from a linear address on; `access` is "read", "write", or "access" for both.
        Which watchpoint it was stands in `watchpoint_hit`. UserError beyond 16 of them, or for a
        range that is none.
        """
        self._stopping.watchpoints.add(Watchpoint(linear, size, access))

    def remove_watchpoint(self, linear: int, size: int = 4, access: str = "write") -> None:
        """Forget a watchpoint, named as it was added; nothing happens where none is set."""
        self._stopping.watchpoints.remove(Watchpoint(linear, size, access))

    @property
    def watchpoint_hit(self) -> Watchpoint | None:
        """The watchpoint that ended the last run, or None."""
        return self._stopping.watchpoints.hit

    def recent_exits(self) -> list[str]:
        """The last exits in words, oldest first; mode bare has none."""
        return self._processor.recent_exits()

    def block_listing(self) -> list[str]:
        """The guest's block at EIP and its translation, in words; empty where there is none."""
        from monitor.watch.block_listing import block_here

        return block_here(self._processor)

    def where(self) -> str:
        """Registers, last exits and the code around EIP, for people."""
        from monitor.watch.where import describe

        return describe(self._processor, self._registers(), self._read)

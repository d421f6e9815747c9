"""What a watchpoint of the machine waits for: an access to linear addresses, by any instruction.

    machine.debug.add_watchpoint(0xC0101000, 4, "write")
    machine.run().kind == "watchpoint"; machine.debug.watchpoint_hit.address

The guest's own debug registers are not touched (bt/interp/watchpoints.py says how it is done).
"""

from __future__ import annotations

from dataclasses import dataclass

from bt.contract import MAX_WATCHPOINTS
from bt.interp.state import WP_READ, WP_WRITE
from monitor.vmm.errors import UserError

ACCESSES = {"read": WP_READ, "write": WP_WRITE, "access": WP_READ | WP_WRITE}


@dataclass(frozen=True, order=True)
class Watchpoint:
    """`size` bytes from the linear `address` on; `access` is read, write, or access for both."""

    address: int
    size: int = 4
    access: str = "write"

    def __post_init__(self) -> None:
        if self.access not in ACCESSES:
            raise UserError(f"access {self.access!r}: choose one of {', '.join(ACCESSES)}")
        if self.size < 1 or not 0 <= self.address <= (1 << 32) - self.size:
            raise UserError(
                f"a watchpoint of {self.size} bytes at {self.address:#x}: it needs at least one "
                "byte, and has to lie in the 4 GiB of the linear address space"
            )

    @property
    def range(self) -> tuple[int, int, int]:
        """As processors take it: first and last byte, WP_* bits."""
        return self.address, self.address + self.size - 1, ACCESSES[self.access]


class Watchpoints:
    """The machine's watchpoints, and which of them was hit."""

    def __init__(self) -> None:
        self._wanted: set[Watchpoint] = set()  # run() shall return
        self._hooked: set[Watchpoint] = set()  # functions are called (hooks.py)
        self._set: list[Watchpoint] = []
        self.hit: Watchpoint | None = None

    def add(self, watchpoint: Watchpoint, hooked: bool = False) -> None:
        """One more; UserError if there are too many."""
        there = self._wanted | self._hooked
        if watchpoint not in there and len(there) >= MAX_WATCHPOINTS:
            raise UserError(f"{MAX_WATCHPOINTS} watchpoints are set already: remove one first")
        (self._hooked if hooked else self._wanted).add(watchpoint)

    def remove(self, watchpoint: Watchpoint, hooked: bool = False) -> None:
        """One less, if it was set."""
        (self._hooked if hooked else self._wanted).discard(watchpoint)

    def ends_run(self, watchpoint: Watchpoint) -> bool:
        """Shall run() return, or are only functions called?"""
        return watchpoint in self._wanted

    def changes(self, off: bool = False) -> list[tuple[int, int, int]] | None:
        """The ranges to set before a run, none if they are `off`; None if that is how it is."""
        self.hit = None
        wanted = [] if off else sorted(self._wanted | self._hooked)
        if wanted == self._set:
            return None
        self._set = wanted
        return [watchpoint.range for watchpoint in wanted]

    def told(self, number: int) -> None:
        """The processor says that this one was hit."""
        self.hit = self._set[number]

"""How a run ended."""

from __future__ import annotations

from dataclasses import dataclass

# Kinds of ending. The guest's own doing: exit (debug-exit device), reset, poweroff, shutdown
# (triple fault), stuck (halted and nothing can wake it). The embedder's: the others.
CLEAN = ("until", "exit", "reset", "poweroff", "address", "event", "instructions", "stopped",
         "vmware", "watchpoint")  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """kind: one of until, address, event, instructions, timeout, stopped, exit, reset, poweroff,
    shutdown, stuck, vmware (a hypercall waits for its answer), watchpoint, callback (a function of
    the embedder's failed). `status` is the debug-exit device's. `detail` is one line for people."""

    kind: str
    status: int | None = None
    detail: str = ""

    @property
    def clean(self) -> bool:
        """Did it end in a way that somebody asked for?"""
        return self.kind in CLEAN

"""How a run ended."""

from __future__ import annotations

from dataclasses import dataclass

# Kinds of ending. The guest's own doing: exit (debug-exit device), reset, poweroff, shutdown
# (triple fault), stuck (halted and nothing can wake it). The embedder's: the others.
CLEAN = ("until", "exit", "reset", "poweroff", "address", "event", "instructions", "stopped",
         "vmware", "watchpoint")  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """Why run() returned.

        exit          the guest wrote to the debug-exit port: `status` is (code << 1) | 1
        reset         it reset the machine, by the keyboard controller or port 92
        poweroff      it switched the machine off
        shutdown      triple fault
        stuck         it is halted, and nothing can wake it
        until         the console shows the text that was waited for
        address       EIP is at a breakpoint, or at `until_address`
        watchpoint    an access to watched bytes: machine.debug.watchpoint_hit
        event         the exit that was waited for
        instructions  the number of instructions has run
        timeout       the time is over
        stopped       somebody called stop()
        vmware        a hypercall waits for its answer: machine.vmware.exit
        callback      a function of the embedder's raised, or took too long

    `detail` is one line for people.
    """

    kind: str
    status: int | None = None
    detail: str = ""

    @property
    def clean(self) -> bool:
        """Did it end in a way that somebody asked for?"""
        return self.kind in CLEAN

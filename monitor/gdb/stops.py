"""Breakpoints and watchpoints that gdb has set, and why the guest stopped (E.3 Stop Reply Packets).

A software breakpoint and a hardware one are the same to the machine, which stops before the
instruction at a linear address either way; gdb is told which of its own it was.
"""

from __future__ import annotations

from collections import Counter

from monitor.machine import Machine
from monitor.vmm.errors import UserError
from monitor.vmm.outcome import Outcome

SOFTWARE, HARDWARE = 0, 1  # of Z packets
WATCHES = {2: ("write", "watch"), 3: ("read", "rwatch"), 4: ("access", "awatch")}
ACCESS_NAMES = dict(WATCHES.values())
MAX_WATCHED = 1 << 16

SIGINT, SIGTRAP, SIGABRT, SIGTERM, SIGALRM = 2, 5, 6, 15, 14  # as gdb numbers them
FAILED = {"timeout": SIGALRM, "shutdown": SIGABRT, "stuck": SIGABRT, "callback": SIGABRT}
LOOKABLE = ("shutdown", "stuck")  # the guest's state is there to be looked at
REVERSIBLE = ("exit", "reset", "poweroff")  # so is how it came to that, where one can go back
STOPS = ("address", "watchpoint")


class Stops:
    """What gdb has set, and the last stop's reason."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._breakpoints: Counter[tuple[int, int]] = Counter()  # kind, address
        self._watchpoints: set[tuple[int, int, str]] = set()

    def insert(self, kind: int, address: int, size: int) -> None:
        """A Z packet; UserError if it is not for us. Twice is once."""
        if kind in WATCHES:
            if size > MAX_WATCHED:
                raise UserError(f"{size} bytes are too many to watch")
            access = WATCHES[kind][0]
            self._machine.debug.add_watchpoint(address, size, access)
            self._watchpoints.add((address, size, access))
        else:
            self._machine.debug.add_breakpoint(address)
            self._breakpoints[kind, address] = 1

    def remove(self, kind: int, address: int, size: int) -> None:
        """A z packet."""
        if kind in WATCHES:
            access = WATCHES[kind][0]
            self._machine.debug.remove_watchpoint(address, size, access)
            self._watchpoints.discard((address, size, access))
            return
        self._breakpoints.pop((kind, address), None)
        if not any((other, address) in self._breakpoints for other in (SOFTWARE, HARDWARE)):
            self._machine.debug.remove_breakpoint(address)

    def clear(self) -> None:
        """The debugger is gone, and all that was its."""
        for kind, address in list(self._breakpoints):
            self.remove(kind, address, 1)
        kinds = {access: kind for kind, (access, _) in WATCHES.items()}
        for address, size, access in list(self._watchpoints):
            self.remove(kinds[access], address, size)

    def reason(self, outcome: Outcome) -> str:
        """What a stop reply says of it beside the signal; empty for a step."""
        if outcome.kind == "watchpoint":
            hit = self._machine.debug.watchpoint_hit
            return f"{ACCESS_NAMES[hit.access]}:{hit.address:x};" if hit is not None else ""
        if outcome.kind == "beginning":
            return "replaylog:begin;"
        if outcome.kind != "address":
            return ""
        base = self._machine.system_registers["cs_base"]
        address = base + self._machine.registers["eip"] & 0xFFFFFFFF
        return "hwbreak:;" if (HARDWARE, address) in self._breakpoints else "swbreak:;"


def end_packet(outcome: Outcome) -> bytes:
    """How gdb is told that the machine has come to its end: W (exited) or X (signal)."""
    if outcome.kind in FAILED:
        return b"X%02x" % FAILED[outcome.kind]
    if outcome.kind == "stopped":
        return b"X%02x" % SIGTERM
    return b"W%02x" % ((outcome.status or 0) & 0xFF)

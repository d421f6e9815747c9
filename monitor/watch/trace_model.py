"""A trace as plain data: what happened, in the order in which it happened.

Every event carries the number of guest instructions completed before it. That is the same number
bare and translated, so two traces of one guest can be laid side by side.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from monitor.vmware.commands import COMMANDS

INSTRUCTION = "instruction"  # the guest begins one
BLOCK = "block"  # the guest has come here by other ways than from the instruction before
EXIT = "exit"  # the engine left for the monitor
INTERRUPT = "interrupt"  # an external interrupt is delivered
DEVICE = "device"  # a port or registers in memory, VMware's backdoor, a hypercall
KINDS = (INSTRUCTION, BLOCK, EXIT, INTERRUPT, DEVICE)


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """One thing that happened."""

    count: int  #: guest instructions completed before it
    kind: str  #: one of KINDS
    eip: int  #: the guest's, linear
    ring: int  #: the guest's CPL
    text: str  #: disassembly, reason of the exit, vector of the interrupt, access
    data: Mapping[str, int] = field(default_factory=dict)  #: DEVICE: port or address, size, value

    def line(self) -> str:
        """As text."""
        return f"{self.count:>12,}  {self.ring}  {self.eip:08x}  {self.kind:<11}  {self.text}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"count": self.count, "kind": self.kind, "eip": self.eip, "ring": self.ring,
                "text": self.text, "data": dict(self.data)}


@dataclass(frozen=True)
class Filter:
    """What is wanted. What is left empty lets everything through."""

    kinds: Collection[str] = KINDS
    addresses: tuple[tuple[int, int], ...] = ()  #: [from, to) of EIP
    rings: Collection[int] = field(default_factory=frozenset)
    #: Patterns for exits, interrupts and accesses to devices, with * and ?: "INT *", "in 0x3f?".
    reasons: tuple[str, ...] = ()

    def lets(self, event: TraceEvent) -> bool:
        """Is this one wanted?"""
        if event.kind not in self.kinds or (self.rings and event.ring not in self.rings):
            return False
        if self.addresses and not any(a <= event.eip < b for a, b in self.addresses):
            return False
        if not self.reasons or event.kind in (INSTRUCTION, BLOCK):
            return True
        return any(fnmatchcase(event.text, pattern) for pattern in self.reasons)

    @property
    def instructions(self) -> bool:
        """Has every instruction to be looked at?"""
        return INSTRUCTION in self.kinds or BLOCK in self.kinds


def access_text(kind: str, port: int, size: int, value: int) -> str:
    """An access in words (monitor.vmm.board.AccessListener): what filters by reason see."""
    if kind == "call":
        row = COMMANDS.get(value)
        return f"call {row.name if row else 'of an unknown command'} ({value})"
    if kind in ("rdpmc", "hypercall"):
        return f"{kind} {value:#x}"
    arrow = "->" if kind in ("in", "read") else "<-"
    return f"{kind} {port:#x} {arrow} {value:#0{2 * size + 2}x}"

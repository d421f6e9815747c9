"""What came of one experiment in one world, in a shape that compares fast and can be explained.

    >>> outcome.trap                       # None: it completed
    >>> outcome.visible == other.visible   # the same to the program that ran it
    >>> outcome.changes()                  # privileged state that it changed
    [("IF", 1, 0)]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from bt.interp.state import AC, ARITH, DF, ID, NT, TF

USER_FLAGS = ARITH | TF | DF | NT | AC | ID
REGISTERS = ("EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI")
SELECTORS = ("ES", "CS", "SS", "DS", "FS", "GS")
FLAG_NAMES = {
    0: "CF", 2: "PF", 4: "AF", 6: "ZF", 7: "SF", 8: "TF", 10: "DF", 11: "OF", 14: "NT", 18: "AC",
    21: "ID",
}  # fmt: skip

VECTOR_NAMES = {
    0: "#DE", 1: "#DB", 3: "#BP", 4: "#OF", 5: "#BR", 6: "#UD", 7: "#NM", 8: "#DF", 10: "#TS",
    11: "#NP", 12: "#SS", 13: "#GP", 14: "#PF", 16: "#MF", 17: "#AC",
}  # fmt: skip

#: The privileged state, in the order of `ExperimentOutcome.before` and `after`.
PRIVILEGED = (
    *("CPL", "IF", "IOPL", "VM", "VIF", "VIP", "RF", "CS RPL", "SS RPL"),
    *(f"{name} {part}" for name in ("ES", "CS", "SS", "DS", "FS", "GS")
      for part in ("base", "limit", "rights")),
    *("LDTR", "LDTR base", "TR", "TR base", "GDTR base", "GDTR limit", "IDTR base", "IDTR limit"),
    *("CR0", "CR2", "CR3", "CR4", *(f"DR{n}" for n in (0, 1, 2, 3, 6, 7)), "TSC", "MSR"),
    *("halted", "TLB flushes", "port writes", "descriptor tables"),
)  # fmt: skip


class Trap(NamedTuple):
    """A fault: the instruction did nothing, and the supervisor hears of it."""

    vector: int
    error: int

    def __str__(self) -> str:
        name = VECTOR_NAMES.get(self.vector, f"vector {self.vector}")
        has_error = self.vector in (8, 10, 11, 12, 13, 14, 17)
        return f"{name}({self.error:X})" if has_error else name


class Visible(NamedTuple):
    """The visible state afterwards. `unit`: the FNSAVE image, empty for integer instructions."""

    regs: tuple[int, ...]
    eip: int
    flags: int
    selectors: tuple[int, ...]
    window: bytes
    unit: bytes


@dataclass(frozen=True)
class ExperimentOutcome:
    """What came of an experiment in a world.

    `before` and `after` are the privileged state, in the order of PRIVILEGED.
    """

    trap: Trap | None
    visible: Visible
    before: tuple[int | str, ...]
    after: tuple[int | str, ...]
    gate: int | None = None  #: it completed in the handler of this vector

    def changes(self) -> list[tuple[str, int | str, int | str]]:
        """Privileged state that it changed: name, before, after."""
        if self.trap is not None or self.before == self.after:
            return []
        rows = zip(PRIVILEGED, self.before, self.after, strict=True)
        return [(name, old, new) for name, old, new in rows if old != new]

    def privileged(self, name: str) -> int | str:
        """A piece of the privileged state afterwards, by its name in PRIVILEGED."""
        return self.after[PRIVILEGED.index(name)]

    @property
    def eflags(self) -> int:
        """All of EFLAGS afterwards: what ring 3 can set, and IF and IOPL."""
        interrupts, level = int(self.privileged("IF")), int(self.privileged("IOPL"))
        return self.visible.flags | 2 | interrupts << 9 | level << 12


class MemoryNames(NamedTuple):
    """Offsets by which differences in memory are named; `first`: where a field begins."""

    window: int
    stack: int
    operand: int
    first: int = 0


def visible_differences(
    one: Visible, other: Visible, memory: MemoryNames
) -> list[tuple[str, str, str]]:
    """Name and both values of all that a program could tell apart."""
    found = [
        (name, f"{a:08X}", f"{b:08X}")
        for name, a, b in zip(REGISTERS, one.regs, other.regs, strict=True)
        if a != b
    ]
    if one.eip != other.eip:
        found.append(("EIP", f"{one.eip:08X}", f"{other.eip:08X}"))
    for bit, name in FLAG_NAMES.items():
        a, b = one.flags >> bit & 1, other.flags >> bit & 1
        if a != b:
            found.append((name, str(a), str(b)))
    for name, a, b in zip(SELECTORS, one.selectors, other.selectors, strict=True):
        if a != b:
            found.append((name, f"{a:04X}", f"{b:04X}"))
    found += _memory_differences(one.window, other.window, memory)
    if one.unit != other.unit:
        found += _unit_differences(one.unit, other.unit)
    return found


def _memory_differences(
    one: bytes, other: bytes, memory: MemoryNames
) -> list[tuple[str, str, str]]:
    found = []
    for start in range(memory.first, len(one), 4):
        a, b = (int.from_bytes(data[start : start + 4], "little") for data in (one, other))
        if a != b:
            address = memory.window + start
            operand, stack = address - memory.operand, address - memory.stack
            name = f"[operand{operand:+}]" if -4 < operand < 16 else f"[stack{stack:+}]"
            found.append((name.replace("+0]", "]"), f"{a:08X}", f"{b:08X}"))
    return found


def _unit_differences(one: bytes, other: bytes) -> list[tuple[str, str, str]]:
    """The image's seven doublewords by name; FCS is the low word of the fifth."""
    names = ("FCW", "FSW", "FTW", "FIP", "FCS", "FDP", "FDS")
    found = []
    for number, name in enumerate(names):
        mask = 0xFFFF if name in ("FCS", "FDS") else 0xFFFF_FFFF
        place = slice(4 * number, 4 * number + 4)
        a, b = (int.from_bytes(image[place], "little") & mask for image in (one, other))
        if a != b:
            found.append((name, f"{a:04X}", f"{b:04X}"))
    return found or [("x87 registers", "one value", "another")]

"""A row of the instruction table: the record, and the classes of sensitivity (bt/table.py)."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Class(enum.Enum):
    """Sensitivity of an instruction."""

    INNOCUOUS = "innocuous"
    PRIVILEGED = "privileged"
    CRITICAL = "critical"


# Critical groups that show a guest's *user* code the monitor's state; the others show ring 3 what
# the guest's own ring 3 has, or trap (bt/user_pages.py).
WRONG_IN_RING3 = frozenset(("SLDT", "STR", "SGDT", "SIDT", "SMSW", "LAR", "LSL", "VERR", "VERW"))


#: Features whose instructions have opcodes with mandatory prefixes (bt/table_simd.py).
PAGED = frozenset(("mmx", "fxsr", "sse", "sse2", "clfsh"))


@dataclass(frozen=True)
class Instruction:
    """One row of the table; the module's words explain opcode, operands and body."""

    opcode: str
    mnemonic: str
    operands: str
    body: str
    args: tuple[int, ...] = ()
    sensitivity: Class = Class.INNOCUOUS
    group: str = ""  #: for CRITICAL rows: the Robin and Irvine name
    lock: bool = False  #: LOCK is legal with a memory operand
    ends: bool = False  #: never falls through: the end of a block
    writes: str = ""  #: arithmetic flags it defines, of "oszapc"
    undefined: str = ""  #: arithmetic flags it leaves undefined
    feature: str = ""  #: a processor without it raises #UD (bt/interp/features.py); "": all have it

    @property
    def two_byte(self) -> bool:
        """Does its opcode begin with 0F, but for a mandatory prefix?"""
        return self.opcode.startswith("0F ") or self.mandatory != 0

    @property
    def mandatory(self) -> int:
        """The prefix that is part of its opcode, or 0 (bt/table_simd.py)."""
        prefix, _, behind = self.opcode.partition(" 0F ")
        return int(prefix, 16) if behind else 0

    @property
    def code(self) -> int:
        """Its place in tables: 0x1xx behind 0F; with 66, F3 and F2 0x2xx, 0x3xx and 0x4xx."""
        if not self.two_byte:
            return self.byte
        return {0: 0x100, 0x66: 0x200, 0xF3: 0x300, 0xF2: 0x400}[self.mandatory] + self.byte

    @property
    def paged(self) -> bool:
        """Do 66, F2 and F3 before its opcode always say another instruction, or none?"""
        return self.mandatory != 0 or self.feature in PAGED

    @property
    def lead(self) -> bytes:
        """What stands before the opcode byte: mandatory prefix and 0F."""
        return bytes([self.mandatory] if self.mandatory else []) + b"\x0f" * self.two_byte

    @property
    def byte(self) -> int:
        """The opcode byte (the second one of a two-byte opcode)."""
        text = self.opcode.partition("0F ")[2] if self.two_byte else self.opcode
        return int(text[:2], 16)

    @property
    def extension(self) -> int | None:
        """ModRM.reg that selects this row, or None."""
        if self.modrm is not None:
            return self.modrm >> 3 & 7
        return int(self.opcode[-1]) if "/" in self.opcode else None

    @property
    def modrm(self) -> int | None:
        """The whole ModRM byte that selects this row, or None."""
        return int(self.opcode[-2:], 16) if "=" in self.opcode else None

    @property
    def in_opcode(self) -> bool:
        """Is a register in the low three bits of its opcode?"""
        return self.opcode.endswith("+r")


class Rows(list[Instruction]):
    """Rows in the order in which they are written: a call adds one (bt/table.py)."""

    def __call__(
        self,
        opcode: str,
        mnemonic: str,
        operands: str,
        body: str,
        *args: int,
        cls: Class = Class.INNOCUOUS,
        group: str = "",
        lock: bool = False,
        ends: bool = False,
        writes: str = "",
        undefined: str = "",
        feature: str = "",
    ) -> None:
        """Add a row."""
        self.append(
            Instruction(
                opcode, mnemonic, operands, body, args,
                cls, group, lock, ends, writes, undefined, feature,
            )
        )  # fmt: skip

"""The table against an independent disassembler: mnemonic, length, operand width, flags.

Each row is encoded with a register and a memory operand, in 16 and 32-bit code, with and without
an operand-size prefix, and given to capstone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import capstone
import pytest
from capstone import x86

from bt.instruction import Instruction
from bt.table import TABLE
from bt.table_simd import SIMD

# Capstone names later instructions (prefetches, bounds, ENDBR32) in the P6's hint NOPs.
HINTS = {f"0F {code:02X}" for code in range(0x18, 0x1F)}
APART = {*HINTS, *(row.opcode for row in SIMD)}  # see test_table_simd.py
ROWS = [row for row in TABLE if row.mnemonic != "x87" and row.opcode not in APART]
FILL = bytes(range(1, 11))  # displacements and immediates
IDS = [f"{row.opcode} {row.mnemonic}" for row in ROWS]

#: Other names of the same condition.
CONDITIONS = {"NB": "AE", "Z": "E", "NZ": "NE", "NBE": "A", "NL": "GE", "NLE": "G"}

#: mnemonic: capstone's name for 16 and for 32-bit operands.
NAMES = {
    "PUSHA": ("pushaw", "pushal"),
    "POPA": ("popaw", "popal"),
    "PUSHF": ("pushf", "pushfd"),
    "POPF": ("popf", "popfd"),
    "IRET": ("iret", "iretd"),
    "CBW": ("cbw", "cwde"),
    "CWD": ("cwd", "cdq"),
    "FWAIT": ("wait", "wait"),
    "XLAT": ("xlatb", "xlatb"),
    "RET far": ("retf", "retf"),
    **{name: (name.lower() + "w", name.lower() + "d")
       for name in ("MOVS", "CMPS", "STOS", "LODS", "SCAS", "INS", "OUTS")},
}  # fmt: skip

#: Memory operands that are words whatever the operand size says.
ALWAYS_WORDS = {"SLDT", "STR", "SMSW", "LMSW"}

WIDTHS = {"byte ptr": 1, "word ptr": 2, "dword ptr": 4}


@dataclass(frozen=True)
class Form:
    """A row in one encoding. `bits`: of the code segment; `memory` is None without ModRM."""

    row: Instruction
    bits: int
    prefixed: bool
    memory: bool | None

    @property
    def opsize(self) -> int:
        return (self.bits // 8) ^ (6 if self.prefixed else 0)

    @property
    def code(self) -> bytes:
        """Prefix, opcode and ModRM: [disp16] or [disp32], else CX/ECX."""
        code = b"\x66" if self.prefixed else b""
        code += b"\x0f" if self.row.two_byte else b""
        code += bytes((self.row.byte + (3 if self.row.in_opcode else 0),))
        if self.row.modrm is not None:
            return code + bytes((self.row.modrm,))
        if self.memory is None:
            return code
        reg = 3 if self.row.extension is None else self.row.extension
        direct = 0x05 if self.bits == 32 else 0x06
        return code + bytes(((direct if self.memory else 0xC1) | reg << 3,))

    @property
    def length(self) -> int:
        """Bytes of the whole instruction, by the row's operand column."""
        size = len(self.code) + (self.bits // 8 if self.memory else 0)
        return size + sum(self.immediate(operand) for operand in operands(self.row))

    def immediate(self, operand: str) -> int:
        if operand in ("Ib", "Is", "Js"):
            return 1
        if operand == "Iw":
            return 2
        if operand in ("Iv", "Jv"):
            return self.opsize
        if operand == "Pv":
            return self.opsize + 2
        return self.bits // 8 if operand[0] == "O" else 0


def operands(row: Instruction) -> list[str]:
    return [operand for operand in row.operands.split(",") if operand]


def has_modrm(row: Instruction) -> bool:
    return row.extension is not None or any(operand[0] in "EGMR" for operand in operands(row))


def forms(row: Instruction, memory: tuple[bool, ...] = (False, True)) -> list[Form]:
    """The encodings of a row that exist."""
    kinds: tuple[bool | None, ...] = memory if has_modrm(row) else (None,)
    if row.modrm is not None:
        kinds = (False,)
    if any(operand[0] == "M" for operand in operands(row)):
        kinds = tuple(kind for kind in kinds if kind)
    if any(operand[0] == "R" for operand in operands(row)):
        kinds = tuple(kind for kind in kinds if not kind)
    return [Form(row, bits, prefixed, kind)
            for bits in (32, 16) for prefixed in (False, True) for kind in kinds]  # fmt: skip


@lru_cache
def disassembler(bits: int) -> capstone.Cs:
    cs = capstone.Cs(
        capstone.CS_ARCH_X86, capstone.CS_MODE_32 if bits == 32 else capstone.CS_MODE_16
    )
    cs.detail = True
    return cs


def disassemble(form: Form) -> capstone.CsInsn | None:
    return next(disassembler(form.bits).disasm((form.code + FILL)[:15], 0x1000, 1), None)


def expected_name(form: Form) -> str:
    """The row's mnemonic as capstone spells it."""
    name = form.row.mnemonic
    if name in ("CBW", "CWD") and form.bits == 16:  # capstone 5 has no other name there
        return NAMES[name][1]
    if name in NAMES:
        return NAMES[name][form.opsize == 4]
    if name == "JCXZ":
        return "jecxz" if form.bits == 32 else "jcxz"
    if name in ("CALL far", "JMP far"):
        return "l" + name.removesuffix(" far").lower()
    for stem in ("J", "SET", "CMOV"):
        if name.startswith(stem) and name.removeprefix(stem) in CONDITIONS:
            return (stem + CONDITIONS[name.removeprefix(stem)]).lower()
    if form.row.extension == 6 and name == "SHL":
        return "sal"
    return name.lower()


def spoken_name(found: capstone.CsInsn, form: Form) -> str:
    """Capstone's mnemonic, with two of its spellings made alike."""
    name = str(found.mnemonic)
    if name in ("push", "pop") and " " in form.row.mnemonic:
        return f"{name} {found.op_str}"
    if name in ("call", "jmp") and found.op_str.startswith("ptr ["):
        return "l" + name
    return name


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_mnemonic_and_length(row: Instruction) -> None:
    for form in forms(row):
        found = disassemble(form)
        assert found is not None, form.code.hex(" ")
        assert spoken_name(found, form) == expected_name(form), form.code.hex(" ")
        assert found.size == form.length, form.code.hex(" ")


@pytest.mark.parametrize(
    "row", [row for row in ROWS if "M" in {operand[0] for operand in operands(row)}]
)
def test_memory_only_operands_have_no_register_form(row: Instruction) -> None:
    """Capstone knows the register form as something newer (0F 01 C1 is VMCALL), or not at all."""
    for bits in (32, 16):
        found = disassemble(Form(row, bits, False, False))
        assert found is None or found.mnemonic != row.mnemonic.lower()


@pytest.mark.parametrize(
    "row", [row for row in ROWS if "E" in {operand[0] for operand in operands(row)}]
)
def test_width_of_the_memory_operand(row: Instruction) -> None:
    letter = next(operand[1] for operand in operands(row) if operand[0] == "E")
    for form in forms(row, (True,)):
        found = disassemble(form)
        assert found is not None
        widths = [w for text, w in WIDTHS.items() if f" {text} [" in f" {found.op_str}"]
        width = {"b": 1, "w": 2, "v": form.opsize}[letter]
        if row.mnemonic in ALWAYS_WORDS or "S" in operands(row):
            width = 2
        assert widths == [width], f"{form.code.hex(' ')}: {found.op_str}"


# Flags

LETTERS = {"o": "OF", "s": "SF", "z": "ZF", "a": "AF", "p": "PF", "c": "CF"}

#: Where capstone differs, with the reason.
FLAGS_DIFFER = {
    "IMUL": "capstone calls SF defined, as the manual did before 1999",
    "ROL": "OF is defined for a count of 1", "ROR": "the same",
    "RCL": "the same", "RCR": "the same", "SHLD": "the same", "SHRD": "the same",
    "POPF": "not arithmetic: the table's column is for instructions that compute flags",
    "IRET": "the same",
    "SYSENTER": "of the flags it clears VM, IF and RF; capstone lists all", "SYSEXIT": "the same",
}  # fmt: skip
NO_FLAGS_IN_CAPSTONE = {"84", "85", "F6 /1", "F7 /1"}  # TEST


def capstone_flags(found: capstone.CsInsn, *kinds: str) -> set[str]:
    masks = {
        letter: [getattr(x86, f"X86_EFLAGS_{kind}_{name}", 0) for kind in kinds]
        for letter, name in LETTERS.items()
    }
    return {letter for letter, bits in masks.items() if any(found.eflags & bit for bit in bits)}


@pytest.mark.parametrize(
    "row",
    [row for row in ROWS
     if row.mnemonic not in FLAGS_DIFFER and row.opcode not in NO_FLAGS_IN_CAPSTONE],
)  # fmt: skip
def test_flags(row: Instruction) -> None:
    found = disassemble(forms(row)[0])
    assert found is not None
    assert capstone_flags(found, "UNDEFINED") == set(row.undefined)
    defined = capstone_flags(found, "MODIFY", "RESET", "SET")
    assert defined == set(row.writes) - set(row.undefined)


def test_x87_opcodes_are_all_floating_point() -> None:
    rows = [row for row in TABLE if row.mnemonic == "x87"]
    assert [row.byte for row in rows] == list(range(0xD8, 0xE0))
    for row in rows:
        for modrm in range(256):
            code = bytes((row.byte, modrm)) + FILL
            found = next(disassembler(32).disasm(code, 0, 1), None)
            assert found is None or found.mnemonic.startswith("f"), code.hex(" ")

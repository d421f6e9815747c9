"""The forms of the instruction table, and their encodings (SDM vol. 2, chapter 2).

A *form* is a row of bt/table.py at one operand size, on memory or on registers, with one segment,
control or debug register where the row has one: `MOV r32, CS` is the row 8C, 32 bits, register
form, ModRM.reg 1. Of the x87 escapes each mnemonic that capstone knows is a form.

    >>> [form] = [f for f in all_forms() if f.name == "MOV Ev,CS" and f.size == 32 and not f.memory]
    >>> encode(form, 32, Operands()).hex(" ")
    '8c c9'

Memory operands are [EBX] ([BX] with 16-bit addresses), register operands ECX, ModRM.reg is EDX.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from bt.instruction import Instruction
from bt.models import DEFAULT
from bt.table import TABLE

SEGMENT_NAMES = ("ES", "CS", "SS", "DS", "FS", "GS")
CONTROL_NUMBERS = (0, 2, 3, 4)
DEBUG_NUMBERS = (0, 6, 7)
MEMORY_MODRM = {32: 0x03, 16: 0x07}  # [EBX], [BX]
REGISTER_MODRM = 0xC1  # ECX
REG_FIELD = 2  # EDX
LATER = ("FISTTP",)  # capstone knows them, the Pentium Pro does not
WIDTHS = ("b", "v")  # of instructions without such an operand
LOW_OPERAND = 1  # ECX's and EDX's number for Z, and ST(1)


@dataclass(frozen=True)
class Form:
    """One line of the result. `size` is 16 or 32, or 0 where no operand depends on it."""

    row: Instruction
    name: str
    size: int
    memory: bool
    reg: int | None = None  #: ModRM.reg, where it names a segment, control or debug register
    modrm: int | None = None  #: the whole byte of an x87 form

    @property
    def x87(self) -> bool:
        """Is it one of the x87 unit's?"""
        return self.row.body == "x87"


@dataclass(frozen=True)
class Operands:
    """What is encoded in the instruction itself."""

    immediate: int = 1
    second: int = 0  #: ENTER's level
    displacement: int = 0  #: of a relative branch
    offset: int = 0  #: of a far pointer, or of a memory offset
    selector: int = 0


def all_forms() -> list[Form]:
    """Every form that the default model has, in the table's order."""
    return [form for row in TABLE if not row.feature or row.feature in DEFAULT.features
            for form in _forms(row)]  # fmt: skip


def _forms(row: Instruction) -> list[Form]:
    if row.body == "x87":
        return _x87_forms(row)
    tokens = row.operands.split(",") if row.operands else []
    sizes = (32, 16) if any(token[-1:] == "v" or token == "Mp" for token in tokens) else (0,)
    letters = {token[0] for token in tokens}
    kinds: tuple[bool, ...] = (False,)
    if "M" in letters:
        kinds = (True,)
    elif "E" in letters:
        kinds = (True, False)
    return [
        Form(row, name, size, memory, reg)
        for name, reg in _named_registers(row, tokens)
        for size in sizes
        for memory in kinds
    ]


def _named_registers(row: Instruction, tokens: list[str]) -> list[tuple[str, int | None]]:
    """The row's name, once for each special register that ModRM.reg can name."""
    shown = [token for token in tokens if token not in WIDTHS]
    plain = f"{row.mnemonic} {','.join(shown)}".strip()
    for letter, names in (
        ("S", dict(enumerate(SEGMENT_NAMES))),
        ("C", {number: f"CR{number}" for number in CONTROL_NUMBERS}),
        ("D", {number: f"DR{number}" for number in DEBUG_NUMBERS}),
    ):
        if letter in tokens:
            found: list[tuple[str, int | None]] = []
            for number, name in names.items():
                texts = [name if token == letter else token for token in shown]
                found.append((f"{row.mnemonic} {','.join(texts)}", number))
            return found
    return [(plain, None)]


def _x87_forms(row: Instruction) -> list[Form]:
    found: dict[tuple[str, bool], Form] = {}
    memory = [digit << 3 | MEMORY_MODRM[32] for digit in range(8)]
    for modrm in (*memory, *range(0xC0, 0x100)):
        in_memory = modrm < 0xC0
        name = _x87_name(row.byte, modrm)
        if name and (name, in_memory) not in found:
            found[name, in_memory] = Form(row, name, 0, in_memory, None, modrm)
    return list(found.values())


@cache
def _disassembler() -> Any:
    from bt.scanner import make_disassembler

    return make_disassembler(32)


def _x87_name(escape: int, modrm: int) -> str:
    """Mnemonic and operand size of an x87 instruction; nothing where capstone knows none."""
    from bt.scanner import text_of

    text = text_of(_disassembler(), 0, bytes((escape, modrm)))
    mnemonic, _, operand = text.partition(" ")
    if mnemonic.upper() in LATER:
        return ""
    size = operand.partition(" ptr")[0] if modrm < 0xC0 and " ptr" in operand else ""
    return f"{mnemonic.upper()} {size}".strip()


def encode(form: Form, bits: int, operands: Operands) -> bytes:
    """The form's bytes in a code segment of 16 or 32 bits, without other prefixes."""
    row, size = form.row, form.size or bits
    opcode = row.byte + (LOW_OPERAND if row.in_opcode else 0)
    code = b"\x66" if size != bits else b""
    code += row.lead
    code += bytes((opcode,))
    code += _modrm(form, bits)
    return code + _immediates(row, size // 8, bits // 8, operands)


def _modrm(form: Form, bits: int) -> bytes:
    row = form.row
    if row.modrm is not None:
        return bytes((row.modrm,))
    if form.modrm is not None:
        return bytes((form.modrm if form.modrm >= 0xC0 else _memory(form.modrm >> 3, bits),))
    letters = {token[:1] for token in row.operands.split(",")}
    if not letters & set("EGMRSCD") and row.extension is None:
        return b""
    reg = next((n for n in (row.extension, form.reg) if n is not None), REG_FIELD)
    return bytes((_memory(reg, bits) if form.memory else REGISTER_MODRM | reg << 3,))


def _memory(reg: int, bits: int) -> int:
    return MEMORY_MODRM[bits] | (reg & 7) << 3


def _immediates(row: Instruction, size: int, address: int, operands: Operands) -> bytes:
    """Immediates, displacements and pointers, in the order of the table's operands."""
    code = b""
    values = iter((operands.immediate, operands.second))
    for token in row.operands.split(","):
        letter, width = token[:1], token[1:]
        if letter == "I" and width:
            length = {"b": 1, "s": 1, "w": 2, "v": size}[width]
            code += _little(next(values), length)
        elif letter == "J":
            code += _little(operands.displacement, 1 if width == "s" else size)
        elif letter == "O":
            code += _little(operands.offset, address)
        elif token == "Pv":
            code += _little(operands.offset, size) + _little(operands.selector, 2)
    return code


def _little(value: int, length: int) -> bytes:
    return (value & (1 << 8 * length) - 1).to_bytes(length, "little")

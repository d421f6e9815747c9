"""Where does an instruction end, and which row of the table is it? (SDM vol. 2, ch. 2)

For the code scanner: no operands, only length and identity, for 16 and 32-bit code, out of the
one instruction table. Of prefixes, F2 and F3 say more than 66, and the last of them says it.

Worked example: `66 81 7C 24 08 34 12` in 32-bit code. 66 makes the operand 16 bits; 81 has a
ModRM byte 7C = mod 1, reg 7, rm 4, so the row is "81 /7" CMP Ev,Iv; rm 4 adds a SIB byte, mod 1 a
displacement byte, Iv two bytes. Together 7 bytes.
"""

from __future__ import annotations

from typing import NamedTuple

from bt.instruction import Instruction
from bt.table import TABLE

PREFIXES = frozenset(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3")
OPERAND_SIZE = 0x66
ADDRESS_SIZE = 0x67
LONGEST = 15  # a longer instruction is a general protection fault

MODRM_OPERANDS = frozenset("EGMRSCDQNVWU")
REGISTER_FORMS = frozenset("NU")  # operands that are none where ModRM says memory
PAGES = {OPERAND_SIZE: 0x100, 0xF3: 0x200, 0xF2: 0x300}  # of mandatory prefixes: Instruction.code


class Located(NamedTuple):
    """One instruction in a stream: the table's row (None: undefined there), and how long it is."""

    row: Instruction | None
    length: int


class Tail(NamedTuple):
    """What follows an opcode: does a ModRM byte, and how many bytes of immediate?"""

    row: Instruction
    modrm: bool
    register_only: bool  # ModRM always names registers, whatever its mod bits say
    immediate: int


def immediate_size(row: Instruction, operand: int, address: int) -> int:
    """Bytes of immediate, displacement or pointer for an operand and an address size."""
    total = 0
    for text in row.operands.split(","):
        letter, size = text[:1], text[1:]
        if letter in "IJ" and size:
            total += {"b": 1, "s": 1, "w": 2, "v": operand}[size]
        elif letter == "O":
            total += address
        elif text == "Pv":
            total += operand + 2
    return total


def tail_of(row: Instruction, operand: int, address: int) -> Tail:
    """A row's tail, for an operand and an address size in bytes."""
    letters = {text[:1] for text in row.operands.split(",")}
    return Tail(
        row,
        bool(letters & MODRM_OPERANDS) or row.extension is not None,
        "R" in letters,
        immediate_size(row, operand, address),
    )


BY_MODRM = {(row.code, row.modrm): row for row in TABLE if row.modrm is not None}
BY_PREFIX = {row.byte for row in TABLE if row.paged}  # two-byte opcodes

Tails = list[list[Tail | None]]  # by opcode (Instruction.code), then by ModRM.reg: of memory and,
REGISTER = 8  # from here on, of registers


def build_tails(operand: int, address: int) -> Tails:
    """The tails of all opcodes for these sizes."""
    tails: Tails = [[None] * 16 for _ in range(0x500)]
    for row in TABLE:
        if row.modrm is not None:
            continue
        tail = tail_of(row, operand, address)
        letters = {text[:1] for text in row.operands.split(",")}
        for opcode in range(row.code, row.code + (8 if row.in_opcode else 1)):
            for reg in range(8) if row.extension is None else (row.extension,):
                if not letters & REGISTER_FORMS:
                    tails[opcode][reg] = tail
                if "M" not in letters:
                    tails[opcode][REGISTER + reg] = tail
    return tails


TAILS: dict[tuple[int, int], Tails] = {
    (operand, address): build_tails(operand, address) for operand in (2, 4) for address in (2, 4)
}


def modrm_size(code: bytes, at: int, address: int) -> int:
    """Bytes of ModRM, SIB and displacement; more than is left when the code ends before."""
    modrm = code[at]
    mod, rm = modrm >> 6, modrm & 7
    if mod == 3:
        return 1
    if address == 2:
        return 1 + (2 if mod == 0 and rm == 6 else mod)
    size = 1 + (0, 1, 4)[mod]
    if rm == 4:
        size += 1
        rm = code[at + 1] & 7 if at + 1 < len(code) else 0
    return size + 4 if mod == 0 and rm == 5 else size


def operand_size(code: bytes, offset: int, bits: int = 32) -> int:
    """2 or 4: what the instruction at an offset has for v-sized operands."""
    for byte in code[offset : offset + LONGEST]:
        if byte == OPERAND_SIZE:
            return 6 - (bits >> 3)
        if byte not in PREFIXES:
            break
    return bits >> 3


def locate(code: bytes, offset: int = 0, bits: int = 32) -> Located | None:
    """The instruction at an offset; None when the code ends inside it."""
    operand = address = bits >> 3
    end = len(code)
    at = offset
    page = 0
    while at < end and code[at] in PREFIXES:
        if code[at] == OPERAND_SIZE:
            operand = 6 - (bits >> 3)
            page = page or PAGES[OPERAND_SIZE]
        elif code[at] == ADDRESS_SIZE:
            address = 6 - (bits >> 3)
        else:
            page = PAGES.get(code[at], page)
        at += 1
        if at - offset >= LONGEST:
            return Located(None, LONGEST)
    if at >= end:
        return None
    opcode = code[at]
    at += 1
    if opcode == 0x0F:
        if at >= end:
            return None
        opcode = 0x100 + code[at] + (page if code[at] in BY_PREFIX else 0)
        at += 1
    rows = TAILS[operand, address][opcode]
    return _finish(code, offset, at, rows, address, opcode)


def _finish(
    code: bytes, offset: int, at: int, rows: list[Tail | None], address: int, opcode: int
) -> Located | None:
    """The instruction whose opcode, of one or (1xx) two bytes, ends at `at`."""
    needs_modrm = any(tail is not None and tail.modrm for tail in rows)
    if needs_modrm and at >= len(code):
        return None
    place = code[at] >> 3 & 7 if needs_modrm else 0
    if needs_modrm and code[at] >= 0xC0:
        place += REGISTER
    tail = rows[place]
    if tail is None:
        row = BY_MODRM.get((opcode, code[at])) if place >= REGISTER else None
        return Located(row, at - offset + (row is not None))
    if tail.modrm:
        at += 1 if tail.register_only else modrm_size(code, at, address)
    at += tail.immediate
    if at > len(code):
        return None
    return Located(tail.row, at - offset) if at - offset <= LONGEST else Located(None, LONGEST)

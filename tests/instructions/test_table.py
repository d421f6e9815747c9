"""The instruction table itself: nothing twice, nothing missing, classes as the manual says.

The opcode map of SDM volume 2, appendix A, is spelled out from the other side: here stands every
encoding that a Pentium 4 leaves undefined, and the table must define exactly the rest.
"""

from __future__ import annotations

from collections import Counter

from bt.instruction import Class, Instruction
from bt.table import TABLE

PREFIXES = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3}
ESCAPE = 0x0F

#: Two-byte opcodes that raise #UD, as (first, last).
UNDEFINED_TWO_BYTE = (
    (0x04, 0x05),  # LOADALL of the 286; SYSCALL
    (0x07, 0x07),  # LOADALL of the 386; SYSRET
    (0x0A, 0x0A),
    (0x0C, 0x0F),  # 3DNow!
    (0x24, 0x27),  # test registers of the 386 and 486
    (0x36, 0x3F),  # GETSEC; SSSE3, SSE4
    (0x6C, 0x6D),  # only with 66, as most of the holes in MMX's and SSE's rows
    (0x78, 0x7D),  # SSE3, SSE4a, VMX
    (0xA6, 0xA7),  # CMPXCHG of the first 486
    (0xAA, 0xAA),  # RSM: undefined outside of system management mode
    (0xB8, 0xB9),  # JMPE; UD1
    (0xD0, 0xD0),  # SSE3
    (0xD6, 0xD6),
    (0xE6, 0xE6),
    (0xF0, 0xF0),  # SSE3
    (0xFF, 0xFF),  # UD0
)

#: Two-byte opcodes behind a mandatory prefix that are instructions, by that prefix.
WITH_PREFIX = {
    0x66: (
        *((0x10, 0x17), (0x28, 0x2F), (0x50, 0x51), (0x54, 0x76), (0x7E, 0x7F), (0xC2, 0xC2)),
        *((0xC4, 0xC6), (0xD1, 0xEF), (0xF1, 0xFE)),
    ),
    0xF3: (
        *((0x10, 0x11), (0x2A, 0x2A), (0x2C, 0x2D), (0x51, 0x53), (0x58, 0x5F), (0x6F, 0x70)),
        *((0x7E, 0x7F), (0xC2, 0xC2), (0xD6, 0xD6), (0xE6, 0xE6)),
    ),
    0xF2: (
        *((0x10, 0x11), (0x2A, 0x2A), (0x2C, 0x2D), (0x51, 0x51), (0x58, 0x5A), (0x5C, 0x5F)),
        *((0x70, 0x70), (0xC2, 0xC2), (0xD6, 0xD6), (0xE6, 0xE6)),
    ),
}

#: ModRM.reg values that raise #UD, for each opcode that ModRM.reg extends.
UNDEFINED_EXTENSIONS = {
    "8F": {1, 2, 3, 4, 5, 6, 7},
    "C6": {1, 2, 3, 4, 5, 6, 7},
    "C7": {1, 2, 3, 4, 5, 6, 7},
    "FE": {2, 3, 4, 5, 6, 7},
    "FF": {7},
    "0F 00": {6, 7},
    "0F 01": {5},
    "0F BA": {0, 1, 2, 3},
    "0F 71": {0, 1, 3, 5, 7},
    "0F 72": {0, 1, 3, 5, 7},
    "0F 73": {0, 1, 3, 4, 5, 7},
    "0F AE": {4},
    "0F C7": {0, 2, 3, 4, 5, 6, 7},
    "66 0F 71": {0, 1, 3, 5, 7},
    "66 0F 72": {0, 1, 3, 5, 7},
    "66 0F 73": {0, 1, 4, 5},
}

#: Robin and Irvine (2000), section 3. They count seventeen: VERR and VERW are one entry there.
CRITICAL_GROUPS = {
    "SGDT", "SIDT", "SLDT", "SMSW", "PUSHF", "POPF",
    "LAR", "LSL", "VERR", "VERW", "POP-seg", "PUSH-seg",
    "CALL-far", "JMP-far", "INT-n", "RET-far/IRET", "STR", "MOV-seg",
}  # fmt: skip

CRITICAL_ROWS = {
    "SGDT": 1, "SIDT": 1, "SLDT": 1, "SMSW": 1, "PUSHF": 1, "POPF": 1,
    "LAR": 1, "LSL": 1, "VERR": 1, "VERW": 1, "STR": 1,
    "PUSH-seg": 6,  # ES CS SS DS FS GS
    "POP-seg": 5,  # all but CS
    "CALL-far": 2, "JMP-far": 2,  # immediate and memory pointer
    "INT-n": 3,  # INT3, INT n, INTO
    "RET-far/IRET": 3,  # RET far, with and without immediate; IRET
    "MOV-seg": 7,  # to and from; LES LDS LSS LFS LGS
}  # fmt: skip

#: Instructions of SDM volume 3, 5.9 and volume 1, 19.5 (the last line: by IOPL or I/O bitmap).
PRIVILEGED = {
    "LLDT", "LTR", "LGDT", "LIDT", "LMSW", "INVLPG", "CLTS", "INVD", "WBINVD", "HLT",
    "WRMSR", "RDMSR", "MOV", "SYSEXIT",
    "SYSENTER",  # by its MSR, which a monitor leaves zero
    "IN", "OUT", "INSB", "INS", "OUTSB", "OUTS", "CLI", "STI",
}  # fmt: skip

#: SDM volume 2, LOCK: with a memory destination.
LOCKABLE = {
    "ADD", "ADC", "AND", "BTC", "BTR", "BTS", "CMPXCHG", "CMPXCHG8B", "DEC", "INC", "NEG", "NOT",
    "OR", "SBB", "SUB", "XOR", "XADD", "XCHG",
}  # fmt: skip

#: What never goes on with the next instruction by itself.
ENDS_BLOCK = {
    "RET", "RET far", "IRET", "JMP", "JMP far", "CALL", "CALL far", "INT3", "INT", "INT1", "HLT",
    "UD2", "SYSENTER", "SYSEXIT",
}  # fmt: skip


def prefix(row: Instruction) -> str:
    """The row's opcode without extension or register: "FF", "0F BA"."""
    return bytes([*row.lead, row.byte]).hex(" ").upper()


def opcodes(row: Instruction) -> list[int]:
    """Opcodes the row covers; 0x1xx for two-byte ones, 0x2xx to 0x4xx with 66, F3, F2 before."""
    first = PAGES[row.lead] + row.byte
    return list(range(first, first + 8)) if row.in_opcode else [first]


PAGES = {b"": 0, b"\x0f": 0x100, b"\x66\x0f": 0x200, b"\xf3\x0f": 0x300, b"\xf2\x0f": 0x400}


def letters(row: Instruction) -> set[str]:
    return {operand[:1] for operand in row.operands.split(",")}


def defined(without: str = "") -> Counter[tuple[int, int]]:
    """How many rows, but for those with such operands, define each (opcode, ModRM.reg)."""
    cells: Counter[tuple[int, int]] = Counter()
    for row in TABLE:
        for opcode in opcodes(row):
            if row.modrm is not None or letters(row) & set(without):
                continue  # see test_rows_with_a_whole_modrm_byte
            extensions = range(8) if row.extension is None else (row.extension,)
            cells.update((opcode, extension) for extension in extensions)
    return cells


def undefined() -> set[tuple[int, int]]:
    cells = {(0x100 + byte, reg) for low, high in UNDEFINED_TWO_BYTE
             for byte in range(low, high + 1) for reg in range(8)}  # fmt: skip
    for name, extensions in UNDEFINED_EXTENSIONS.items():
        opcode = int(name[-2:], 16) + PAGES[bytes.fromhex(name)[:-1]]
        cells |= {(opcode, reg) for reg in extensions}
    for prefix_byte, spans in WITH_PREFIX.items():
        page = PAGES[bytes([prefix_byte, 0x0F])]
        known = {byte for low, high in spans for byte in range(low, high + 1)}
        cells |= {(page + byte, reg) for byte in {*range(256)} - known for reg in range(8)}
    return cells


def test_no_encoding_is_defined_twice() -> None:
    """A register form (operand U or N) may have the opcode of a memory form (M)."""
    for without in ("UN", "M"):
        twice = {cell for cell, count in defined(without).items() if count > 1}
        assert {(hex(opcode), reg) for opcode, reg in twice} == set()


def test_every_encoding_is_defined_or_listed_as_undefined() -> None:
    not_instructions = PREFIXES | {ESCAPE}
    every = {(opcode, reg) for opcode in range(0x500) for reg in range(8)}
    every -= {(opcode, reg) for opcode in not_instructions for reg in range(8)}
    assert every - defined().keys() - undefined() == set(), "neither defined nor undefined"
    assert undefined() & defined().keys() == set(), "defined and undefined"
    assert defined().keys() - every == set(), "a prefix is defined as an instruction"


def test_opcodes_with_extensions_have_no_plain_row() -> None:
    kinds: dict[str, set[bool]] = {}
    for row in TABLE:
        kinds.setdefault(prefix(row), set()).add(row.extension is None)
    assert [name for name, both in kinds.items() if len(both) > 1] == []


def test_rows_with_a_whole_modrm_byte() -> None:
    """They are register forms of a group's member that has only memory forms."""
    rows = [row for row in TABLE if row.modrm is not None]
    assert len({(row.byte, row.modrm) for row in rows}) == len(rows) > 0
    for row in rows:
        assert row.modrm is not None and row.modrm >= 0xC0 and row.two_byte
        [other] = [o for o in TABLE if o.opcode == f"{prefix(row)} /{row.extension}"]
        assert "M" in other.operands


def test_the_opcode_notation_reads_back() -> None:
    for row in TABLE:
        text = prefix(row)
        if row.modrm is not None:
            text += f"={row.modrm:02X}"
        elif row.extension is not None:
            text += f" /{row.extension}"
        assert row.opcode == text + ("+r" if row.in_opcode else "")


def test_every_critical_group_is_there() -> None:
    rows = Counter(row.group for row in TABLE if row.sensitivity is Class.CRITICAL)
    assert set(rows) == CRITICAL_GROUPS
    assert dict(rows) == CRITICAL_ROWS


def test_only_critical_rows_have_a_group() -> None:
    assert all((row.group != "") == (row.sensitivity is Class.CRITICAL) for row in TABLE)


def test_privileged_rows_are_those_of_the_manual() -> None:
    names = {row.mnemonic for row in TABLE if row.sensitivity is Class.PRIVILEGED}
    assert names == PRIVILEGED
    moves = {row.opcode for row in TABLE
             if row.sensitivity is Class.PRIVILEGED and row.mnemonic == "MOV"}  # fmt: skip
    assert moves == {"0F 20", "0F 21", "0F 22", "0F 23"}
    others = {row.mnemonic for row in TABLE if row.sensitivity is not Class.PRIVILEGED}
    assert others & (PRIVILEGED - {"MOV"}) == set()


def test_totals_by_class() -> None:
    totals = Counter(row.sensitivity for row in TABLE)
    assert totals[Class.CRITICAL] == sum(CRITICAL_ROWS.values()) == 39
    assert totals[Class.PRIVILEGED] == 32
    assert totals[Class.INNOCUOUS] == len(TABLE) - 71


def test_lock_is_legal_exactly_on_the_manuals_memory_destinations() -> None:
    for row in TABLE:
        destination = row.operands[:1] in ("E", "M")
        assert row.lock == (row.mnemonic in LOCKABLE and destination), row


def test_blocks_end_where_nothing_falls_through() -> None:
    for row in TABLE:
        assert row.ends == (row.mnemonic in ENDS_BLOCK), row


def test_flag_letters() -> None:
    for row in TABLE:
        for letters in (row.writes, row.undefined):
            assert set(letters) <= set("oszapc"), row
            assert len(set(letters)) == len(letters), row


def test_operand_notation() -> None:
    """Every operand is a kind and a size of the table's legend, or a bare operand size."""
    kinds = "EGMRZAIJOPSCDQNVWU"
    for row in TABLE:
        for number, operand in enumerate(row.operands.split(",") if row.operands else []):
            if operand in ("b", "v"):
                assert number == 0, row
            elif operand != "1":
                assert operand[0] in kinds, row
                assert operand[1:] in ("", "b", "w", "v", "p", "q", "s", "d", "x"), row

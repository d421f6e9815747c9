"""Lengths: every row of the table, in both code sizes, against capstone; and real code."""

from __future__ import annotations

import random
from pathlib import Path

import capstone
import pytest

from bt.instruction import Instruction
from bt.lengths import LONGEST, PREFIXES, TAILS, locate
from bt.table import TABLE

BUSYBOX = Path(__file__).parents[2] / "guests" / "busybox"
MODRMS = (0x00, 0x04, 0x05, 0x06, 0x44, 0x46, 0x84, 0x86, 0xC3)
PREFIX_SETS = (b"", b"\x66", b"\x67", b"\x66\x67", b"\x2e", b"\x64\x66")


def disassembler(bits: int) -> capstone.Cs:
    mode = capstone.CS_MODE_16 if bits == 16 else capstone.CS_MODE_32
    return capstone.Cs(capstone.CS_ARCH_X86, mode)


def encodings(row: Instruction) -> list[bytes]:
    """The row's opcode with every kind of ModRM byte, and filler behind."""
    opcode = row.lead + bytes((row.byte,))
    if row.modrm is not None:
        return [opcode + bytes((row.modrm,)) + bytes(13)]
    tails = TAILS[4, 4][row.code]
    tail = next(t for t in tails if t is not None and t.row is row)
    if not tail.modrm:
        return [opcode + bytes(14)]
    reg = 0 if row.extension is None else row.extension
    forms = [place for place, t in enumerate(tails) if t is not None and t.row is row]
    modrms = [m & 0xC7 | reg << 3 for m in MODRMS if reg + 8 * (m >= 0xC0) in forms]
    if tail.register_only:
        modrms = [0xC0 | reg << 3]
    return [opcode + bytes((modrm, sib)) + bytes(12) for modrm in modrms for sib in (0x25, 0x24)]


@pytest.mark.parametrize("bits", [16, 32])
def test_every_row_has_capstones_length(bits: int) -> None:
    reference = disassembler(bits)
    compared = 0
    for row in TABLE:
        for encoding in encodings(row):
            for prefixes in PREFIX_SETS:
                if row.paged and b"\x66" in prefixes:
                    continue  # another row, or none
                code = prefixes + encoding
                found = locate(code, 0, bits)
                assert found is not None and found.row is row, code.hex()
                # What capstone does not know (SALC) gives it nothing to iterate over.
                for _, length, _, _ in reference.disasm_lite(code[:LONGEST], 0, 1):
                    compared += 1
                    assert found.length == length, (code.hex(), row.opcode, row.mnemonic)
    assert compared > 5000


def test_the_end_of_the_code() -> None:
    whole = bytes.fromhex("6681bc2478563412bc9a")  # cmp word [esp+12345678], 9ABC
    assert locate(whole) is not None
    for length in range(len(whole)):
        assert locate(whole[:length]) is None
    assert locate(whole, len(whole)) is None


def test_too_many_prefixes() -> None:
    assert locate(b"\x66" * 20 + b"\x90") == (None, LONGEST)
    assert locate(b"\x66" * 12 + b"\xb8\x00\x00") is not None
    assert locate(b"\x2e" * 14 + b"\xb8" + bytes(4)) == (None, LONGEST)


def test_undefined_opcodes() -> None:
    for text in ("0f05", "0f0f", "0f04", "0fff", "fe38", "c7c8", "0f01c0", "0f01c8"):
        found = locate(bytes.fromhex(text) + bytes(12))
        assert found is not None and found.row is None, text


def test_random_bytes_never_fail() -> None:
    generator = random.Random(1)
    for _ in range(20_000):
        code = generator.randbytes(generator.randrange(1, 20))
        found = locate(code, 0, generator.choice((16, 32)))
        assert found is None or 1 <= found.length <= min(len(code), LONGEST)
    assert all(locate(bytes((prefix,))) is None for prefix in PREFIXES)


@pytest.mark.skipif(not BUSYBOX.exists(), reason="no guests/busybox: `make guests`")
def test_a_stretch_of_busybox() -> None:
    code = BUSYBOX.read_bytes()[0x20000:0x40000]
    reference = disassembler(32)
    at = compared = 0
    for address, length, _, _ in reference.disasm_lite(code, 0):
        found = locate(code, address)
        if found is not None and found.row is not None:
            assert found.length == length, code[address : address + 15].hex()
            compared += 1
        at = address + length
    assert compared > 0.9 * at / 4.5

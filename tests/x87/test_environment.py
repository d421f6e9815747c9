"""The four forms of the x87 environment, field by field (SDM vol. 1, figures 8-9 to 8-12)."""

from __future__ import annotations

import struct

import pytest

from bt.interp.state import CR0_NE, CS, DS, SS
from tests.x87.machine import CODE, DATA, finish, prepared, run

FLD1_FADD = "dbe3 d9e8 d80500900000"  # FNINIT; FLD1; FADD m32 [0x9000]
FADD_AT = CODE + 4
REAL_BASE = 0x2000  # base of the real-mode segments below


def test_protected_32() -> None:
    end = run(bytes.fromhex(FLD1_FADD + "d93500800000"))
    image = struct.unpack("<7I", end.bytes_at(DATA, 28))
    assert image == (
        0xFFFF037F,
        0xFFFF3800,
        0xFFFF3FFF,
        FADD_AT,
        0x0005_0008,  # FADD m32 is D8 05: opcode 005; CS
        0x9000,
        0xFFFF_0010,
    )


def test_protected_16() -> None:
    end = run(bytes.fromhex(FLD1_FADD + "66d93500800000"))
    image = struct.unpack("<7H", end.bytes_at(DATA, 14))
    assert image == (0x37F, 0x3800, 0x3FFF, FADD_AT, 8, 0x9000, 16)
    assert end.bytes_at(DATA + 14, 2) == b"\0\0"


def real_mode(code: str, size: int) -> bytes:
    """Run 16-bit code in real mode, CS = DS = 0x1200; the environment is stored at DS:0x100."""
    cpu, ram = prepared(b"")
    cpu.cr0 = CR0_NE | 0x10
    base = 0x12000
    program = bytes.fromhex(code) + b"\xf4"
    ram[base : base + len(program)] = program
    for seg in (CS, DS, SS):
        cpu.set_segment(seg, 0x1200, base, 0xFFFF, 0x9B if seg == CS else 0x93)
    cpu.eip = 0
    end = finish(cpu, ram)
    assert end.vector is None
    return end.bytes_at(base + 0x100, size)


REAL_CODE = "dbe3 d9e8 d806 3412"  # FNINIT; FLD1; FADD m32 [0x1234]


def test_real_16() -> None:
    image = struct.unpack("<7H", real_mode(REAL_CODE + "d9360001", 14))
    assert image == (0x37F, 0x3800, 0x3FFF, 0x2004, 0x1006, 0x3234, 0x1000)


def test_real_32() -> None:
    image = struct.unpack("<7I", real_mode(REAL_CODE + "66d9360001", 28))
    assert image == (
        0xFFFF037F,
        0xFFFF3800,
        0xFFFF3FFF,
        0xFFFF2004,
        0x0000_1006,
        0xFFFF3234,
        0x0000_1000,
    )


@pytest.mark.parametrize("prefix", ["", "66"])
def test_real_mode_round_trip(prefix: str) -> None:
    """FNSTENV, FNINIT, FLDENV, FNSTENV: the same image, but that FNSTENV masks nothing new."""
    code = f"{REAL_CODE} {prefix}d9360001 dbe3 {prefix}d9260001 {prefix}d9364001"
    image = real_mode(code, 0x80)
    size = 28 if prefix else 14
    assert image[:size] == image[0x40 : 0x40 + size]


@pytest.mark.parametrize("prefix", ["", "66"])
def test_fnsave_initialises_and_frstor_brings_back(prefix: str) -> None:
    """FLDPI FLD1 FNSAVE FNSTENV FRSTOR FNSAVE."""
    save, env, restore = (
        f"{prefix}{op}" for op in ("dd3500800000", "d93580800000", "dd2500800000")
    )
    again = f"{prefix}dd3500810000"
    end = run(bytes.fromhex(f"dbe3 d9eb d9e8 {save} {env} {restore} {again}"))
    size = 94 if prefix else 108
    first = end.bytes_at(DATA, size)
    assert first == end.bytes_at(DATA + 0x100, size)
    registers = first[14 if prefix else 28 :]
    assert registers[:10].hex() == "0000000000000080ff3f"
    assert registers[10:20].hex() == "35c26821a2da0fc90040"
    tag_at = DATA + 0x80 + (4 if prefix else 8)
    assert end.bytes_at(tag_at, 2) == b"\xff\xff"


def test_tags_are_worked_out_when_stored() -> None:
    """Empty, valid, zero, special: FLD1, FLDZ, then infinity from 1 / 0."""
    end = run(bytes.fromhex("dbe3 d9e8 d9ee d9e8 d8f1 d93500800000"))
    # FLD1 in R7 (valid), FLDZ in R6 (zero), 1/0 in R5 (special)
    assert end.bytes_at(DATA + 8, 2) == struct.pack("<H", 0b00_01_10_1111111111)


def test_reserved_control_bits() -> None:
    """Bit 6 reads as one, bits 7 and 13 to 15 as zero."""
    end = run(bytes.fromhex("d92d00800000 d93d10800000"), data=b"\xbf\xff")
    assert end.bytes_at(DATA + 16, 2) == struct.pack("<H", 0x1F7F)


@pytest.mark.parametrize("modrm", [0x07, 0x3F, 0x47, 0x7F, 0x80, 0x87, 0xB8, 0xBF])
def test_the_operand_of_every_memory_form(modrm: int) -> None:
    """FADD to FDIVR m32 of [EAX] and [EDI], without and with a displacement."""
    size = {0: 0, 1: 1, 2: 4}[modrm >> 6]
    cpu, ram = prepared(bytes([0xDB, 0xE3, 0xD9, 0xE8, 0xD8, modrm]) + b"\x10\0\0\0"[:size])
    for register in (0, 7):
        cpu.set_reg(register, DATA + register)
    assert finish(cpu, ram).vector is None
    assert cpu.fpu_dp == DATA + (modrm & 7) + (0x10 if size else 0)
    assert (cpu.fpu_op, cpu.fpu_ip) == (modrm, CODE + 4)

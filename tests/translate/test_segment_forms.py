"""How an instruction is taken apart for a stub (bt/segment_access.py), form by form of the table.

Capstone says what the instruction is: the stub's must be the same one, with another address, in a
register that it has no other use for.
"""

from __future__ import annotations

from collections.abc import Iterator

import capstone
import pytest
from capstone import x86

from bt.instruction import Class, Instruction
from bt.policy import policy_of
from bt.reserved import RESERVED
from bt.segment_access import (
    IMPLICIT,
    NO_ACCESS,
    READ,
    WRITTEN,
    Access,
    take_apart,
    touches_memory,
)
from bt.table import TABLE
from bt.table_simd import SIMD
from bt.vcpu_page import READ_BOUNDS, WRITE_BOUNDS

# Bodies with a memory operand that are left to the monitor, on purpose
LEFT = {"bt_eg", "x87", *(row.body for row in SIMD)} - {*NO_ACCESS}
NUMBERS = {"eax": 0, "ecx": 1, "edx": 2, "ebx": 3, "esp": 4, "ebp": 5, "esi": 6, "edi": 7}
IMMEDIATES = {"Ib": b"\x7f", "Is": b"\x81", "Iw": b"\x34\x12", "Iv": b"\x78\x56\x34\x12"}
ADDRESSES = (  # mod and rm, SIB and displacement
    b"\x03", b"\x00", b"\x01", b"\x06", b"\x47\x81", b"\x85\x04\x03\x02\x01",
    b"\x05\x78\x56\x34\x12", b"\x04\x24", b"\x04\x0b", b"\x44\xc8\x10",
    b"\x84\x86\x00\x00\x00\x80", b"\x04\x25\x08\x00\x00\x00",
    b"\x04\x8d\xfc\xff\xff\xff", b"\x45\x00", b"\x44\x65\xff",
)  # fmt: skip
SERVED = [
    row
    for row in TABLE
    if row.body in (*READ, *WRITTEN) and set("EMO") & {text[:1] for text in row.operands.split(",")}
]


def decoder() -> capstone.Cs:
    made = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    made.detail = True
    return made


DECODER = decoder()


def instruction(code: bytes) -> capstone.CsInsn:
    found = next(DECODER.disasm(code, 0))
    assert found.size == len(code), code.hex()
    return found


def forms(row: Instruction, prefix: bytes) -> Iterator[bytes]:
    """Encodings of a row with a memory operand, all registers in turn."""
    opcode = row.lead + bytes([row.byte])
    kinds = row.operands.split(",")
    immediate = b"".join(IMMEDIATES.get(text, b"") for text in kinds)
    if b"\x66" in prefix and "Iv" in kinds:
        immediate = immediate[:2]
    if any(text[:1] == "O" for text in kinds):
        yield prefix + opcode + b"\x78\x56\x34\x12"
        return
    registers = range(8) if row.extension is None else (row.extension,)
    for address in ADDRESSES:
        for reg in registers:
            yield prefix + opcode + bytes([address[0] | reg << 3]) + address[1:] + immediate


def surveyed(code: bytes, row: Instruction) -> tuple[int, ...]:
    size = 1 if any(text[1:] == "b" for text in row.operands.split(",")[:1]) else 4
    if size == 4 and b"\x66" in code[:3]:
        size = 2
    return (0, len(code), 0, 0, 0, size, 0, 5, 0)


def cases(row: Instruction) -> Iterator[tuple[bytes, Access | None]]:
    prefixes = [b"\x65", b"\x66\x65"] + ([b"\xf0\x65"] if row.lock else [])
    for prefix in prefixes:
        for code in forms(row, prefix):
            yield code, take_apart(code, surveyed(code, row), row, "gs")


@pytest.mark.parametrize("row", SERVED, ids=lambda row: f"{row.opcode} {row.mnemonic}")
def test_the_same_instruction_at_another_address(row: Instruction) -> None:
    count = 0
    for code, access in cases(row):
        if access is None:
            assert row.body == "pop_e" and instruction(code).operands[0].mem.base == x86.X86_REG_ESP
            continue
        count += 1
        before, after = instruction(code), instruction(access.guest_code)
        assert after.id == before.id
        assert (0xF0 in after.prefix) == (0xF0 in before.prefix)
        assert (0x66 in after.prefix) == (0x66 in before.prefix)
        register = check_operands(before, after, access)
        check_free(register, before)
        check_bounds(before, access, row)
    assert count


def check_operands(before: capstone.CsInsn, after: capstone.CsInsn, access: Access) -> str:
    """All the same but the memory operand, which is at [register] now; that register's name."""
    register = ""
    turned = instruction(access.address_code)
    for old, new in zip(before.operands, after.operands, strict=True):
        assert (old.type, old.size) == (new.type, new.size)
        if old.type == x86.X86_OP_REG:
            assert old.reg == new.reg
        elif old.type == x86.X86_OP_IMM:
            assert old.imm == new.imm
        else:
            assert new.mem.segment == 0 and new.mem.index == 0
            register = after.reg_name(new.mem.base)
            check_address(old.mem, new.mem, turned)
    assert register == turned.reg_name(turned.operands[0].reg)
    return register


def check_address(old: x86.X86OpMem, new: x86.X86OpMem, turned: capstone.CsInsn) -> None:
    """The address code makes the old one, its top bit turned over; or the access has it."""
    place = turned.operands[1]
    wanted = old.disp + 0x80000000 & 0xFFFFFFFF
    if turned.mnemonic == "lea":
        found = (place.mem.base, place.mem.index, place.mem.scale, place.mem.disp & 0xFFFFFFFF)
        assert found == (old.base, old.index, old.scale, wanted)
        assert new.disp == 0
    else:
        assert (turned.mnemonic, place.imm & 0xFFFFFFFF) == ("mov", wanted)
        assert (old.base, old.index) == (0, 0)
        assert new.disp & 0xFFFFFFFF == wanted


def check_free(register: str, before: capstone.CsInsn) -> None:
    """The instruction itself does not know the register, nor a part of it."""
    implicit, explicit = set(before.regs_read), set(before.regs_write)
    used = implicit | explicit
    used |= {operand.reg for operand in before.operands if operand.type == x86.X86_OP_REG}
    parts = {register, register[1:], f"{register[1]}l", f"{register[1]}h"}
    names = {before.reg_name(each) for each in used}
    assert register in ("ecx", "eax", "esi")
    assert not names & (parts if register != "esi" else {"esi", "si"}), (before, register)


def check_bounds(before: capstone.CsInsn, access: Access, row: Instruction) -> None:
    operand = next(each for each in before.operands if each.type == x86.X86_OP_MEM)
    bounds = next(
        line for run in access.stub.hot if run.kind == "code"
        for line in DECODER.disasm(run.code, 0) if line.mnemonic == "bound"
    )  # fmt: skip
    slot = bounds.operands[1].mem.disp
    writes = row.body in WRITTEN and row.mnemonic not in ("CMP", "BT")
    size = operand.size
    assert slot == (WRITE_BOUNDS if writes else READ_BOUNDS) + 8 * (size.bit_length() - 1)
    assert bool(operand.access & capstone.CS_AC_WRITE) <= writes  # never less than it does


def test_every_operand_in_memory_is_served_or_left_on_purpose() -> None:
    """A new row of the table with a memory operand has to be put somewhere."""
    for row in TABLE:
        letters = {text[:1] for text in row.operands.split(",")}
        if policy_of(row, user=False) == "copy" and letters & set("EMOQW"):
            assert row.body in (*READ, *WRITTEN, *NO_ACCESS, *LEFT), row


def test_operands_that_nobody_names() -> None:
    """Of innocuous rows: strings, XLAT, stores by mask; STOS, SCAS and INS always use ES."""
    strings = {"movs", "cmps", "lods", "stos", "scas", "xlat"}
    strings |= {"mmx_masked_store", "xmm_masked_store"}
    bodies = {row.body for row in TABLE if row.sensitivity is Class.INNOCUOUS}
    assert strings <= bodies
    for row in TABLE:
        if row.body in strings:
            item = (0, 2, 0, 0xC0, 0, 4, 0, 5, 0)
            assert touches_memory(item, row) == (row.body not in ("stos", "scas"))
            assert (row.body in IMPLICIT) == (row.body not in ("stos", "scas"))


def test_register_forms_touch_nothing() -> None:
    add = next(row for row in TABLE if row.opcode == "01")
    assert touches_memory((0, 3, 0, 0x18, 0, 4, 0, 5, 0), add)
    assert not touches_memory((0, 3, 0, 0xC3, 0, 4, 0, 5, 0), add)
    push = next(row for row in TABLE if row.opcode == "50+r")
    assert not touches_memory((0, 2, 0, 0, 0, 4, 0, 5, 0), push)


def test_all_registers_that_can_be_reserved_do() -> None:
    row = next(row for row in TABLE if row.opcode == "8B")
    for reserved in RESERVED.values():
        access = take_apart(b"\x65\x8b\x03", (0, 3, 0, 3, 0, 4, 0, 5, 0), row, reserved.name)
        assert access is not None
        assert access.stub.hot[0].code[0] == reserved.override

"""The rows of MMX and SSE against an independent disassembler: names, lengths, kinds of operands.

And which of an opcode's instructions it is, whatever the order and number of the prefixes.
"""

from __future__ import annotations

from functools import lru_cache

import capstone
import pytest
from capstone import x86
from user_cpu import CODE, DATA, PHYSICAL, Fault, UserCpu

from bt.hostcpu import layout as at
from bt.hostcpu.host import Case, HostCpu, State
from bt.instruction import Instruction
from bt.interp.state import CR4_OSFXSR, CR4_OSXMMEXCPT
from bt.lengths import locate
from bt.models import MODELS
from bt.table_simd import SIMD

FILL = bytes((0, 1, 2, 3, 4, 5, 6, 7))
#: CMPPS and its like have eight names, by the predicate in the immediate.
PREDICATES = ("eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord")
BYTES = {"d": 4, "q": 8, "x": 16, "w": 2}
REGISTERS = {"P": "mm", "Q": "mm", "N": "mm", "V": "xmm", "W": "xmm", "U": "xmm"}
GENERAL = {"E", "G"}
WRONG_IN_CAPSTONE = {"COMISD": 8}
UNSIZED = {"FXSAVE", "FXRSTOR", "CLFLUSH"}


@lru_cache
def disassembler() -> capstone.Cs:
    made = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    made.detail = True
    return made


def letters(row: Instruction) -> list[str]:
    return [operand[:1] for operand in row.operands.split(",") if operand]


def encodings(row: Instruction) -> list[tuple[bool, bytes]]:
    """Is it with memory, and the bytes: [disp32], or register 1, reg 3 unless it extends."""
    opcode = row.lead + bytes([row.byte])
    if not row.operands:
        return [(False, opcode)]
    reg = 3 if row.extension is None else row.extension
    kinds = (True, False)
    if set(letters(row)) & {"M"}:
        kinds = (True,)
    elif set(letters(row)) & {"U", "N"}:
        kinds = (False,)
    register = 0xC0 if row.operands == "U" else 0xC1  # capstone knows fences by one byte only
    return [
        (memory, opcode + bytes([(0x05 if memory else register) | reg << 3])) for memory in kinds
    ]


def decoded(code: bytes) -> capstone.CsInsn:
    return next(disassembler().disasm(code + FILL, 0x1000, 1))


def expected_name(row: Instruction) -> str:
    name = row.mnemonic.lower()
    if name.startswith("cmp"):
        return f"cmp{PREDICATES[0]}{name[3:]}"
    return name


@pytest.mark.parametrize("row", SIMD, ids=[f"{row.opcode} {row.mnemonic}" for row in SIMD])
def test_capstone_agrees(row: Instruction) -> None:
    for memory, code in encodings(row):
        if row.mnemonic.startswith("CMP") and not memory:
            found = decoded(code + b"\0")
        else:
            found = decoded(code)
        where = locate(code + FILL)
        assert where is not None and where.row is row, code.hex(" ")
        assert where.length == found.size, code.hex(" ")
        if not row.mnemonic.startswith("CMP") or not memory:
            assert found.mnemonic == expected_name(row), code.hex(" ")
        operands = [each for each in found.operands if each.type != x86.X86_OP_IMM]
        own = [text for text in row.operands.split(",") if text not in ("", "Ib", "U")]
        if "MASKMOV" in row.mnemonic:  # capstone shows [edi], too
            operands = operands[-2:]
        assert len(operands) == len(own), found.op_str
        for text, operand in zip(own, operands, strict=True):
            if operand.type == x86.X86_OP_MEM:
                assert memory and text[0] in "MQWE", found.op_str
                if row.mnemonic not in UNSIZED:
                    width = WRONG_IN_CAPSTONE.get(row.mnemonic, operand.size)
                    assert width == BYTES[text[1:]], f"{found.mnemonic} {found.op_str}"
            else:
                name = found.reg_name(operand.reg)
                kind = REGISTERS.get(text[0])
                assert name.rstrip("01234567") == kind if kind else text[0] in GENERAL, name


# --- which one it is ----------------------------------------------------------------------------

ORDERS = (
    ("0f58c1", "ADDPS"), ("660f58c1", "ADDPD"), ("f30f58c1", "ADDSS"), ("f20f58c1", "ADDSD"),
    ("66f30f58c1", "ADDSS"), ("f3660f58c1", "ADDSS"), ("f266f30f58c1", "ADDSS"),
    ("f3f20f58c1", "ADDSD"), ("f2f3f20f58c1", "ADDSD"), ("f26664f20f58c1", "ADDSD"),
    ("66660ffcc1", "PADDB"), ("67660f6f07", "MOVDQA"), ("660f1200", "MOVLPD"),
    ("0f12c1", "MOVHLPS"),
    ("0faef8", "SFENCE"), ("0fae38", "CLFLUSH"),
)  # fmt: skip
#: A prefix that makes no instruction of it, an operand of the wrong kind, LOCK.
UNDEFINED = (
    "f30ffcc1", "f20ffcc1", "f30f54c1", "f20f54c1", "f30f14c1", "f20f28c1", "f20f6fc1", "f30f60c1",
    "660f77", "f30f77", "660f52c1", "660f53c1", "f20f52c1", "f30f50c1", "660fc303", "f30fc6c100",
    "f30fc4c100", "f20f7fc1", "f20f7ec1", "f30f71d105", "f30f2ec1", "0fe6c1", "0fd6c1",
    "660f12c1", "660f13c1", "660f16c1", "0f13c1", "0f17c1", "0f2bc1", "0fe7c1", "660fe7c1",
    "660f5003", "0fd703", "0f7113", "0f73c805", "f30fae28", "660faee8", "f30faef8",
    "f00f58c1", "f00f5800", "f00fae00",
)  # fmt: skip


def surveyed(entry: int, modrm: int) -> str:
    """The mnemonic of what survey() calls by its place in the tables and its ModRM byte."""
    wrong = {"M"} if modrm >= 0xC0 else {"U", "N"}
    [name] = {row.mnemonic for row in SIMD if row.code == entry >> 3
              and row.extension in (None, entry & 7) and not wrong & set(letters(row))}  # fmt: skip
    return name


def machine() -> UserCpu:
    user = UserCpu()
    user.cpu.set_model(MODELS["pentium4"])
    return user


@pytest.mark.parametrize(("code", "name"), ORDERS)
def test_prefixes_choose(code: str, name: str) -> None:
    user = machine()
    user.code(code + "90")
    [first, second, *_] = user.cpu.survey(PHYSICAL[CODE], CODE, 64, 2)
    row = surveyed(first[2], first[3])
    assert row == name
    assert second[0] == CODE + len(bytes.fromhex(code))
    where = locate(bytes.fromhex(code) + FILL)
    assert where is not None and where.row is not None and where.row.mnemonic == name


@pytest.mark.parametrize("code", UNDEFINED)
def test_the_rest_is_undefined(code: str) -> None:
    user = machine()
    user.code(code + "00" * 8)
    assert user.cpu.survey(PHYSICAL[CODE], CODE, 64, 1)[0][2] == 0xFFFF
    assert user.run() == Fault(6, 0, None)


@pytest.mark.skipif(HostCpu.available() is not None, reason=str(HostCpu.available()))
def test_the_host_thinks_so_too() -> None:
    regs = tuple(at.MAIN_WINDOW + 32 for _ in range(8))
    with HostCpu() as host:
        cases = [Case(bytes.fromhex(code), State(regs=regs)) for code in UNDEFINED]
        faults = [end.fault and end.fault.vector for end in host.run_batch(cases)]
    assert faults == [6] * len(UNDEFINED)


@pytest.mark.parametrize("name", ["pentiumpro", "pentium2", "pentium3", "pentium4"])
def test_a_model_has_the_rows_of_its_features(name: str) -> None:
    model = MODELS[name]
    for row in SIMD:
        user = UserCpu()
        user.cpu.set_model(model)
        user.cpu.cr4 = model.cr4_valid & (CR4_OSFXSR | CR4_OSXMMEXCPT)
        user.set_regs(eax=DATA)
        memory, code = encodings(row)[0]
        user.code((code[:-1] + bytes([code[-1] & 0x38]) if memory else code).hex() + "00")
        has = row.feature in model.features
        needs = row.feature.startswith("sse") and not user.cpu.cr4 & CR4_OSFXSR
        assert (user.run() == Fault(6, 0, None)) == (not has or needs), row


def test_mmx_has_its_instructions() -> None:
    """SDM volume 1, 9.4: 47 of them."""
    assert len({row.mnemonic for row in SIMD if row.feature == "mmx"}) == 47
    opcodes = [
        (row.opcode, "M" in letters(row), bool({"U", "N"} & set(letters(row)))) for row in SIMD
    ]
    assert len(set(opcodes)) == len(opcodes)

"""#UD, #NM, #MF, #GP, #PF and #XM of MMX and SSE instructions, one at a time (SDM vol. 2).

Of faults that two processors can have at once, the order is the manual's: an instruction that may
not run looks at no memory.
"""

from __future__ import annotations

import pytest
from user_cpu import CODE, DATA, READ_ONLY, Fault, UserCpu

from bt.instruction import Instruction
from bt.interp.state import CR0_EM, CR0_NE, CR0_TS, CR4_OSFXSR, CR4_OSXMMEXCPT
from bt.models import MODELS
from bt.table_simd import SIMD

UD, NM, GP, PF, MF, XM = (Fault(vector, 0, None) for vector in (6, 7, 13, 14, 16, 19))
MASKED, FLAGS = 0x1F80, 0x3F


def machine() -> UserCpu:
    user = UserCpu()
    user.cpu.set_model(MODELS["pentium4"])
    user.cpu.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT
    user.cpu.cr0 |= CR0_NE
    user.set_regs(eax=DATA, ebx=0x5000_0000, edi=DATA)
    return user


def run(user: UserCpu, code: str) -> Fault | int | None:
    user.code(code)
    return user.run()


def letters(row: Instruction) -> set[str]:
    return {operand[:1] for operand in row.operands.split(",")}


def encode(row: Instruction, modrm: int) -> str:
    """The row with this r/m: 0 is [EAX], 3 [EBX], C1 a register."""
    reg = 2 if row.extension is None else row.extension
    code = row.lead + bytes([row.byte])
    return (code + (bytes([modrm | reg << 3]) if row.operands else b"")).hex() + "00"


NEITHER = {"movnti", "clflush", "nop", "fxsave", "fxrstor"}
MMX = [row for row in SIMD if letters(row) & set("PQN") or row.mnemonic == "EMMS"]
XMM = [
    row for row in SIMD if row.body not in NEITHER and (row not in MMX or letters(row) & set("VWU"))
]
NAMES = {"ids": lambda row: f"{row.opcode} {row.mnemonic}"}


def forms(row: Instruction) -> list[str]:
    """With memory that is not mapped, and with registers."""
    found = [] if letters(row) & set("UN") or not letters(row) & set("EMQW") else [encode(row, 3)]
    return found if "M" in letters(row) else [*found, encode(row, 0xC1)]


@pytest.mark.parametrize("row", MMX, **NAMES)
def test_mmx_is_not_available(row: Instruction) -> None:
    for code in forms(row):
        memory_only = row.body == "from_mmx" and code != forms(row)[-1]  # no MMX instruction
        for cr0, fault in ((CR0_EM, UD), (CR0_TS, NM), (CR0_EM | CR0_TS, UD)):
            user = machine()
            user.cpu.cr0 |= cr0
            assert run(user, code) == fault, code
        user = machine()
        assert run(user, "dbe3") is None
        user.poke(DATA, b"\x00\x03")
        assert [run(user, each) for each in ("d928", "d9ee", "d9ee", "def9")] == [None] * 4  # 0 / 0
        assert run(user, code) == (Fault(14, 4, 0x5000_0000) if memory_only else MF), code


@pytest.mark.parametrize("row", XMM, **NAMES)
def test_sse_is_not_available(row: Instruction) -> None:
    for code in forms(row):
        for cr0, cr4, fault in (
            (CR0_EM, CR4_OSFXSR, UD), (CR0_TS, CR4_OSFXSR, NM), (0, 0, UD), (CR0_TS, 0, UD),
            (CR0_EM | CR0_TS, CR4_OSFXSR, UD),
        ):  # fmt: skip
            user = machine()
            user.cpu.cr0 |= cr0
            user.cpu.cr4 = cr4
            assert run(user, code) == fault, (code, cr0, cr4)


@pytest.mark.parametrize(
    "code", ["0fc318", "0fae38", "0faef8", "0faee8", "0faef0", "0f1808", "f390"]
)
def test_caches_and_fences_need_nothing(code: str) -> None:
    user = machine()
    user.cpu.cr4 = 0
    user.cpu.cr0 |= CR0_TS | CR0_EM
    assert run(user, code) is None


WHOLE = [row for row in SIMD if {"Mx", "Wx"} & set(row.operands.split(","))]
UNALIGNED = {"MOVUPS", "MOVUPD", "MOVDQU"}


@pytest.mark.parametrize("row", WHOLE, **NAMES)
def test_sixteen_bytes_are_aligned(row: Instruction) -> None:
    for by in (1, 4, 8):
        user = machine()
        user.set_regs(eax=DATA + by)
        assert run(user, encode(row, 0)) == (None if row.mnemonic in UNALIGNED else GP)


@pytest.mark.parametrize("by", range(1, 16))
def test_unaligned_moves_cross_pages(by: int) -> None:
    """As one: what is in the second page is looked at before the first one is written."""
    user = machine()
    at = DATA + 0x1000 - by
    data = bytes(range(0x10, 0x20))
    user.poke(at, data)
    user.set_regs(eax=at)
    assert run(user, "0f1008") is None  # movups xmm1, [eax]
    assert user.cpu.vector(1) == int.from_bytes(data, "little")
    user.set_regs(eax=at + 0x2000)
    assert run(user, "0f1108") is None
    assert user.peek(at + 0x2000, 16) == data
    end = DATA + 0x8000
    user.set_regs(eax=end - by)
    assert run(user, "0f1108") == Fault(14, 6, end)
    assert run(user, "0f1008") == Fault(14, 4, end)
    assert user.peek(end - by, by) == bytes(by)
    user.set_regs(eax=READ_ONLY)
    assert run(user, "0f2908") == Fault(14, 7, READ_ONLY)


@pytest.mark.parametrize("traced", range(0, 16, 3))
@pytest.mark.parametrize("code", ["0f1118", "0f2918", "660f7f18"])
def test_a_traced_byte_keeps_all_of_a_store_from_happening(code: str, traced: int) -> None:
    user = machine()
    user.cpu.set_vector(3, (1 << 128) - 1)
    at = DATA + (0xFF0 if "29" in code or code.startswith("66") else 0xFF8)
    user.set_regs(eax=at)
    user.ram.trace_writes(0x8000 + at + traced - DATA, 1, True)
    fault = run(user, code)
    assert isinstance(fault, Fault) and (fault.vector, fault.error) == (14, 7)
    assert user.cpu.traced
    assert user.peek(at, 16) == bytes(16)


# --- floating point exceptions ------------------------------------------------------------------

ONE, ZERO, HUGE, TINY, SNAN = 0x3F800000, 0, 0x7F7FFFFF, 0x00800000, 0x7F800001
RAISED = (  # code on xmm0 and xmm1, their lowest elements, the flags
    ("0f5ec1", ONE, ZERO, 0x05),  # divps: the other elements are 0 / 0
    ("f30f5ec1", ONE, ZERO, 0x04),
    ("0f59c1", HUGE, HUGE, 0x28),  # mulps
    ("0f59c1", TINY | 1, TINY, 0x30),
    ("0f58c1", ONE, 1, 0x22),  # addps of a denormal
    ("0f58c1", SNAN, ONE, 0x01),
    ("0f51c1", ONE, 0xBF800000, 0x01),  # sqrtps
    ("0f2fc1", ONE, 0x7FC00000, 0x01),  # comiss of a quiet NaN
    ("f30f2dc1", ONE, HUGE, 0x01),  # cvtss2si
)


@pytest.mark.parametrize(("code", "a", "b", "flags"), RAISED)
def test_exceptions_are_noted_or_raised(code: str, a: int, b: int, flags: int) -> None:
    user = machine()
    user.cpu.set_vector(0, a)
    user.cpu.set_vector(1, b)
    assert run(user, code) is None
    assert user.cpu.mxcsr == MASKED | flags or code == "0f58c1"  # two lanes of 0 + 0 add nothing
    for known, fault in ((CR4_OSXMMEXCPT, XM), (0, UD)):
        user = machine()
        user.cpu.cr4 = CR4_OSFXSR | known
        user.cpu.mxcsr = 0
        user.cpu.set_vector(0, a)
        user.cpu.set_vector(1, b)
        user.set_regs(eax=5)
        before = user.cpu.flags()
        assert run(user, code) == fault
        assert user.cpu.eip == CODE
        assert user.cpu.mxcsr & flags and not user.cpu.mxcsr & ~flags
        assert (user.cpu.vector(0), user.reg("eax"), user.cpu.flags()) == (a, 5, before)


def test_flags_that_stand_already_raise_nothing() -> None:
    """Unlike the x87's: only what an instruction itself finds counts."""
    user = machine()
    user.cpu.mxcsr = FLAGS
    user.cpu.set_vector(0, ONE)
    user.cpu.set_vector(1, ONE)
    assert run(user, "0f58c1") is None
    assert user.cpu.vector(0) == 0x40000000


def test_logic_and_moves_know_no_numbers() -> None:
    user = machine()
    user.cpu.mxcsr = 0
    user.cpu.set_vector(1, SNAN)
    for code in (
        "0f54c1",
        "0f57c1",
        "0f28c1",
        "f30f10c1",
        "0f14c1",
        "0fc6c100",
        "0f53c1",
        "0f52c1",
    ):
        assert run(user, code) is None
    assert user.cpu.mxcsr == 0

"""An instruction whose write hits a traced byte leaves everything as it was.

A monitor traces bytes of guest memory (FRAME_TRACED). On its external processor the write becomes a
page fault *after* the instruction has read its operand and computed its result: registers, flags
and memory must be those from before, so that the monitor can step the instruction again.
"""

from __future__ import annotations

import pytest
from user_cpu import CODE, DATA, PHYSICAL, Fault, UserCpu

from bt.instruction import Instruction
from bt.interp.state import CR4_OSFXSR, VEC_PF
from bt.models import MODELS
from bt.table import TABLE

OPERAND = DATA + 0x100
BYTES = bytes.fromhex("1122334455667788")
REGS = {
    "eax": 0x44332211, "ecx": 0x9ABCDE05, "edx": 0x88776655, "ebx": 7,
    "esp": DATA + 0x400, "ebp": 0xFFFFFFFF, "esi": OPERAND, "edi": DATA + 0x200,
}  # fmt: skip

READ_ONLY_MNEMONICS = {
    "CMP", "TEST", "BT", "MUL", "IMUL", "DIV", "IDIV", "PUSH", "CALL", "JMP", "NOP",
    "LMSW", "LLDT", "LTR", "VERR", "VERW",
}  # fmt: skip


VECTORS = ("mmx", "sse", "sse2", "fxsr")
SIZES = {"d": 4, "q": 8, "x": 16, "": 288}  # bytes stored, by the last letter


def writes_memory(row: Instruction) -> bool:
    """Rows with a memory destination that works in ring 3 (x87 and system stores apart)."""
    return (
        row.operands.startswith("E")
        and row.feature not in VECTORS
        and row.mnemonic not in READ_ONLY_MNEMONICS | {"x87", "SLDT", "STR", "SMSW", "ARPL"}
    ) or row.mnemonic == "CMPXCHG8B"


ROWS = [row for row in TABLE if writes_memory(row)]
STORES = [row for row in TABLE if row.feature in VECTORS and row.operands
          and ("store" in row.body or row.body in ("stmxcsr", "movnti", "fxsave"))
          and "masked" not in row.body]  # fmt: skip


def encode(row: Instruction, prefix: str) -> str:
    """The row with [ESI] as its operand and EBX (or what it may be) in ModRM.reg."""
    reg = 3 if row.extension is None else row.extension
    code = row.lead.hex()
    immediate = "03" * 4 if row.operands.count("I") else ""
    return prefix + code + f"{row.byte:02x}{0x06 | reg << 3:02x}" + immediate


@pytest.fixture
def user() -> UserCpu:
    user = UserCpu()
    user.poke(OPERAND, BYTES)
    user.poke(REGS["esp"], b"\x01\x02\x03\x04")
    user.poke(REGS["edi"], BYTES)
    return user


def run_traced(user: UserCpu, code: str, flags: int, watched: int) -> None:
    """Run with `watched` traced; check that nothing changed."""
    user.ram.trace_writes(PHYSICAL[DATA] + watched - DATA, 1, True)
    user.set_regs(**REGS)
    user.cpu.set_flags(flags)
    user.code(code)
    before = user.regs()
    memory = user.peek(DATA, 0x1000)
    icount = user.cpu.icount()
    fault = user.run()
    assert isinstance(fault, Fault) and (fault.vector, fault.error) == (VEC_PF, 7)
    assert user.cpu.exit_arg <= PHYSICAL[DATA] + watched - DATA < user.cpu.exit_arg + 4
    assert user.cpu.eip == CODE
    assert user.regs() == before
    assert user.cpu.flags() == flags
    assert user.peek(DATA, 0x1000) == memory
    assert user.cpu.icount() == icount


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.opcode} {row.mnemonic}" for row in ROWS])
def test_memory_destinations(user: UserCpu, row: Instruction) -> None:
    for prefix in ("", "66"):
        for flags in (0x3202, 0x3AD7):
            run_traced(user, encode(row, prefix), flags, OPERAND)


def run_again(user: UserCpu, code: str, watched: int) -> bytes:
    """Run with `watched` traced, and once more without, as a monitor does; what memory holds then.

    A store of several parts may leave some behind when a later one hits the byte: the instruction
    reads nothing of it, so that the second run writes them again.
    """
    where = PHYSICAL[DATA] + watched - DATA
    user.ram.trace_writes(where, 1, True)
    user.set_regs(**REGS)
    user.code(code)
    before = user.regs(), user.cpu.flags(), user.cpu.icount()
    old = user.peek(watched, 1)
    fault = user.run()
    assert isinstance(fault, Fault) and (fault.vector, fault.error) == (VEC_PF, 7)
    assert user.cpu.exit_arg <= where < user.cpu.exit_arg + 16
    assert user.cpu.eip == CODE and user.peek(watched, 1) == old
    assert (user.regs(), user.cpu.flags(), user.cpu.icount()) == before
    user.ram.trace_writes(where, 1, False)
    assert user.run() is None
    return user.peek(DATA, 0x1000)


def vector_cpu() -> UserCpu:
    user = UserCpu()
    user.cpu.set_model(MODELS["pentium4"])
    user.cpu.cr4 |= CR4_OSFXSR
    user.code("0f74c9660f74c9660f74db")  # PCMPEQB: all ones, all bytes are stored by a mask
    assert user.run(3) is None
    user.set_regs(**REGS)
    return user


@pytest.mark.parametrize("row", STORES, ids=[f"{row.opcode} {row.mnemonic}" for row in STORES])
def test_vector_stores(row: Instruction) -> None:
    expected = vector_cpu()
    expected.code(encode(row, ""))
    assert expected.run() is None
    size = SIZES[row.operands.partition(",")[0][1:]]
    for watched in (OPERAND, OPERAND + size - 1):
        found = run_again(vector_cpu(), encode(row, ""), watched)
        assert found == expected.peek(DATA, 0x1000)


@pytest.mark.parametrize("code", ["0ff7c9", "660ff7c9"], ids=["maskmovq", "maskmovdqu"])
def test_masked_stores(code: str) -> None:
    expected = vector_cpu()
    expected.code(code)
    assert expected.run() is None
    for watched in (REGS["edi"], REGS["edi"] + 7):
        assert run_again(vector_cpu(), code, watched) == expected.peek(DATA, 0x1000)


@pytest.mark.parametrize("watched", [OPERAND + 4, OPERAND + 7])
@pytest.mark.parametrize("equal", [True, False])
def test_cmpxchg8b_takes_back_its_first_half(user: UserCpu, watched: int, equal: bool) -> None:
    user.poke(OPERAND, BYTES if equal else BYTES[::-1])
    run_traced(user, "0fc70e", 0x3202, watched)


STRINGS = {"movs": "a5", "stos": "ab", "stos byte": "aa", "ins": "6d"}


@pytest.mark.parametrize("code", STRINGS.values(), ids=STRINGS)
def test_string_destinations(user: UserCpu, code: str) -> None:
    run_traced(user, code, 0x3202, REGS["edi"])


STACK = {
    "push": ("50", 4), "push imm": ("6a05", 4), "push m": ("ff36", 4), "pushf": ("9c", 4),
    "call": ("e800000000", 4), "call m": ("ff16", 4), "enter": ("c8000000", 4), "pusha": ("60", 4),
}  # fmt: skip


@pytest.mark.parametrize(("code", "below"), STACK.values(), ids=STACK)
def test_pushes(user: UserCpu, code: str, below: int) -> None:
    run_traced(user, code, 0x3202, REGS["esp"] - below)

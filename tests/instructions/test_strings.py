"""String instructions: long runs against a plain model, restarts, ports, single-stepping.

The oracle compares short repetitions with the host's processor; here is what it cannot reach.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from user_cpu import CODE, DATA, READ_ONLY, Fault, UserCpu

from bt.interp.state import ATTR_UNUSABLE, DF, ES, EXIT_IO, TF, TR, VEC_DB, VEC_GP, VEC_PF, ZF

BASE_FLAGS = 0x3202


@pytest.fixture
def user() -> UserCpu:
    return UserCpu()


# --- against a model ---------------------------------------------------------------------------


@dataclass
class Model:
    """REP by the manual, one element at a time, on a copy of the data pages."""

    memory: bytearray
    eax: int
    ecx: int
    esi: int
    edi: int
    step: int
    size: int

    def element(self, la: int) -> int:
        return int.from_bytes(self.memory[la - DATA : la - DATA + self.size], "little")

    def put(self, value: int) -> None:
        data = value.to_bytes(4, "little")[: self.size]
        self.memory[self.edi - DATA : self.edi - DATA + self.size] = data

    @property
    def accumulator(self) -> int:
        return self.eax & ((1 << (8 * self.size)) - 1)

    def run(self, name: str, prefix: int) -> bool | None:
        """Repeat; returns the last comparison (ZF), None if there was none."""
        equal: bool | None = None
        while self.ecx:
            equal = self.once(name)
            self.ecx -= 1
            if equal is not None and equal != (prefix == 0xF3):
                break
        return equal

    def once(self, name: str) -> bool | None:
        equal: bool | None = None
        if name == "movs":
            self.put(self.element(self.esi))
        elif name == "stos":
            self.put(self.accumulator)
        elif name == "lods":
            self.eax = self.eax - self.accumulator + self.element(self.esi)
        elif name == "cmps":
            equal = self.element(self.esi) == self.element(self.edi)
        else:
            equal = self.element(self.edi) == self.accumulator
        if name in ("movs", "lods", "cmps"):
            self.esi += self.step
        if name != "lods":
            self.edi += self.step
        return equal


OPCODES = {"movs": 0xA4, "cmps": 0xA6, "stos": 0xAA, "lods": 0xAC, "scas": 0xAE}


def encode(name: str, size: int, prefix: int) -> str:
    operand = b"\x66" if size == 2 else b""
    return (operand + bytes((prefix, OPCODES[name] + (size > 1)))).hex()


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("name", OPCODES)
def test_long_repetitions_agree_with_the_model(user: UserCpu, name: str, size: int) -> None:
    """Several pages, any alignment and overlap, both directions, both prefixes."""
    rng = random.Random(f"{name}{size}")
    for _ in range(25):
        down = rng.random() < 0.3
        count = rng.choice([0, 1, 5, 700, 5000 // size])
        span = count * size
        near = rng.choice([0, 1, size, -size, 3, -5, 64, -64, 4096, 6000])
        esi = DATA + 0x1800 + rng.randrange(64)
        edi = esi + near
        if down:
            esi, edi = esi + span, edi + span
        flaws = 0 if name in ("movs", "stos", "lods") else 2
        data = bytearray(rng.randbytes(0x8000) if not flaws else b"\x55" * 0x8000)
        for _ in range(flaws):
            data[rng.randrange(0x8000)] ^= 1
        prefix = rng.choice([0xF2, 0xF3])
        eax = rng.choice([0x55555555, rng.getrandbits(32)])
        user.poke(DATA, bytes(data))
        user.cpu.set_flags(BASE_FLAGS | (DF if down else 0))
        user.set_regs(eax=eax, ecx=count, esi=esi, edi=edi)
        length = user.code(encode(name, size, prefix))
        model = Model(data, eax, count, esi, edi, -size if down else size, size)
        equal = model.run(name, prefix)
        assert user.finish() is None
        assert user.cpu.eip == CODE + length
        assert user.peek(DATA, 0x8000) == bytes(model.memory)
        got = [user.reg(register) for register in ("eax", "ecx", "esi", "edi")]
        assert got == [model.eax, model.ecx, model.esi, model.edi]
        if equal is not None:
            assert bool(user.cpu.flags() & ZF) == equal


def test_forward_overlap_repeats_the_pattern(user: UserCpu) -> None:
    """MOVSB to one byte above its source fills; MOVSD reads each dword after the last write."""
    user.poke(DATA, b"A" + bytes(100))
    user.set_regs(ecx=50, esi=DATA, edi=DATA + 1)
    user.code("f3a4")
    assert user.run() is None
    assert user.peek(DATA, 52) == b"A" * 51 + b"\0"

    user.poke(DATA, b"abcdefg" + bytes(20))
    user.set_regs(ecx=3, esi=DATA, edi=DATA + 3)
    user.code("f3a5")
    assert user.run() is None
    assert user.peek(DATA, 16) == b"abcabcdbcd\0cd\0\0\0"


# --- one instruction, whatever the count -------------------------------------------------------


def test_a_repetition_counts_as_one_instruction(user: UserCpu) -> None:
    """Also one that takes several dispatches of its body."""
    user.map(0x40000, 0x8000, 7)
    user.set_regs(ecx=0x3000, esi=DATA)
    user.code("f3ac 90")
    before = user.cpu.icount()
    assert user.run(2) is None
    assert user.cpu.icount() - before == 2
    assert user.reg("esi") == DATA + 0x3000


def test_a_repetition_longer_than_a_dispatch(user: UserCpu) -> None:
    """200,000 elements within a 16-bit address size wrap around the same 32 KiB three times."""
    user.segment(ES, DATA)
    for offset in range(0x8000, 0x10000, 0x1000):
        user.map(DATA + offset, 0x8000 + offset - 0x8000, 7)
    user.set_regs(eax=0x12345677, ecx=0xABCDFFFF, edi=0x5555_0000)
    user.code("67f3aa 67f3aa 67f3aa")
    for turn in range(3):
        before = user.cpu.icount()
        user.set_regs(ecx=0xABCDFFFF)
        assert user.run() is None
        assert user.cpu.icount() - before == 1
        assert user.reg("ecx") == 0xABCD0000
        assert user.reg("edi") == 0x5555_0000 | (-(turn + 1) & 0xFFFF)
    assert user.peek(DATA, 0x8000) == b"\x77" * 0x8000


def test_more_than_one_slice(user: UserCpu) -> None:
    """LODSB over 150,000 bytes: 64 aliases of the same pages."""
    for page in range(64):
        user.map(0x100000 + page * 0x1000, 0x8000 + page % 8 * 0x1000, 0)
    user.poke(DATA, bytes(range(256)) * 128)
    user.set_regs(ecx=150_000, esi=0x100000)
    length = user.code("f3ac")
    before = user.cpu.icount()
    assert [user.run() for _ in range(3)] == [EXIT_IO, EXIT_IO, None]  # it lets the embedder look
    assert user.cpu.icount() - before == 1
    assert (user.reg("ecx"), user.reg("esi")) == (0, 0x100000 + 150_000)
    assert user.reg("eax") & 0xFF == (150_000 - 1) & 0xFF
    assert user.cpu.eip == CODE + length


# --- faults in the middle ----------------------------------------------------------------------


def test_a_page_fault_leaves_what_came_before_and_restarts(user: UserCpu) -> None:
    """Nine dwords fit before the hole at 0x28000; the tenth faults."""
    user.poke(DATA, bytes(range(64)))
    user.set_regs(ecx=16, esi=DATA, edi=0x28000 - 36)
    user.code("f3a5")
    assert user.run() == Fault(VEC_PF, 6, 0x28000)
    assert user.cpu.eip == CODE
    assert (user.reg("ecx"), user.reg("esi"), user.reg("edi")) == (7, DATA + 36, 0x28000)
    assert user.peek(0x28000 - 36, 36) == bytes(range(36))

    user.map(0x28000, 0x8000, 2)  # an alias of the first data page
    user.set_regs(esi=DATA + 0x1000)
    assert user.run() is None
    assert (user.reg("ecx"), user.reg("edi")) == (0, 0x28000 + 28)


def test_a_straddling_element_is_written_whole_or_not(user: UserCpu) -> None:
    user.set_regs(eax=0xFFFFFFFF, ecx=3, edi=0x28000 - 6)
    user.code("f3ab")
    assert user.run() == Fault(VEC_PF, 6, 0x28000)
    assert user.peek(0x28000 - 6, 6) == b"\xff" * 4 + b"\0\0"
    assert (user.reg("ecx"), user.reg("edi")) == (2, 0x28000 - 2)


def test_a_write_to_a_read_only_page(user: UserCpu) -> None:
    user.set_regs(ecx=4, edi=READ_ONLY)
    user.code("f3aa")
    assert user.run() == Fault(VEC_PF, 7, READ_ONLY)
    assert user.reg("ecx") == 4


def test_the_segment_limit_stops_a_run(user: UserCpu) -> None:
    user.segment(ES, DATA, 0x2001)
    user.set_regs(eax=0x41424344, ecx=0x1000, edi=0x1000)
    user.code("f3ab")
    assert user.run() == Fault(VEC_GP, 0, None)
    assert user.reg("edi") == 0x2000
    assert user.reg("ecx") == 0x1000 - 0x400
    assert user.peek(DATA + 0x1FFC, 8) == b"DCBA\0\0\0\0"


def test_a_count_of_zero_touches_nothing(user: UserCpu) -> None:
    user.set_regs(ecx=0, esi=0x50000, edi=0x50000)
    for code in ("f3a4", "f3aa", "f3ac", "f3a6", "f2ae", "f36c", "f36e"):
        user.cpu.set_flags(BASE_FLAGS | 0x8D5)
        user.code(code)
        assert user.run() is None, code
        assert user.cpu.flags() == BASE_FLAGS | 0x8D5
    assert user.ports.reads == user.ports.writes == []


def test_flags_of_a_faulting_comparison_are_those_of_the_last_one(user: UserCpu) -> None:
    """As the host's processor does (the manual's REP page says otherwise of #PF)."""
    user.poke(0x27FF0, b"\x01" * 16)
    user.cpu.set_flags(BASE_FLAGS | 0x8D5)
    user.set_regs(eax=1, ecx=100, edi=0x27FF0)
    user.code("f3ae")
    assert user.run() == Fault(VEC_PF, 4, 0x28000)
    assert user.reg("ecx") == 84
    assert user.cpu.flags() == BASE_FLAGS | 0x44  # ZF, PF of 1 - 1


# --- single-stepping, code, ports --------------------------------------------------------------


def test_the_trap_flag_traps_after_each_iteration(user: UserCpu) -> None:
    user.set_regs(eax=0x2A, ecx=3, edi=DATA)
    length = user.code("f3aa")
    user.cpu.set_flags(BASE_FLAGS | TF)
    for left in (2, 1, 0):
        assert user.run() == Fault(VEC_DB, 0, None)
        assert user.reg("ecx") == left
        assert user.cpu.eip == CODE + (0 if left else length)
    assert user.peek(DATA, 4) == b"\x2a\x2a\x2a\0"


@pytest.mark.parametrize("budget", [4, 100])
def test_stos_over_the_next_instruction(user: UserCpu, budget: int) -> None:
    """REP STOSB writes NOPs over INC EAX that was already decoded; also near the budget's end."""
    user.map(0x60000, 0, 2)  # a writable alias of the code page
    user.set_regs(eax=0x90, ecx=2, edi=0x60000 + 2)
    user.code("f3aa 40 40 90 f4")
    assert user.run(budget) == (None if budget == 4 else Fault(VEC_GP, 0, None))
    assert user.reg("eax") == 0x90
    assert user.cpu.eip == CODE + 5


def test_ins_fills_memory_from_the_port(user: UserCpu) -> None:
    user.set_regs(ecx=5, edx=0x1F0, edi=DATA + 0xFFE)
    user.code("f36c")
    assert user.run() is None
    assert user.ports.reads == [0x1F0] * 5
    assert user.peek(DATA + 0xFFE, 5) == bytes((1, 2, 3, 4, 5))


def test_ins_to_an_unwritable_page_does_not_read_the_port(user: UserCpu) -> None:
    """A byte that the device gave away would be lost."""
    for edi in (READ_ONLY, 0x28000, 0x28000 - 1):
        user.set_regs(ecx=1, edx=0x1F0, edi=edi)
        user.code("66f36d")
        fault = user.run()
        assert isinstance(fault, Fault) and fault.vector == VEC_PF
    assert user.ports.reads == []


@pytest.mark.parametrize("code", ["f36c", "f36e"])
def test_a_device_that_wants_the_loop_gets_it_after_each_iteration(
    user: UserCpu, code: str
) -> None:
    user.ports.wants_loop = True
    user.set_regs(ecx=3, edx=0x3F8, esi=DATA, edi=DATA)
    length = user.code(code)
    before = user.cpu.icount()
    for left in (2, 1, 0):
        assert user.run(10) == EXIT_IO
        assert user.reg("ecx") == left
        assert user.cpu.icount() - before == (0 if left else 1)
        assert user.cpu.eip == CODE + (0 if left else length)
    assert len(user.ports.reads) + len(user.ports.writes) == 3


def test_outs_takes_the_source_segment_of_a_prefix(user: UserCpu) -> None:
    user.segment(ES, DATA + 0x100)
    user.poke(DATA + 0x100, b"\x11\x22\x33\x44")
    user.set_regs(ecx=2, edx=0x80, esi=0)
    user.code("26f3666f")
    assert user.run() is None
    assert user.ports.writes == [0x2211, 0x4433]


def test_a_port_that_is_closed(user: UserCpu) -> None:
    user.cpu.set_flags(0x202)  # IOPL 0
    user.cpu.set_segment(TR, 0, 0, 0, ATTR_UNUSABLE)  # and no TSS with a bitmap
    user.set_regs(ecx=2, edx=0x80, esi=DATA, edi=DATA)
    for code in ("6c", "6e", "f36d", "f36f"):
        user.code(code)
        assert user.run() == Fault(VEC_GP, 0, None)
    assert user.ports.reads == user.ports.writes == []

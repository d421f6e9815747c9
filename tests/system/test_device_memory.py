"""Any instruction may access a device: it does once what it would do to RAM, and knows when.

The same code runs over RAM, over a device that stores bytes, and over that device one instruction
at a time. Whatever the processor has must come out the same, and what the device saw, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from system_lab import (
    CODE,
    CODE0,
    DATA0,
    DATA3,
    EAX,
    EBX,
    ECX,
    EDI,
    EDX,
    ESI,
    ESP,
    EXIT_HALT,
    EXIT_SHUTDOWN,
    GDT,
    IDT,
    STACK0,
    TSS_MAIN,
    TSS_TWO,
    TWO_TSS,
    Lab,
    Ports,
    assemble,
    gate,
)

from bt.instruction import Instruction
from bt.interp.state import CR4_OSFXSR, MAP_DEVICE
from bt.models import MODELS
from bt.table import TABLE
from monitor.vmm.x87_image import x87_unit

PAGE = 4096
PLACE = 0x70000  # two pages, of RAM or a device's
OTHER = 0x80000  # a third one
ELSEWHERE = CODE + 0x100  # where code may lead to; a HLT
OPERAND = PLACE + 0x100
BYTES = ELSEWHERE.to_bytes(4, "little") + bytes.fromhex("0800 3412 7856 3412 55aa")
REGS = {EAX: ELSEWHERE, ECX: 2, EDX: 0x12340008, EBX: OPERAND, ESI: OPERAND, EDI: OPERAND + 0x40}
MOST = 200  # instructions of a run
EIP_IN_BLOCK = 3  # instructions before the one that matters


@dataclass
class Store(Ports):
    """Stores bytes, over the RAM that does not answer; notes each access."""

    memory: bytearray = field(default_factory=bytearray)
    accesses: list[tuple[object, ...]] = field(default_factory=list)

    def read_memory(self, address: int, size: int) -> int:
        value = int.from_bytes(self.memory[address : address + size], "little")
        self.note("read", address, size, value)
        return value

    def write_memory(self, address: int, size: int, value: int) -> None:
        self.note("write", address, size, value)
        self.memory[address : address + size] = value.to_bytes(size, "little")

    def note(self, *access: object) -> None:
        if not self.cpu.for_itself:
            self.accesses.append((*access, self.cpu.io_icount, self.cpu.eip))


Prepare = Callable[[Lab], object]


@dataclass
class Life:
    """What came of a run."""

    lab: Lab
    store: Store
    state: tuple[object, ...]


def live(code: bytes, pages: tuple[int, ...], step: bool, prepare: Prepare) -> Life:
    """Run code at CODE to a HLT, or for a while; `pages` are a device's."""
    lab = Lab()
    store = Store(cpu=lab.cpu, memory=lab.memory)
    lab.cpu.bus = store
    lab.memory[OPERAND : OPERAND + len(BYTES)] = BYTES
    lab.memory[ELSEWHERE] = 0xF4
    for register, value in REGS.items():
        lab.cpu.set_reg(register, value)
    lab.cpu.set_flags(0x3AD7)
    lab.memory[CODE : CODE + len(code) + 1] = code + b"\xf4"
    lab.cpu.eip = CODE
    prepare(lab)
    for page in pages:
        lab.ram.map_frames(page // PAGE, 1, 0, MAP_DEVICE)
    cpu = lab.cpu
    reason, turns = 0, 0
    while reason not in (EXIT_HALT, EXIT_SHUTDOWN) and cpu.icount() < MOST:
        reason = cpu.run(1 if step else MOST - cpu.icount())
        turns += 1
        assert turns < 100 + MOST
    segments = tuple(cpu.segment(i) for i in range(8))
    state = (
        cpu.eip, tuple(lab.regs()), cpu.flags(), segments, cpu.icount(), bytes(lab.memory),
        (cpu.cr0, cpu.cr2, cpu.cr3, cpu.cr4, cpu.gdtr_base, cpu.idtr_base, cpu.gdtr_limit),
        x87_unit().registers(cpu), cpu.mxcsr, tuple(cpu.vector(i) for i in range(8)),
    )  # fmt: skip
    return Life(lab, store, state)


def same(
    code: bytes | str,
    pages: tuple[int, ...] = (PLACE, PLACE + PAGE),
    prepare: Prepare = lambda lab: None,
) -> Life:
    """Over RAM and over a device it comes to the same; the device's life, for more questions."""
    code = code if isinstance(code, bytes) else assemble(code, CODE, 32)
    ram = live(code, (), False, prepare)
    life = live(code, pages, False, prepare)
    stepped = live(code, pages, True, prepare)
    assert life.state == ram.state
    assert stepped.state == ram.state
    assert life.store.accesses == stepped.store.accesses
    return life


# --- every instruction of the table -----------------------------------------------------------


def memory_forms(row: Instruction) -> Iterator[bytes]:
    """The row with [ESI] as its operand, in 32 and in 16 bits; immediates are what follows."""
    if row.modrm is not None and row.modrm >= 0xC0:
        return
    for prefix in (b"",) if row.paged else (b"", b"\x66"):
        for reg in (3,) if row.extension is None else (row.extension,):
            yield prefix + row.lead + bytes([row.byte, 0x06 | reg << 3])


def has_modrm(row: Instruction) -> bool:
    operands = row.operands.split(",")
    return row.mnemonic == "x87" or any(word[:1] in tuple("EMGSQW") for word in operands)


def prepare_vectors(lab: Lab) -> None:
    """All registers that an instruction might store have something in them."""
    lab.cpu.set_model(MODELS["pentium4"])
    lab.cpu.cr4 |= CR4_OSFXSR
    for i in range(8):
        lab.cpu.set_vector(i, int.from_bytes(bytes(range(16 * i, 16 * i + 16)), "little"))


ROWS = [row for row in TABLE if has_modrm(row) and list(memory_forms(row))]


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.opcode} {row.mnemonic}" for row in ROWS])
def test_every_memory_form(row: Instruction) -> None:
    for form in memory_forms(row):
        life = same(b"\x90" * EIP_IN_BLOCK + form + b"\x90" * 12, prepare=prepare_vectors)
        for *_, count, eip in life.store.accesses:
            assert (count, eip) == (EIP_IN_BLOCK, CODE + EIP_IN_BLOCK)


NO_MODRM = (
    *("a4", "a5", "66a5", "a6", "a7", "aa", "ab", "ac", "ad", "ae", "af", "f3a4", "f3a5", "f3a6"),
    *("f3aa", "f3ab", "f2ae", "f3ad", "d7", "6c", "6d", "6e", "f36e", "f36d"),
    *("a000010700", "a100010700", "a200010700", "66a300010700"),
)


@pytest.mark.parametrize("code", NO_MODRM)
@pytest.mark.parametrize("pages", [(PLACE,), (OTHER,), (PLACE, OTHER)])
def test_strings_and_their_like(code: str, pages: tuple[int, ...]) -> None:
    """From RAM to the device, from the device to RAM, from one to another."""
    def prepare(lab: Lab) -> None:
        lab.cpu.set_reg(EDI, OTHER + 0x40)

    same(b"\x90" * 3 + bytes.fromhex(code) + b"\x90" * 3, pages, prepare)


STACK = (
    *("50", "6650", "58", "6658", "6a05", "68aabbccdd", "ff36", "8f06", "60", "61", "6660", "6661"),
    *("9c", "9d", "669c", "e800000000", "c3", "c20800", "c9", "c8080000", "c8080001", "c8040003"),
    *("06", "07", "16", "0fa1", "cb", "cf", "cd21", "cc", "cd0d", "9a0001010008 00", "ca0400"),
)


@pytest.mark.parametrize("code", STACK)
def test_a_stack_on_the_bus(code: str) -> None:
    """Also where it begins in RAM and ends in the device, and the other way round."""
    image = (ELSEWHERE, CODE0, 0x3AD7, 0, 0, 0, 0, 0, 0)

    for esp in (PLACE + 0x200, PLACE + 8, PLACE + PAGE, PLACE + PAGE + 6):
        def prepare(lab: Lab, esp: int = esp) -> None:
            lab.dword(esp, *image)
            lab.cpu.set_reg(ESP, esp)
            lab.cpu.set_reg(5, esp + 16)  # EBP, for LEAVE and ENTER's display

        for pages in ((PLACE,), (PLACE, PLACE + PAGE), (PLACE - PAGE,)):
            same(b"\x90\x90" + bytes.fromhex(code) + b"\x90" * 3, pages, prepare)


# --- two pages, and what they hold ------------------------------------------------------------


@pytest.mark.parametrize("offset", [-1, -2, -3, -4, -7, -9])
@pytest.mark.parametrize("pages", [(PLACE,), (PLACE + PAGE,), (PLACE, PLACE + PAGE)])
@pytest.mark.parametrize(
    "access",
    [
        "mov eax, [esi]", "mov [esi], eax", "add dword ptr [esi], 3", "xchg [esi], ax",
        "lock cmpxchg [esi], edx", "cmpxchg8b qword ptr [esi]", "fld qword ptr [esi]",
        "fld tbyte ptr [esi]; fstp tbyte ptr [esi]", "fild qword ptr [esi]; fbstp tbyte ptr [esi]",
        "fnstenv [esi]; fldenv [esi]", "fnsave [esi]; frstor [esi]", "bts dword ptr [esi], ebx",
        "push dword ptr [esi]; pop dword ptr [esi + 1]", "sgdt [esi]", "les eax, [esi]",
        "bound ecx, [esi]", "arpl [esi], cx", "lodsd; stosd", ".byte 0xf3, 0xa5", "repe cmpsb",
    ],
)  # fmt: skip
def test_across_two_pages(access: str, offset: int, pages: tuple[int, ...]) -> None:
    def prepare(lab: Lab) -> None:
        at = PLACE + PAGE + offset
        lab.memory[at : at + 14] = BYTES
        lab.cpu.set_reg(ESI, at)
        lab.cpu.set_reg(EDI, at - 0x20)

    same(f"nop; fninit; {access}; nop; nop", pages, prepare)


def test_an_operand_that_is_written_in_two_parts_is_checked_first() -> None:
    """FSTP of ten bytes, of which the last ones would fault: the device sees none of it."""
    def prepare(lab: Lab) -> None:
        lab.cpu.set_segment(3, 0x10, 0, PLACE + 0x107, 0xC093 & ~0x8000)

    life = same("fninit; fldpi; fstp tbyte ptr [esi]", prepare=prepare)
    assert life.store.accesses == []


# --- the processor's own tables ---------------------------------------------------------------


def moved(lab: Lab, table: int, size: int) -> None:
    lab.memory[PLACE : PLACE + size] = lab.memory[table : table + size]


def test_descriptors() -> None:
    def prepare(lab: Lab) -> None:
        moved(lab, GDT, 0x100)
        lab.cpu.gdtr_base = PLACE

    life = same("mov eax, 0x23; mov ds, ax; lar ecx, eax; lsl edx, eax; mov eax, 0x10; mov es, ax",
                prepare=prepare)  # fmt: skip
    assert any(access[0] == "write" for access in life.store.accesses), "accessed bits"


@pytest.mark.parametrize("cause", ["int 0x21", "ud2", "mov ds, sp", "int3"])
def test_gates(cause: str) -> None:
    def prepare(lab: Lab) -> None:
        moved(lab, IDT, 48 * 8)
        lab.cpu.idtr_base = PLACE

    life = same(f"nop; nop; {cause}", prepare=prepare)
    assert len(life.store.accesses) == 2
    for *_, count, _ in life.store.accesses:
        assert count == 2


@pytest.mark.parametrize("way", ["jmp", "call", "int", "iret"])
@pytest.mark.parametrize("part", ["new", "old", "gdt", "stack"])
def test_task_switches(way: str, part: str) -> None:
    """None is begun twice: its busy bits would be in the way."""
    def prepare(lab: Lab) -> None:
        places = {"new": (TSS_TWO, 0x68), "old": (TSS_MAIN, 0x68), "gdt": (GDT, 0x100)}
        image = (0, STACK0, DATA0, 0, 0, 0, 0, 0, ELSEWHERE, 2, 1, 2, 3, 4, PLACE + 0x800, 6, 7, 8)
        lab.dword(TSS_TWO, *image, DATA0, CODE0, DATA0, DATA0, DATA0, DATA0, 0, 0)
        if way == "iret":
            lab.memory[GDT + TWO_TSS + 5] |= 2
            lab.word(TSS_MAIN, TWO_TSS)
            lab.cpu.set_flags(0x4002)
        lab.idt(0x21, gate(5, TWO_TSS, 0))
        if part in places:
            moved(lab, *places[part])
        if part == "gdt":
            lab.cpu.gdtr_base = PLACE
        elif part in places:
            selector = TWO_TSS if part == "new" else 0x28
            low = lab.peek(GDT + selector) & 0xFFFF | (PLACE & 0xFFFF) << 16
            lab.dword(GDT + selector, low, lab.peek(GDT + selector + 4) & ~0xFF | PLACE >> 16)
            if part == "old":
                lab.cpu.set_segment(7, 0x28, PLACE, 0xFFF, 0x8B)

    code = {
        "jmp": b"\xea" + bytes(4) + TWO_TSS.to_bytes(2, "little"),
        "call": b"\x9a" + bytes(4) + TWO_TSS.to_bytes(2, "little"),
        "int": b"\xcd\x21",
        "iret": b"\xcf",
    }[way]
    life = same(b"\x90\x90" + code, prepare=prepare)
    assert life.lab.sel(7) == TWO_TSS
    assert bool(life.store.accesses) == (part != "stack")


def test_page_tables() -> None:
    """What the walk reads is nobody's operand; the instruction is right all the same."""
    def prepare(lab: Lab) -> None:
        lab.dword(PLACE, PLACE + PAGE | 7)
        for page in range(256):
            lab.dword(PLACE + PAGE + 4 * page, page << 12 | 7)
        lab.cpu.cr3 = PLACE
        lab.cpu.cr0 |= 0x80000000

    life = same("nop; mov eax, [0x90000]; mov [0x91000], eax; inc dword ptr [0x92000]",
                prepare=prepare)  # fmt: skip
    assert life.store.accesses == []
    assert life.lab.peek(PLACE + PAGE + 4 * 0x91) == 0x91067


def test_a_walk_that_fails_on_the_bus() -> None:
    """CR2 is the fault's own; the attempt in the block left nothing behind."""
    def prepare(lab: Lab) -> None:
        lab.dword(PLACE, PLACE + PAGE | 7)
        for page in range(0x90):
            lab.dword(PLACE + PAGE + 4 * page, page << 12 | 7)
        lab.cpu.cr3 = PLACE
        lab.cpu.cr0 |= 0x80000000
        lab.cpu.cr2 = 0x1234

    life = same("nop; mov ebx, [0x80000]; mov eax, [0x90123]", prepare=prepare)
    assert life.lab.cpu.cr2 == 0x90123


# --- code -------------------------------------------------------------------------------------


def test_code_is_fetched_from_a_device() -> None:
    """And may access one itself, also where an instruction lies in two pages, RAM and device."""
    body = assemble("mov eax, [0x70100]; add eax, 3; mov [0x70104], eax; ret", 0, 32)

    for at in (PLACE + 0x20, PLACE + PAGE - 3, PLACE + PAGE - 8):
        def prepare(lab: Lab, at: int = at) -> None:
            lab.memory[at : at + len(body)] = body
            lab.cpu.set_reg(EBX, at)

        for pages in ((PLACE,), (PLACE + PAGE,), (PLACE, PLACE + PAGE)):
            same("nop; call ebx; call ebx; nop", pages, prepare)


def test_code_that_a_device_changes_is_seen() -> None:
    """Each instruction is fetched anew."""
    lab = Lab()
    store = Store(cpu=lab.cpu, memory=lab.memory)
    lab.cpu.bus = store
    lab.ram.map_frames(PLACE // PAGE, 1, 0, MAP_DEVICE)
    lab.memory[PLACE : PLACE + 8] = bytes.fromhex("40 43 ebfc") + bytes(4)  # inc eax, inc ebx, jmp
    lab.cpu.eip = PLACE
    lab.cpu.run(30)
    assert (lab.reg(EAX), lab.reg(EBX)) == (10, 10)
    lab.memory[PLACE] = 0x90
    lab.cpu.run(30)
    assert (lab.reg(EAX), lab.reg(EBX)) == (10, 20)


# --- rings, watchpoints, single steps ---------------------------------------------------------


def test_ring_3() -> None:
    def prepare(lab: Lab) -> None:
        lab.ring(3)

    code = assemble("nop; mov eax, [esi]; inc dword ptr [esi]; lock xadd [esi], eax; ud2", CODE, 32)
    life = same(code, prepare=prepare)
    assert [access[0] for access in life.store.accesses] == ["read", *["read", "write"] * 2]
    assert life.lab.sel(3) == DATA3


def test_single_steps_and_data_breakpoints() -> None:
    """TF, and DR0 on the device's bytes: the trap comes right behind the access, which is one."""
    def prepare(lab: Lab) -> None:
        lab.cpu.set_flags(0x102)

    life = same("mov [esi], eax; nop", prepare=prepare)
    assert len(life.store.accesses) == 1

    source = f"mov eax, {OPERAND}; mov dr0, eax; mov eax, 0xd0001; mov dr7, eax; nop; mov [esi], cx"
    life = same(f"{source}; nop")
    assert [access[0] for access in life.store.accesses] == ["write"]
    assert life.lab.cpu.debug_register(6) & 1

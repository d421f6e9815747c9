"""Segmentation: the guest's limits and rights hold, and nothing from the ceiling on is reached."""

from __future__ import annotations

import pytest
from engine_lab import (
    CEILING,
    CODE,
    CODE3,
    DATA,
    DATA3,
    FREE,
    GP,
    HOLE,
    MONITOR,
    PF,
    SS_FAULT,
    STACK,
    Lab,
    assemble,
)

from bt.contract import EXIT_EXCEPTION, EXIT_SOFTINT, PERM_EXEC, PERM_PINNED, PERM_WRITE
from bt.interp.state import ATTR_UNUSABLE

BIG, SMALL = 0x40F3, 0x00F3  # writable data, byte granular, 32 and 16 bits
EXPAND_DOWN, WRITABLE = 4, 2

ACCESSES = {
    "load byte": ("mov al, [ebx]", 1),
    "load word": ("mov ax, [ebx]", 2),
    "load": ("mov eax, [ebx]", 4),
    "store byte": ("mov [ebx], al", 1),
    "store word": ("mov [ebx], ax", 2),
    "store": ("mov [ebx], eax", 4),
    "modify": ("add [ebx], eax", 4),
    "exchange": ("xchg [ebx], eax", 4),
    "load real": ("fld qword ptr [ebx]", 8),
    "load extended": ("fld tbyte ptr [ebx]", 10),
    "store extended": ("fstp tbyte ptr [ebx]", 10),
    "compare": ("cmpxchg8b [ebx]", 8),
    "jump": ("jmp dword ptr [ebx]", 4),
    "bounds": ("bound eax, [ebx]", 8),
}
accesses = pytest.mark.parametrize("access", ACCESSES)


@pytest.fixture
def high(lab: Lab) -> Lab:
    """Pages on both sides of the ceiling, the one above as the monitor maps its own."""
    lab.map(CEILING - 0x1000, FREE, PERM_WRITE | PERM_EXEC)
    lab.map(CEILING, MONITOR >> 12, PERM_WRITE | PERM_EXEC | PERM_PINNED)
    lab.write(MONITOR, b"\x90" * 64 + b"\xcd\x21")
    lab.finish("fld1; xor eax, eax")
    return lab


def refused(lab: Lab, code: str | bytes, vector: int = GP, **registers: int) -> None:
    """It faults in the segmentation unit, and not because of a page."""
    exit_ = lab.fault(code, **registers)
    assert (exit_.vector, exit_.error) == (vector, 0)


@accesses
def test_a_flat_segment_ends_below_the_ceiling(high: Lab, access: str) -> None:
    code, size = ACCESSES[access]
    for address in (CEILING, CEILING - 1 if size > 1 else CEILING, CEILING + 0x1000, 0xFFFFFFF0):
        refused(high, code, ebx=address)
    refused(high, code, ebx=CEILING - size + 1)


def test_the_last_bytes_below_the_ceiling_are_the_guests(high: Lab) -> None:
    high.finish(
        "mov [ebx], eax; mov ecx, [ebx]; mov dl, [ebx + 3]", ebx=CEILING - 4, eax=0x12345678
    )
    assert (high.reg("ecx"), high.reg("edx") & 0xFF) == (0x12345678, 0x12)


@accesses
def test_a_base_that_wraps_reaches_nothing_hidden(high: Lab, access: str) -> None:
    """Base 06C00000: offset F8C00000 is the ceiling, and F9400000 wraps to linear 0."""
    code, _ = ACCESSES[access]
    high.segment("ds", 0x06C00000)
    for address in (CEILING, CEILING + 0x10000, 0xFFFFFFF0):
        refused(high, code, ebx=(address - 0x06C00000) & 0xFFFFFFFF)


@pytest.mark.parametrize("base", [1, 0x1000, DATA, 0x6C00000, 0x80000000, CEILING - 0x1000])
def test_a_base_below_the_ceiling(high: Lab, base: int) -> None:
    high.segment("fs", base)
    last = CEILING - 4 - base
    high.finish("mov fs:[ebx], eax", ebx=last, eax=0x55667788)
    assert high.read((FREE << 12) + 0xFFC, 4) == b"\x88\x77\x66\x55"
    refused(high, "mov fs:[ebx], eax", ebx=last + 1)
    refused(high, "mov al, fs:[ebx]", ebx=last + 4)


@pytest.mark.parametrize("base", [CEILING, CEILING + 0x40, 0xFFFFF000])
def test_a_base_above_the_ceiling_reaches_nothing(high: Lab, base: int) -> None:
    high.segment("gs", base)
    for offset in (0, 1, 0x10000 - base & 0xFFFFFFFF, DATA - base & 0xFFFFFFFF):
        refused(high, "mov al, gs:[ebx]", ebx=offset)
        refused(high, "mov gs:[ebx], eax", ebx=offset)
    assert high.engine.give_null_segments(high.ideal) == 0


@pytest.mark.parametrize("rights", [BIG | EXPAND_DOWN, SMALL | EXPAND_DOWN])
def test_an_expand_down_segment_reaches_nothing(high: Lab, rights: int) -> None:
    high.segment("es", 0, 0xFFF, rights)
    for offset in (0, 0xFFF, 0x1000, DATA, CEILING, 0xFFFFFFF0):
        refused(high, "mov al, es:[ebx]", ebx=offset)
    high.segment("ss", 0, 0xFFF, rights)
    refused(high, "push eax", SS_FAULT)


STACK_CODE = {"push": "push eax", "pop": "pop eax", "call": "call dword ptr [ecx]", "ret": "ret",
              "pusha": "pushad", "leave": "leave", "pushf": "pushfd"}  # fmt: skip


@pytest.mark.parametrize("name", STACK_CODE)
def test_stack_accesses_beyond_the_limit_are_stack_faults(high: Lab, name: str) -> None:
    high.poke(DATA, (CODE + 0x100).to_bytes(4, "little"))
    for address in (CEILING + 0x20, CEILING + 0x1000):
        code = STACK_CODE[name]
        refused(high, code, SS_FAULT, esp=address, ebp=address, ecx=DATA)


@pytest.mark.parametrize("limit", [0xFFF, 0x1000, 0])
def test_a_limit_below_the_ceiling_stays(lab: Lab, limit: int) -> None:
    lab.segment("ds", DATA, limit, BIG)
    lab.finish("mov al, [ebx]", ebx=limit)
    refused(lab, "mov al, [ebx]", ebx=limit + 1)
    refused(lab, "mov eax, [ebx]", ebx=(limit - 2) & 0xFFFFFFFF)
    refused(lab, "mov [ebx], ax", ebx=limit)
    if limit > 3:
        lab.finish("mov eax, [ebx]", ebx=limit - 3)


def test_a_segment_with_a_base_adds_it(lab: Lab) -> None:
    lab.segment("fs", DATA)
    lab.segment("ss", STACK, 0xFFF, BIG)
    lab.poke(DATA + 0x10, b"\x44\x33\x22\x11")
    lab.finish("mov eax, fs:[0x10]; push eax", esp=0x800)
    assert (lab.reg("eax"), lab.reg("esp")) == (0x11223344, 0x7FC)
    assert lab.dword(STACK + 0x7FC) == 0x11223344


def test_a_read_only_segment(lab: Lab) -> None:
    lab.segment("ds", rights=DATA3 & ~WRITABLE)
    lab.finish("mov eax, [0x20000]")
    refused(lab, "mov [0x20000], eax")
    refused(lab, "inc dword ptr [0x20000]")


def test_code_segments_as_data(lab: Lab) -> None:
    lab.poke(CODE + 0x100, b"\x44\x33\x22\x11")
    lab.finish("mov eax, cs:[0x10100]")
    assert lab.reg("eax") == 0x11223344
    refused(lab, "mov cs:[0x20000], eax")
    lab.segment("fs", rights=CODE3 & ~2)  # execute only
    refused(lab, "mov eax, fs:[0x20000]")


@pytest.mark.parametrize("name", ["ds", "es", "fs", "gs"])
def test_a_null_segment(lab: Lab, name: str) -> None:
    lab.segment(name, 0, 0, ATTR_UNUSABLE, selector=0)
    refused(lab, f"mov eax, {name}:[0]")
    refused(lab, f"mov {name}:[0x20000], al")


def test_string_instructions_use_both_segments(lab: Lab) -> None:
    lab.segment("ds", DATA, 0xFFF, BIG)
    lab.segment("es", DATA + 0x1000, 0xFFF, BIG)
    lab.poke(DATA + 0x20, b"segments")
    lab.finish("rep movsb", esi=0x20, edi=0x40, ecx=8)
    assert lab.peek(DATA + 0x1040, 8) == b"segments"
    refused(lab, "lodsb", esi=0x1000)
    refused(lab, "stosd", edi=0xFFD)


# --- code -------------------------------------------------------------------------------------


def test_code_does_not_run_into_the_monitors_region(high: Lab) -> None:
    high.write((FREE << 12) + 0xFFE, b"\x90\x90")
    high.set(eip=CEILING - 2)
    before = high.count
    exit_ = high.run()
    assert (exit_.reason, exit_.vector, exit_.error) == (EXIT_EXCEPTION, GP, 0)
    assert (exit_.eip, exit_.count - before) == (CEILING, 2)


def test_an_instruction_across_the_ceiling_does_not_run(high: Lab) -> None:
    high.write((FREE << 12) + 0xFFE, b"\xb8\x01")
    high.set(eip=CEILING - 2)
    exit_ = high.run()
    assert (exit_.vector, exit_.error, exit_.eip) == (GP, 0, CEILING - 2)


JUMPS = {
    "jmp": "jmp 0xff800000",
    "call": "call 0xff800000",
    "jmp r": "jmp eax",
    "jcc": "jz 0xff800000",
    "ret": "ret",
    "call m": "call dword ptr [0x20000]",
}


@pytest.mark.parametrize("name", JUMPS)
def test_branches_into_the_monitors_region_fault(high: Lab, name: str) -> None:
    target = CEILING.to_bytes(4, "little")
    high.poke(DATA, target)
    high.poke(STACK + 0x800, target)
    refused(high, JUMPS[name], eax=CEILING, flags=0x242, esp=STACK + 0x800)


@pytest.mark.parametrize("limit", [CODE + 0x1F, 0x2FFFF])
def test_the_limit_of_the_code_segment(lab: Lab, limit: int) -> None:
    lab.segment("cs", 0, limit, 0x40FB)
    refused(lab, "jmp eax", eax=limit + 1)
    lab.program(b"\x90" * 32)
    if limit < CODE + 0x100:
        exit_ = lab.run()
        assert (exit_.vector, exit_.error, exit_.eip, exit_.count) == (GP, 0, limit + 1, 32)


def test_a_code_segment_with_a_base(lab: Lab) -> None:
    lab.segment("cs", CODE, 0xFFF, 0x40FB)
    lab.program("call 0x10010; nop")
    lab.poke(CODE + 0x10, assemble("pop eax") + b"\xcd\x21")
    lab.set(eip=0)
    exit_ = lab.run()
    assert (exit_.reason, exit_.arg, exit_.eip) == (EXIT_SOFTINT, 0x21, 0x11)
    assert lab.reg("eax") == 5


def test_sixteen_bit_code(lab: Lab) -> None:
    """Operand and address size 16, EIP within 64 KiB, selectors and registers as they are."""
    lab.segment("cs", CODE, 0xFFFF, 0x00FB)
    lab.segment("ds", DATA, 0xFFFF, SMALL)
    source = "mov ax, 0x1234; mov bx, 0x10; mov [bx + 2], ax; push ax; pop cx"
    source += "; add eax, 0x10000; int 0x21"
    lab.program(assemble(source, 0, 16))
    lab.set(eip=0, eax=0xAAAA0000, ebx=0xBBBB0000, ecx=0)
    exit_ = lab.run()
    assert (exit_.reason, exit_.arg) == (EXIT_SOFTINT, 0x21)
    assert (lab.reg("eax"), lab.reg("ebx"), lab.reg("ecx")) == (0xAAAB1234, 0xBBBB0010, 0x1234)
    assert lab.peek(DATA + 0x12, 2) == b"\x34\x12"


def test_a_sixteen_bit_stack(lab: Lab) -> None:
    lab.segment("ss", STACK, 0xFFFF, SMALL)
    lab.finish("push eax; push ebx; pop ecx", esp=0xABCD0800, eax=1, ebx=2)
    assert (lab.reg("esp"), lab.reg("ecx")) == (0xABCD07FC, 2)
    exit_ = lab.fault("push eax", esp=0xABCD0000)
    assert (exit_.vector, exit_.address) == (PF, STACK + 0xFFFC)
    refused(lab, "push eax", SS_FAULT, esp=0xABCD0002)


def test_sixteen_bit_addresses_wrap(lab: Lab) -> None:
    lab.segment("ds", DATA, 0xFFFF, BIG)
    lab.poke(DATA + 0x10, b"\x77")
    lab.finish(bytes.fromhex("678a4720"), ebx=0xFFF0)  # mov al, [bx + 0x20]
    assert lab.reg("eax") & 0xFF == 0x77


@pytest.mark.parametrize("ceiling", [HOLE, DATA + 0x10, 0x80000000])
def test_any_ceiling_holds(lab: Lab, ceiling: int) -> None:
    lab.program("mov al, [ebx]; mov al, [ebx + 1]")
    lab.set(ebx=min(ceiling, HOLE) - 1)
    exit_ = lab.run(ceiling=ceiling)
    at = CODE + len(assemble("mov al, [ebx]"))
    assert (exit_.eip, exit_.count) == (at, 1)
    assert exit_.vector == (GP if ceiling <= HOLE else PF)


def test_a_segment_can_be_looked_at(lab: Lab) -> None:
    """As the code had it that ran last: the guest's, truncated."""
    lab.finish("nop")
    for number, name in enumerate(("es", "cs", "ss", "ds", "fs", "gs")):
        selector, base, limit, _ = lab.ideal.segment(number)
        assert lab.engine.segment(number)[:3] == (selector, base, min(limit, CEILING - 1)), name

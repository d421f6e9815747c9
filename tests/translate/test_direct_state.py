"""What ring 3 changes or sees by itself while it runs directly, and an engine may not have.

A few lines of ring 0, a few of ring 3 up to INT 30h, a few of ring 0 again up to HLT: bare and
translated end with the same processor, descriptor caches included, and the same memory.
"""

from __future__ import annotations

import struct

import pytest

from bt.assembler import assemble
from monitor import Machine
from monitor.lockstep.cpu_state import explain, state_of

BEFORE, USER, AFTER, REAL = 0x8000, 0x9000, 0xA000, 0xB000
GDT, IDT, TSS, STACK, STACK3 = 0x1000, 0x2000, 0x3000, 0x70000, 0x80000
DIRECTORY, TABLE, DATA = 0x4000, 0x5000, 0x10000
CODE0, DATA0, CODE3, DATA3, TASK, CODE16 = 0x08, 0x10, 0x1B, 0x23, 0x28, 0x30
ENTRIES = (0x00CF9B000000FFFF, 0x00CF93000000FFFF, 0x00CFFB000000FFFF, 0x00CFF3000000FFFF,
           0x0000890030000067, 0x00009B000000FFFF)  # fmt: skip

PAGING = f"""
    mov eax, {DIRECTORY}
    mov cr3, eax
    mov eax, 0x80000011
    mov cr0, eax
"""


def gate(offset: int, dpl: int) -> bytes:
    return struct.pack("<II", CODE0 << 16 | offset, 0x8E00 | dpl << 13)


def machine(mode: str, before: str, user: str, after: str, real: str) -> Machine:
    one = Machine(memory_mb=1, mode=mode)
    write = one.memory.write
    write(GDT, struct.pack("<7Q", 0, *ENTRIES))
    write(IDT, gate(AFTER, 3) * 256)
    write(TSS + 4, struct.pack("<II", STACK, DATA0))
    write(DIRECTORY, struct.pack("<I", TABLE | 7))
    write(TABLE, struct.pack("<256I", *(page << 12 | 7 for page in range(256))))
    write(0x6000, struct.pack("<HI2xHI", 0x37, GDT, 0x7FF, IDT))
    enter = f"""
        lgdt [0x6000]; lidt [0x6008]
        mov ax, {TASK}; ltr ax
        {before}
        push {DATA3}; push {STACK3}; push 0x202; push {CODE3}; push {USER}
        iretd
    """
    write(USER, assemble(user, USER) + b"\xcd\x30")
    write(AFTER, assemble(after, AFTER) + b"\xf4")
    write(REAL, assemble(real, REAL, 16) + b"\xf4")
    one.load_flat(assemble(enter, BEFORE), BEFORE, esp=STACK)
    return one


def agree(before: str, user: str, after: str = "nop", real: str = "nop") -> Machine:
    """The bare machine at its end, which is the translated one's; much of it ran directly."""
    bare, translate = (machine(mode, before, user, after, real) for mode in ("bare", "translate"))
    for one in (bare, translate):
        assert one.run(max_instructions=10_000, timeout=5).kind == "stuck", one.debug.where()
    assert explain(state_of(bare), state_of(translate)) == []
    assert bare.memory.read(0, 1 << 20) == translate.memory.read(0, 1 << 20)
    assert translate.statistics()["by_kind"]["direct"] > 0
    return bare


LOAD_DATA3 = f"mov ax, {DATA3}; mov ds, ax; mov es, ax; mov fs, ax; mov gs, ax"
TO_REAL_MODE = f"""
    .byte 0xea
    .long {REAL}
    .short {CODE16}
"""
IN_REAL_MODE = f"""
    mov eax, cr0
    and eax, 0x7ffffffe
    mov cr0, eax
    .byte 0xea
    .short {REAL + 24}, 0
    .space 16, 0x90
"""


@pytest.mark.parametrize("selector", range(4))
@pytest.mark.parametrize("segment", ["ds", "es", "fs", "gs"])
def test_null_selectors_keep_their_cache(segment: str, selector: int) -> None:
    agree(LOAD_DATA3, f"mov eax, {selector}; mov {segment}, ax")


@pytest.mark.parametrize("segment", ["ds", "es", "fs", "gs"])
def test_big_real_mode_after_a_null_selector(segment: str) -> None:
    """A load in real mode makes the segment usable, with the limit that it had before."""
    real = IN_REAL_MODE + f"""
        xor ax, ax
        mov {segment}, ax
        mov ebx, {DATA}
        mov ecx, {segment}:[ebx]
    """
    after = f"mov dword ptr ss:[{DATA}], 0x12345678\n {TO_REAL_MODE}"
    bare = agree(LOAD_DATA3, f"xor eax, eax; mov {segment}, ax", after, real)
    assert bare.registers["ecx"] == 0x12345678


def test_a_return_to_another_task_marks_no_page_accessed() -> None:
    """IRETD with NT looks for the guest's task, not for one of the engine's at address 0."""
    agree(PAGING + LOAD_DATA3, "push 0x4202; popfd; iretd")


@pytest.mark.parametrize("counter", [0, 1, 2])
def test_performance_counters_are_the_guests(counter: int) -> None:
    write = "mov ecx, 0xc1; mov eax, 0x1234; xor edx, edx; wrmsr; inc ecx; inc eax; wrmsr"
    bare = agree(
        f"{write}; mov eax, 0x100; mov cr4, eax", f"mov ecx, {counter}; rdpmc; mov ebx, eax"
    )
    if counter < 2:
        assert bare.registers["ebx"] == 0x1234 + counter

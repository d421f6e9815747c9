"""What stands in the arena of every world: tables, tasks, stacks and code, and their selectors.

| page | what                                                                             |
| ---- | -------------------------------------------------------------------------------- |
| 0    | the 8086 program's vector table                                                  |
| 1    | GDT, two LDTs, IDT                                                               |
| 2    | task-state segments; the last one lies across the end of the page                |
| 3    | a stack for every privilege level, and for the tasks                             |
| 4    | code, in stages of 128 bytes                                                     |
| 5, 6 | data                                                                             |
| 7, 8 | page directory and the table of the first 4 MiB, where linear is physical        |
| 9    | the table of the next 4 MiB: pages of the arena again, with other rights         |
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache

from tests.bochs import layout as at
from tests.bochs.kernel import stub

IVT, GDT, LDT, LDT2, IDT = 0x0, 0x1000, 0x1200, 0x1300, 0x1400
STAGES, STAGE_SIZE = 0x4000, 0x80
DATA = 0x5000
DIRECTORY, TABLE, ALIASES = 0x7000, 0x8000, 0x9000
ALIAS = 0x400000
LARGE = 0x800000

GDT_LIMIT, LDT_LIMIT, LDT2_LIMIT, IDT_LIMIT = 0x1FF, 0xFF, 0x7F, 8 * at.VECTORS - 1

# Selectors by privilege level: CODE[kind] + 8 * level
CODE32, CODE16, CONFORMING, DATA32, STACK16 = 0x20, 0x40, 0x60, 0x80, 0xA0
ODD_DATA = tuple(range(0xC0, 0x100, 8))
TASK, TASK_B, TASK_C, TASK16, TASK16_B, TASK_DF, TASK_X = range(0x100, 0x138, 8)
LDT_SELECTOR, LDT2_SELECTOR = 0x138, 0x140
CALL_GATES = tuple(range(0x148, 0x188, 8))
TASK_GATES = (0x188, 0x190)
JUNK = tuple(range(0x198, 0x200, 8))

TSS = {
    TASK: 0x2000, TASK_B: 0x2100, TASK_C: 0x2200, TASK16: 0x2300, TASK16_B: 0x2380,
    TASK_DF: 0x2400, TASK_X: 0x2FC0,
}  # fmt: skip
WIDE_TASKS = (TASK, TASK_B, TASK_C, TASK_X)
NARROW_TASKS = (TASK16, TASK16_B)
IO_MAP = 0x88  # behind the interrupt redirection bitmap
TSS_LIMIT, SMALL_TSS_LIMIT, TSS16_LIMIT = IO_MAP + 0x20, 0x67, 0x2B

STACK = 0x3400  # + 200h for every level
TASK_STACK, DF_STACK = 0x3C00, 0x3E00

Put = Callable[[int, bytes], None]

PRESENT, WRITE, USER, ACCESSED, DIRTY, LARGE_PAGE = 1, 2, 4, 0x20, 0x40, 0x80


def descriptor(base: int, limit: int, rights: int) -> bytes:
    """`rights` are bits 8 to 23 of the second doubleword; the limit is in the descriptor's unit."""
    low = (limit & 0xFFFF) | (base & 0xFFFF) << 16
    high = rights << 8 | (limit & 0xF0000) | (base >> 16 & 0xFF) | (base & 0xFF00_0000)
    return struct.pack("<II", low, high)


def gate(kind: int, selector: int, offset: int, dpl: int = 3, count: int = 0) -> bytes:
    """A present call, interrupt, trap or task gate."""
    low = selector << 16 | (offset & 0xFFFF)
    return struct.pack("<II", low, (offset & 0xFFFF_0000) | 0x8000 | dpl << 13 | kind << 8 | count)


def stage(number: int) -> int:
    """Linear address of a stage's code."""
    return STAGES + STAGE_SIZE * number


def stack_top(level: int) -> int:
    """ESP to begin with at a privilege level."""
    return STACK + 0x200 * level


def data_selector(level: int) -> int:
    """Flat data of a privilege level, with its RPL."""
    return DATA32 + 8 * level | level


def tss_fields(
    selector: int, registers: dict[str, int], segments: dict[str, int], cr3: int = DIRECTORY
) -> bytes:
    """A task-state segment, of 16 or 32 bits as the selector has it."""
    wide = selector not in NARROW_TASKS
    names = ("eip", "eflags", "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
    general = [registers.get(name, 0) for name in names]
    order = ("es", "cs", "ss", "ds", "fs", "gs", "ldt")
    selectors = [segments.get(name, 0) for name in order]
    if wide:
        stacks = [x for level in range(3) for x in (stack_top(level), data_selector(level))]
        tail = registers.get("trap", 0) | IO_MAP << 16
        words = [0, *stacks, cr3, *general, *selectors, tail]
        return struct.pack("<26I", *words)
    stacks = [x for level in range(3) for x in (stack_top(level), STACK16 + 8 * level | level)]
    narrow = [0, *stacks, *(value & 0xFFFF for value in general), *selectors[:4], selectors[6]]
    return struct.pack("<22H", *narrow)


@cache
def template() -> bytes:
    """The arena that every world is made from: all of it valid."""
    arena = bytearray(at.ARENA_SIZE)

    def put(address: int, data: bytes) -> None:
        arena[address : address + len(data)] = data

    _segments(put)
    for selector, base in TSS.items():
        narrow = selector in NARROW_TASKS
        limit = TSS16_LIMIT if narrow else TSS_LIMIT if selector in WIDE_TASKS[:3] else 0x67
        put(GDT + selector, descriptor(base, limit, 0x81 if narrow else 0x89))
        put(base, tss_fields(selector, {"eflags": 2}, {}))
    double_fault = {"eip": stub(8), "esp": DF_STACK, "eflags": 2}
    flat = {"cs": at.KCODE, **dict.fromkeys(("es", "ss", "ds", "fs", "gs"), at.KDATA)}
    put(TSS[TASK_DF], tss_fields(TASK_DF, double_fault, flat))
    put(GDT + LDT_SELECTOR, descriptor(LDT, LDT_LIMIT, 0x82))
    put(GDT + LDT2_SELECTOR, descriptor(LDT2, LDT2_LIMIT, 0x82))
    for table, limit in ((LDT, LDT_LIMIT), (LDT2, LDT2_LIMIT)):
        for place in range(0, limit, 8):
            put(table + place, bytes(arena[GDT + 0x20 + place % 0xC0 :][:8]))
    for vector in range(at.VECTORS):
        put(IDT + 8 * vector, gate(0xE, at.KCODE, stub(vector)))
        put(IVT + 4 * vector, struct.pack("<HH", STAGE_SIZE * 7, STAGES >> 4))
    put(IDT + 8 * 8, gate(0x5, TASK_DF, 0))
    for each in range(16):  # INT3 wherever no stage stands
        put(stage(each), b"\xcc" * STAGE_SIZE)
    put(DATA, bytes(range(256)) * 32)
    _paging(put)
    return bytes(arena)


def _segments(put: Put) -> None:
    put(GDT + at.KCODE, descriptor(0, 0xFFFFF, 0xC09B))
    put(GDT + at.KDATA, descriptor(0, 0xFFFFF, 0xC093))
    for level in range(4):
        for base, kind in ((CODE32, 0xC09A), (CODE16, 0x009A), (CONFORMING, 0xC09E)):
            limit = 0xFFFF if kind == 0x009A else 0xFFFFF
            put(GDT + base + 8 * level, descriptor(0, limit, kind | level << 5))
        put(GDT + DATA32 + 8 * level, descriptor(0, 0xFFFFF, 0xC092 | level << 5))
        put(GDT + STACK16 + 8 * level, descriptor(0, 0xFFFF, 0x0092 | level << 5))


def _paging(put: Put) -> None:
    put(DIRECTORY, struct.pack("<II", TABLE | 7, ALIASES | 7))
    for page in range(at.ARENA_SIZE // at.PAGE):
        put(TABLE + 4 * page, struct.pack("<I", page * at.PAGE | 7))
        put(ALIASES + 4 * page, struct.pack("<I", page * at.PAGE | 7))
    kernel_pages = range(at.KERNEL // at.PAGE, at.KERNEL_END // at.PAGE)
    for page in (at.LOW // at.PAGE, *kernel_pages):
        put(TABLE + 4 * page, struct.pack("<I", page * at.PAGE | 3))

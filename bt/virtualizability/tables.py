"""Descriptor tables and page tables of the bench, as bytes (SDM vol. 3, 3.4.5, 4.3, 6.11, 7.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from bt.hostcpu import layout as at
from bt.virtualizability.experiments import SELECTOR_LDT, SELECTOR_TSS
from bt.virtualizability.worlds import KERNEL_SEGMENTS, World

GDT, LDT, TSS, IDT = 0x000, 0x100, 0x200, 0x400  # offsets in the page of tables
GDT_LIMIT, LDT_LIMIT, TSS_LIMIT = 0x7F, 8 * len(at.LDT) - 1, 0x67
OPEN_TSS_LIMIT = 0x7F  # with an I/O permission bitmap of zeros for the ports that are used
VECTORS = 0x30
HANDLER_SIZE = 16
CALLABLE = (3, 4)  # gates with DPL 3: breakpoint and overflow

KERNEL_CODE, KERNEL_DATA = 0x10, 0x18  # of whoever owns the IDT
CODE, STACK = 0x20, 0x28  # CS and SS of the experiment, without RPL
LDTR = (0x50, 0x68)  # the guest's and the monitor's choice
TR = (0x40, 0x60)


@dataclass(frozen=True)
class Descriptor:
    """A segment descriptor; `rights` are bits 8 to 23 of its second doubleword, >> 8."""

    base: int
    limit: int
    rights: int

    def raw(self) -> bytes:
        limit = self.limit >> 12 if self.rights & 0x8000 else self.limit
        low = (limit & 0xFFFF) | (self.base & 0xFFFF) << 16
        high = self.rights << 8 | (limit & 0xF0000)
        high |= (self.base >> 16 & 0xFF) | (self.base & 0xFF00_0000)
        return struct.pack("<II", low, high)


def gdt(world: World, tables: int) -> dict[int, Descriptor]:
    """By selector, without RPL; `tables` is the linear address of the page of tables."""
    everything = 0xFFFF_FFFF
    dpl = world.cpl << 5
    task, local = tables + TSS, tables + LDT
    return {
        KERNEL_CODE: Descriptor(0, everything, 0xC09B),
        KERNEL_DATA: Descriptor(0, everything, 0xC093),
        CODE: Descriptor(world.shift, everything, 0xC09B | dpl),
        STACK: Descriptor(world.shift, everything, 0xC093 | dpl),
        TR[0]: Descriptor(task, task_limit(world), 0x8B),
        TR[1]: Descriptor(task, task_limit(world), 0x8B),
        SELECTOR_TSS: Descriptor(task, TSS_LIMIT, 0x89),
        LDTR[0]: Descriptor(local, LDT_LIMIT, 0x82),
        LDTR[1]: Descriptor(local, LDT_LIMIT, 0x82),
        SELECTOR_LDT: Descriptor(local, LDT_LIMIT, 0x82),
    }


def task_limit(world: World) -> int:
    """The limit of the TSS: the bitmap lies in it or behind it."""
    return OPEN_TSS_LIMIT if world.ports_open else TSS_LIMIT


def ldt(world: World) -> dict[int, Descriptor]:
    """The segments of bt/hostcpu/layout.py. All have DPL 3, but the kernel's in the guest's LDT."""
    found = {}
    for each in at.LDT:
        dpl = world.kernel_dpl if each in KERNEL_SEGMENTS else 3
        kind = 1 | each.writable << 1 | each.expand_down << 2 | each.code << 3
        rights = kind | 0x10 | dpl << 5 | each.present << 7 | each.big << 14 | each.pages << 15
        found[each.selector & ~3] = Descriptor(each.base + world.shift, each.limit, rights)
    return found


def page_of_tables(world: World, tables: int, handlers: int, stack: int) -> bytes:
    """GDT, LDT, TSS and IDT. `handlers` and `stack` are linear addresses."""
    page = bytearray(at.PAGE)
    for selector, descriptor in gdt(world, tables).items():
        page[GDT + selector : GDT + selector + 8] = descriptor.raw()
    for selector, descriptor in ldt(world).items():
        place = LDT + (selector & ~7)
        page[place : place + 8] = descriptor.raw()
    struct.pack_into("<II", page, TSS + 4, stack, KERNEL_DATA)
    struct.pack_into("<H", page, TSS + 0x66, TSS_LIMIT + 1)  # the I/O permission bitmap
    for vector in range(VECTORS):
        page[IDT + 8 * vector : IDT + 8 * vector + 8] = gate(vector, handlers)
    return bytes(page)


def gate(vector: int, handlers: int) -> bytes:
    """A 32-bit interrupt gate to the vector's handler."""
    handler = handlers + vector * HANDLER_SIZE
    rights = 0xEE00 if vector in CALLABLE else 0x8E00
    low = KERNEL_CODE << 16 | (handler & 0xFFFF)
    return struct.pack("<II", low, (handler & 0xFFFF_0000) | rights)


def page_tables(directory: int, tables: int, pages: list[tuple[int, int]]) -> dict[int, bytes]:
    """A page directory and its page tables by physical address, for (linear, frame) pairs."""
    tops = sorted({linear >> 22 for linear, _ in pages})
    raw = {directory: bytearray(at.PAGE)}
    for number, top in enumerate(tops):
        place = tables + number * at.PAGE
        raw[place] = bytearray(at.PAGE)
        struct.pack_into("<I", raw[directory], 4 * top, place | 7)
    for linear, frame in pages:
        table = raw[tables + tops.index(linear >> 22) * at.PAGE]
        struct.pack_into("<I", table, (linear >> 12 & 0x3FF) * 4, frame | 7)
    return {place: bytes(data) for place, data in raw.items()}

"""The oracle's world again, as physical memory and descriptor tables for the interpreter.

The host oracle (bt/hostcpu) runs a case in a process that Linux set up: pages at fixed linear
addresses, an LDT, Linux's GDT, ring 3, IOPL 0. `build` makes the same out of guest RAM:

    physical   linear                       what
    0x0000     0xC0000000 (supervisor)      GDT, LDT, TSS, IDT
    0x1000                                  page directory, then four page tables
    0x6000     0xC0006000 (supervisor)      one HLT per exception vector
    0x7000     0xC0007000 (supervisor)      the ring 0 stack
    0x8000     layout.DRIVER                where code under test ends: a HLT at the driver's `save`
    0x9000     layout.CONTROL               one FNSAVE image
    0xA000     layout.CODE_PAGE             0xB000, 0xC000 DATA; 0xD000 READ_ONLY_PAGE

`PAGES` says it once; an external processor gets them mapped into its address space, a bare one
page tables (SDM volume 3, 4.3) made from the same rows.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from bt.hostcpu import layout as at
from bt.hostcpu.gdt import Visible
from bt.interp.state import ATTR_UNUSABLE, PERM_EXEC, PERM_PRESENT, PERM_WRITE

RAM_SIZE = 0x10000
SUPERVISOR = 0xC000_0000

GDT, LDT, TSS, IDT = 0x000, 0x100, 0x200, 0x400
GDT_LIMIT = 127  # Linux has 16 entries
LDT_LIMIT = 8 * len(at.LDT) - 1
TSS_LIMIT = 0x67
DIRECTORY = 0x1000
HANDLERS = 0x6000
HANDLER_SIZE = 16
STACK_TOP = 0x8000
SEL_KERNEL_CODE, SEL_KERNEL_DATA, SEL_TSS, SEL_LDT = 0x10, 0x18, 0x40, 0x50  # Linux's selectors

DRIVER, CONTROL, CODE, DATA, READ_ONLY = 0x8000, 0x9000, 0xA000, 0xB000, 0xD000

HLT = 0xF4
VECTORS = 20
CALLABLE = (3, 4)  # INT3 and INTO: Linux's gates with DPL 3


@dataclass(frozen=True)
class Page:
    """A page of the world: where it is, who may write it, and whether ring 3 may reach it."""

    linear: int
    frame: int
    writable: bool
    user: bool = True

    @property
    def permissions(self) -> int:
        """For an address space: readable pages are executable, as on the Pentium Pro."""
        return PERM_PRESENT | PERM_EXEC | (PERM_WRITE if self.writable else 0)

    @property
    def entry(self) -> int:
        """As a page-table entry: accessed bit clear."""
        return self.frame | 1 | self.writable << 1 | self.user << 2


PAGES = (
    *(Page(SUPERVISOR + frame, frame, True, False) for frame in range(0, STACK_TOP, at.PAGE)),
    Page(at.DRIVER, DRIVER, False),
    Page(at.CONTROL, CONTROL, True),
    Page(at.CODE_PAGE, CODE, False),
    Page(at.DATA, DATA, True),
    Page(at.DATA + at.PAGE, DATA + at.PAGE, True),
    Page(at.READ_ONLY_PAGE, READ_ONLY, False),
)

# What LAR returns is the second dword of a descriptor; the caches keep its bits 8-23 without the
# limit's (state.py, ATTR_x).
ATTRIBUTES = 0xF0FF


@dataclass(frozen=True)
class Descriptor:
    """A segment as a descriptor cache holds it: `limit` in bytes, `attributes` as ATTR_x."""

    base: int
    limit: int
    attributes: int

    def raw(self) -> bytes:
        """The eight bytes in a descriptor table (SDM volume 3, figure 3-8)."""
        limit = self.limit >> 12 if self.attributes & 0x8000 else self.limit
        low = (limit & 0xFFFF) | (self.base & 0xFFFF) << 16
        high = self.attributes << 8 | (limit & 0xF0000)
        high |= (self.base >> 16 & 0xFF) | (self.base & 0xFF00_0000)
        return struct.pack("<II", low, high)


NULL = Descriptor(0, 0, ATTR_UNUSABLE)


def ldt_descriptor(segment: at.LdtSegment) -> Descriptor:
    """What modify_ldt(2) makes of an entry: DPL 3, accessed."""
    kind = 1 | segment.writable << 1 | segment.expand_down << 2 | segment.code << 3
    attributes = kind | 0x10 | 3 << 5 | segment.present << 7 | segment.big << 14
    attributes |= segment.pages << 15
    return Descriptor(segment.base, segment.limit, attributes)


def segments(visible: list[Visible]) -> dict[int, Descriptor]:
    """Every segment that ring 3 may load, by selector (with RPL 3); null selectors too."""
    found = dict.fromkeys(range(4), NULL)
    for each in visible:
        found[each.selector] = Descriptor(0, each.limit, each.rights >> 8 & ATTRIBUTES)
    for segment in at.LDT:
        found[segment.selector] = ldt_descriptor(segment)
    return found


def gate(vector: int) -> bytes:
    """An interrupt gate to the vector's HLT."""
    handler = SUPERVISOR + HANDLERS + vector * HANDLER_SIZE
    rights = 0xEE00 if vector in CALLABLE else 0x8E00
    low = SEL_KERNEL_CODE << 16 | (handler & 0xFFFF)
    return struct.pack("<II", low, (handler & 0xFFFF_0000) | rights)


def tables(known: dict[int, Descriptor]) -> bytes:
    """The supervisor's first page: GDT, LDT, TSS, IDT."""
    page = bytearray(at.PAGE)
    rows = dict(known)
    rows[SEL_KERNEL_CODE] = Descriptor(0, 0xFFFF_FFFF, 0xC09B)
    rows[SEL_KERNEL_DATA] = Descriptor(0, 0xFFFF_FFFF, 0xC093)
    rows[SEL_TSS] = Descriptor(SUPERVISOR + TSS, TSS_LIMIT, 0x8B)
    rows[SEL_LDT] = Descriptor(SUPERVISOR + LDT, LDT_LIMIT, 0x82)
    for selector, descriptor in rows.items():
        if selector > 3:
            place = (LDT if selector & 4 else GDT) + (selector & ~7)
            page[place : place + 8] = descriptor.raw()
    struct.pack_into("<II", page, TSS + 4, SUPERVISOR + STACK_TOP, SEL_KERNEL_DATA)
    struct.pack_into("<H", page, TSS + 0x66, TSS_LIMIT + 1)  # no I/O permission bitmap
    for vector in range(VECTORS):
        page[IDT + 8 * vector : IDT + 8 * vector + 8] = gate(vector)
    return bytes(page)


def page_tables() -> bytes:
    """Page directory and the page tables that PAGES needs, as they lie at DIRECTORY."""
    tops = sorted({page.linear >> 22 for page in PAGES})
    raw = bytearray(at.PAGE * (1 + len(tops)))
    for number, top in enumerate(tops, start=1):
        struct.pack_into("<I", raw, 4 * top, DIRECTORY + number * at.PAGE | 7)
    for page in PAGES:
        table = 1 + tops.index(page.linear >> 22)
        slot = table * at.PAGE + (page.linear >> 12 & 0x3FF) * 4
        struct.pack_into("<I", raw, slot, page.entry)
    return bytes(raw)


def build(known: dict[int, Descriptor], ends: tuple[int, ...]) -> bytearray:
    """Guest RAM before the first case; `ends` is where code under test ends."""
    ram = bytearray(RAM_SIZE)
    ram[: at.PAGE] = tables(known)
    paging = page_tables()
    ram[DIRECTORY : DIRECTORY + len(paging)] = paging
    for vector in range(VECTORS):
        ram[HANDLERS + vector * HANDLER_SIZE] = HLT
    for end in ends:
        ram[DRIVER + end - at.DRIVER] = HLT
    ram[CODE : CODE + at.PAGE] = b"\xcc" * at.PAGE
    return ram

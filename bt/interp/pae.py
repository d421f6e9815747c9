"""Physical address extension: three levels, entries of 64 bits (SDM vol. 3, 4.4).

    linear address 31..30 -> one of four pointer entries, which the processor keeps
    29..21 -> page-directory entry, 20..12 -> page-table entry, 11..0 -> byte

The pointer entries (PDPTEs) are read where CR3 points when CR3 is loaded, and when paging or PAE is
switched on; a reserved bit in a present one is #GP(0), and nothing has changed. Until the next load
the tables that they were read from may be anything.

Addresses have 36 bits. There is no execute-disable, so that all bits from 36 on are reserved. A
directory entry with PS maps 2 MiB, whatever CR4.PSE says. Memory ends below 4 GiB here: tables and
pages beyond find the open bus (`place_of`), where a table reads as ones, which are reserved bits.

Worked example: linear 0040_3025h is pointer 0, directory entry 2, table entry 3, byte 25h.
"""

from __future__ import annotations

from bt.interp.dialect import M32, func, i32, i64, inline, u32, u64
from bt.interp.physical import is_memory, phys_read, phys_write, place_of, read_place
from bt.interp.state import (
    ACC_USER,
    ACC_WRITE,
    CR0_PG,
    CR4_PAE,
    VEC_GP,
    Cpu,
)
from bt.interp.walk import (
    PF_RSVD,
    PTE_A,
    PTE_D,
    PTE_P,
    PTE_PS,
    bits_found,
    granted,
    page_fault,
    peek_walk,
    walk,
)

PAE_FRAME = 0xFFFFFF000  # the address of a table or a page, 36 bits
PAE_RESERVED = 0xFFFFFFF000000000
PAE_LARGE_RESERVED = 0x1FE000  # in the entry of a 2 MiB page
PDPTE_RESERVED = 0xFFFFFFF0000001E6


@inline
def pae_paging(c: Cpu) -> u32:
    """Are the tables those of this file?"""
    return 1 if c.cr4 & CR4_PAE and c.cr0 & CR0_PG else 0


@func
def pae_entry(c: Cpu, at: u64, peek: u32) -> u64:
    """The entry at a physical address; to `peek`, 0 where there is no RAM."""
    place = place_of(c, at)
    if is_memory(place) == 0:
        if peek:
            return 0
        if at > M32:
            return 0xFFFFFFFFFFFFFFFF
        low: u64 = phys_read(c, at, 4)
        high: u64 = phys_read(c, at + 4, 4)
        return high << 32 | low
    entry: u64 = read_place(c, place + 4, 4)
    return entry << 32 | read_place(c, place, 4)


@func
def pae_entry_bits(c: Cpu, at: u64, entry: u64, bits: u32) -> i32:
    """Set accessed and dirty bits in an entry in memory, when they are not set yet."""
    if entry & bits != bits and at <= M32:
        phys_write(c, at, 4, (entry & M32) | bits)
    return 0


# --- the pointer entries -----------------------------------------------------------------


@func
def load_pointers(c: Cpu, root: u32) -> i64:
    """Read the four of a CR3. -1: #GP(0) noted, or a device met; those before are kept then."""
    for i in range(4):
        entry = pae_entry(c, (root & 0xFFFFFFE0) + 8 * i, 0)
        if c.meets_device:
            return -1
        if entry & PTE_P and entry & PDPTE_RESERVED:
            c.fault_vector = VEC_GP
            c.fault_error = 0
            c.fault_has_error = 1
            return -1
        c.pdpte_read[i] = entry
    for i in range(4):
        c.pdpte[i] = c.pdpte_read[i]
    return 0


@inline
def top_at(la: u32, pointer: u64) -> u64:
    """Where the page-directory entry of a linear address is."""
    return (pointer & PAE_FRAME) | ((la >> 18) & 0xFF8)


@inline
def last_at(la: u32, top: u64) -> u64:
    """Where the page-table entry is."""
    return (top & PAE_FRAME) | ((la >> 9) & 0xFF8)


@inline
def reserved_in(top: u64) -> u64:
    """The bits that have to be 0 in this page-directory entry."""
    return PAE_RESERVED | PAE_LARGE_RESERVED if top & PTE_PS else PAE_RESERVED


@inline
def pae_page(la: u32, last: u64, large: u32) -> u64:
    """The frame's address."""
    return (last & 0xFFFE00000) | (la & 0x1FF000) if large else last & PAE_FRAME


# --- the walk ----------------------------------------------------------------------------


@func
def pae_walk(c: Cpu, la: u32, access: u32) -> i64:
    """walk(), with the tables of this file."""
    error: u32 = access & (ACC_USER | ACC_WRITE)
    pointer = c.pdpte[la >> 30]
    if pointer & PTE_P == 0:
        return page_fault(c, la, error)
    first: u64 = top_at(la, pointer)
    top = pae_entry(c, first, 0)
    if top & PTE_P == 0:
        return page_fault(c, la, error)
    if top & reserved_in(top):
        return page_fault(c, la, error | PTE_P | PF_RSVD)
    large: u32 = 1 if top & PTE_PS else 0
    second: u64 = first
    last: u64 = top
    if not large:
        second = last_at(la, top)
        last = pae_entry(c, second, 0)
        if last & PTE_P == 0:
            return page_fault(c, la, error)
        if last & PAE_RESERVED:
            return page_fault(c, la, error | PTE_P | PF_RSVD)
    perm: u32 = granted(c, access, top & last & M32, last & M32, large)
    if perm == 0:
        return page_fault(c, la, error | PTE_P)
    if not large:
        pae_entry_bits(c, first, top, PTE_A)
    pae_entry_bits(c, second, last, PTE_A | PTE_D if access & ACC_WRITE else PTE_A)
    pa: u64 = pae_page(la, last, large)
    return ((pa | (la & 0xFFF)) << 8) | perm


@func
def any_walk(c: Cpu, la: u32, access: u32) -> i64:
    """The walk that the control registers ask for."""
    if c.cr4 & CR4_PAE:
        return pae_walk(c, la, access)
    return walk(c, la, access)


# --- for those who only look -------------------------------------------------------------


@func
def pae_page_bits(c: Cpu, la: u32, top: u64, last: u64) -> i64:
    """page_bits(): what entries of this file say of a page; -1: there is none."""
    if top & PTE_P == 0 or top & reserved_in(top):
        return -1
    if last & PTE_P == 0 or last & PAE_RESERVED:
        return -1
    large: u32 = 1 if top & PTE_PS else 0
    pa: u64 = pae_page(la, last, large)
    return pa | bits_found(c, top, last, large)


@func
def pae_peek_top(c: Cpu, la: u32, pointer: u64) -> u64:
    """The page-directory entry; 0: there is none."""
    return pae_entry(c, top_at(la, pointer), 1) if pointer & PTE_P else 0


@func
def pae_peek_last(c: Cpu, la: u32, top: u64) -> u64:
    """The entry at which the walk ends: `top` itself if that is not present or maps 2 MiB."""
    if top & PTE_P == 0 or top & PTE_PS:
        return top
    return pae_entry(c, last_at(la, top), 1)


@func
def peek_pointer(c: Cpu, root: u32, la: u32) -> u64:
    """The pointer entry as it stands in memory, for other tables than those that are loaded."""
    entry = pae_entry(c, (root & 0xFFFFFFE0) + 8 * (la >> 30), 1)
    return 0 if entry & PDPTE_RESERVED else entry


@func
def any_peek(c: Cpu, la: u32) -> i64:
    """peek_walk() with the tables in use."""
    if c.cr4 & CR4_PAE == 0:
        return peek_walk(c, c.cr3, la)
    top = pae_peek_top(c, la, c.pdpte[la >> 30])
    return pae_page_bits(c, la, top, pae_peek_last(c, la, top))


@func
def peek_at(c: Cpu, root: u32, la: u32, wide: u32) -> i64:
    """peek_walk() with the tables of a CR3, whose entries are those of this file if `wide`."""
    if wide == 0:
        return peek_walk(c, root, la)
    top = pae_peek_top(c, la, peek_pointer(c, root, la))
    return pae_page_bits(c, la, top, pae_peek_last(c, la, top))

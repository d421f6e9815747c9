"""The page walk with 32-bit entries: two levels, accessed and dirty bits (SDM vol. 3, 4.3).

    linear address 31..22 -> page-directory entry, 21..12 -> page-table entry, 11..0 -> byte

With CR4.PSE a directory entry may map 4 MiB. Bits 16 to 13 of it are then bits 35 to 32 of the
address where the model has PSE-36, and reserved where not (`Cpu.pde_reserved`). With CR4.PAE the
tables are others: pae.py.
"""

from __future__ import annotations

from bt.interp.dialect import M32, func, i64, inline, u32, u64
from bt.interp.physical import is_memory, on_board, phys_read, phys_write, read_place
from bt.interp.state import (
    ACC_USER,
    ACC_WRITE,
    CR0_WP,
    CR4_PGE,
    CR4_PSE,
    PERM_EXEC,
    PERM_GLOBAL,
    PERM_LARGE,
    PERM_PRESENT,
    PERM_WRITE,
    VEC_PF,
    Cpu,
)

PTE_P = 0x1
PTE_W = 0x2
PTE_U = 0x4
PTE_A = 0x20
PTE_D = 0x40
PTE_PS = 0x80
PTE_G = 0x100
PF_RSVD = 8


@func
def page_fault(c: Cpu, la: u32, error: u32) -> i64:
    c.fault_vector = VEC_PF
    c.fault_error = error
    c.fault_has_error = 1
    c.cr2 = la
    return -1


@inline
def granted(c: Cpu, access: u32, rights: u32, last: u32, large: u32) -> u32:
    """PERM_* that a walk comes to; 0: the access is not allowed.

    `rights` are those that all levels give, `last` the low half of the entry that maps the page.
    PERM_WRITE is only given when the page is dirty already, so that the first write comes back
    and sets the D bit.
    """
    write: u32 = access & ACC_WRITE
    writable: u32 = rights & PTE_W
    if access & ACC_USER:
        if rights & PTE_U == 0 or (write and writable == 0):
            return 0
    elif c.cr0 & CR0_WP == 0:
        writable = PTE_W
    elif write and writable == 0:
        return 0
    perm: u32 = PERM_PRESENT | PERM_EXEC
    if large:
        perm |= PERM_LARGE
    if writable and (write or last & PTE_D):
        perm |= PERM_WRITE
    if last & PTE_G and c.cr4 & CR4_PGE:
        perm |= PERM_GLOBAL
    return perm


@inline
def set_entry_bits(c: Cpu, found: u64, bits: u32) -> i64:
    """Set accessed and dirty bits in a paging entry in memory, when they are not set yet."""
    if found & bits != bits:
        return phys_write(c, found >> 32, 4, (found & M32) | bits)
    return 0


@inline
def entry_at(c: Cpu, place: u32, peek: u32) -> u64:
    """A paging entry, and above it where it is; to `peek`, 0 where there is no RAM."""
    entry: u64 = place
    entry <<= 32
    if peek == 0:
        return entry | phys_read(c, place, 4)
    at = on_board(c, place)
    return entry | read_place(c, at, 4) if is_memory(at) else entry


@inline
def top_entry(c: Cpu, root: u32, la: u32, peek: u32) -> u64:
    """The page-directory entry of a linear address, as entry_at() has it; `root` is a CR3."""
    return entry_at(c, (root & 0xFFFFF000) | ((la >> 20) & 0xFFC), peek)


@inline
def maps_large(c: Cpu, top: u64) -> u32:
    """Is this page-directory entry one of a 4 MiB page?

    That the walk ends there does not say so: a directory may be its own page table.
    """
    return 1 if top & (PTE_P | PTE_PS) == PTE_P | PTE_PS and c.cr4 & CR4_PSE else 0


@inline
def last_entry(c: Cpu, top: u64, la: u32, peek: u32) -> u64:
    """The entry at which a walk ends: `top` itself if that is not present or maps 4 MiB."""
    pde: u32 = top & M32
    if pde & PTE_P == 0 or maps_large(c, top):
        return top
    return entry_at(c, (pde & 0xFFFFF000) | ((la >> 10) & 0xFFC), peek)


@inline
def page_mapped(la: u32, entry: u32, large: u32) -> u64:
    """The frame's address, by the entry at which the walk of la ended."""
    if large == 0:
        return entry & 0xFFFFF000
    high: u64 = (entry >> 13) & 0xF
    return high << 32 | (entry & 0xFFC00000) | (la & 0x003FF000)


@func
def walk(c: Cpu, la: u32, access: u32) -> i64:
    """Translate by the guest's tables. Returns physical address << 8 | PERM_*, or -1 (#PF noted).

    The address has 36 bits.
    """
    error: u32 = access & (ACC_USER | ACC_WRITE)
    top = top_entry(c, c.cr3, la, 0)
    last = last_entry(c, top, la, 0)
    large: u32 = maps_large(c, top)
    entry: u32 = last & M32
    if entry & PTE_P == 0:
        return page_fault(c, la, error)
    if large and entry & c.pde_reserved:
        return page_fault(c, la, error | PTE_P | PF_RSVD)
    perm: u32 = granted(c, access, top & last & M32, entry, large)
    if perm == 0:
        return page_fault(c, la, error | PTE_P)
    if not large:
        set_entry_bits(c, top, PTE_A)
    set_entry_bits(c, last, PTE_A | PTE_D if access & ACC_WRITE else PTE_A)
    pa: u64 = page_mapped(la, entry, large)
    return ((pa | (la & 0xFFF)) << 8) | perm


@inline
def bits_found(c: Cpu, top: u64, last: u64, large: u32) -> u32:
    """P, W, U and A as both entries have them, D, PS if it is a piece of a large page, G where it
    counts."""
    bits: u32 = top & last & (PTE_P | PTE_W | PTE_U | PTE_A)
    bits |= last & PTE_D
    if large:
        bits |= PTE_PS
    if last & PTE_G and c.cr4 & CR4_PGE:
        bits |= PTE_G
    return bits


@func
def page_bits(c: Cpu, la: u32, top: u64, last: u64) -> i64:
    """What a walk that ended with these entries found, as one page-table entry; -1: no page."""
    large: u32 = maps_large(c, top)
    entry: u32 = last & M32
    if entry & PTE_P == 0 or (large and entry & c.pde_reserved):
        return -1
    pa: u64 = page_mapped(la, entry, large)
    return pa | bits_found(c, top, last, large)


@func
def peek_walk(c: Cpu, root: u32, la: u32) -> i64:
    """walk(), as somebody does it who only looks: page_bits(), and nothing at all has changed.

    Tables are read in RAM only, as a read elsewhere might be a device's. May be called while the
    processor runs.
    """
    top = top_entry(c, root, la, 1)
    return page_bits(c, la, top, last_entry(c, top, la, 1))

"""Paging: the walk, accessed and dirty bits, the TLB (SDM vol. 3, ch. 4).

32-bit paging with 4 KiB and (CR4.PSE) 4 MiB pages:

    linear address 31..22 -> page-directory entry, 21..12 -> page-table entry, 11..0 -> byte

The TLB is a `Space` for each privilege level (state.py). It caches until it is invalidated: by a
CR3 load (all but global pages), INVLPG, or a change of CR0.PG/WP, CR4.PGE/PSE.

On an *external* processor (one that serves a monitor) there is no walk: what the monitor mapped
into the space is all there is, and a miss is a page fault for the monitor.
"""

from __future__ import annotations

from bt.interp.dialect import (
    M32,
    func,
    i32,
    i64,
    inline,
    u32,
    u64,
)
from bt.interp.physical import (
    is_memory,
    must_be_alone,
    on_board,
    phys_read,
    phys_write,
    read_place,
)
from bt.interp.state import (
    ACC_FETCH,
    ACC_USER,
    ACC_WRITE,
    CR0_PG,
    CR0_WP,
    CR4_PGE,
    CR4_PSE,
    FRAME_SLOW,
    PERM_EXEC,
    PERM_GLOBAL,
    PERM_LARGE,
    PERM_PINNED,
    PERM_PRESENT,
    PERM_WRITE,
    VEC_PF,
    Cpu,
    Space,
)
from bt.interp.watchpoints import wp_note, wp_overlap, wp_page

PTE_P = 0x1
PTE_W = 0x2
PTE_U = 0x4
PTE_A = 0x20
PTE_D = 0x40
PTE_PS = 0x80
PTE_G = 0x100
PDE_RESERVED = 0x003FE000  # in the entry of a 4 MiB page
PF_RSVD = 8
FLUSHED_PAGES = 16  # told one by one to a monitor; after more, all is flushed


@func
def page_fault(c: Cpu, la: u32, error: u32) -> i64:
    c.fault_vector = VEC_PF
    c.fault_error = error
    c.fault_has_error = 1
    c.cr2 = la
    return -1


@func
def drop_page(space: Space, page: u32) -> i32:
    """Forget what the TLB knows of a linear page (its place in the log may stay)."""
    space.r[page] = 0
    space.w[page] = 0
    space.x[page] = 0
    space.held[page] = 0
    space.perm[page] = 0
    return 0


@func
def flush_space(space: Space, keep_global: u32) -> i32:
    """Empty a TLB, or all but its global pages."""
    kept: u32 = 0
    large: u32 = 0
    for i in range(space.count):
        page = space.log[i]
        perm = space.perm[page]
        if perm & PERM_PINNED or (keep_global and perm & PERM_GLOBAL):
            space.log[kept] = page
            kept += 1
            large |= perm & PERM_LARGE
        else:
            drop_page(space, page)
    space.count = kept
    space.large = 1 if large else 0
    return 0


@inline
def known_entry(space: Space, page: u32) -> u64:
    """The entry of a linear page, with a fast path or held back; 0: none."""
    entry: u64 = space.r[page]
    return entry if entry != 0 else space.held[page]


@func
def drop_frame(c: Cpu, space: Space, frame: u32) -> i32:
    """Forget every linear page that leads to a physical frame."""
    host: u64 = c.mem.host + (frame << 12)
    for i in range(space.count):
        page = space.log[i]
        entry = known_entry(space, page)
        if entry != 0 and ((entry + (page << 12)) & 0xFFFFFFFFFFFFFFFF) == host:
            drop_page(space, page)
    return 0


@func
def flush_tlb(c: Cpu, keep_global: u32) -> i32:
    """Empty both TLBs, or all but their global pages."""
    if keep_global:
        c.flushes_local += 1
    else:
        c.flushes_all += 1
    flush_space(c.user_space, keep_global)
    flush_space(c.sup_space, keep_global)
    return 0


@func
def invalidate_page(space: Space, la: u32) -> i32:
    """Forget the page of a linear address, and all pieces of the large page that it was in."""
    page: u32 = la >> 12
    if space.perm[page] & PERM_PINNED == 0:
        drop_page(space, page)
    if space.large:
        page &= ~0x3FF & M32
        for i in range(1024):
            if space.perm[page + i] & PERM_LARGE:
                drop_page(space, page + i)
    return 0


@func
def flush_page(c: Cpu, la: u32) -> i32:
    """INVLPG: the page leaves both TLBs, global or not. Log entries left behind are harmless."""
    if c.flushes_page < FLUSHED_PAGES:
        c.flushed_pages[c.flushes_page] = la
    c.flushes_page += 1
    invalidate_page(c.user_space, la)
    invalidate_page(c.sup_space, la)
    return 0


@func
def fill(c: Cpu, space: Space, la: u32, place: u64, perm: u32) -> i32:
    """Enter a translation into a TLB, in place of an older one.

    Pages that need the slow path get no entry there.
    """
    page: u32 = la >> 12
    if space.perm[page] == 0:
        if space.count >= 0xFFFFF:  # INVLPG leaves dead log entries behind: start over
            flush_space(space, 0)
        space.log[space.count] = page
        space.count += 1
    space.perm[page] = perm
    if perm & PERM_LARGE:
        space.large = 1
    space.r[page] = 0
    space.w[page] = 0
    space.x[page] = 0
    space.held[page] = 0
    if is_memory(place) == 0 or c.dr_armed & 2:
        return 0
    entry: u64 = (c.mem.host + (place & 0xFFFFF000) - (page << 12)) & 0xFFFFFFFFFFFFFFFF
    if c.wp_total and wp_page(c, page):
        space.held[page] = entry
        return 0
    space.r[page] = entry
    if perm & PERM_EXEC:
        space.x[page] = entry
    if perm & PERM_WRITE and c.mem.frame_flags[place >> 12] & FRAME_SLOW == 0:
        space.w[page] = entry
    return 0


@func
def refill_write(c: Cpu, space: Space, page: u32) -> i32:
    """Give a writable page its fast path back when nothing of its frame is watched any more."""
    entry = space.r[page]
    if entry != 0 and space.w[page] == 0 and space.perm[page] & PERM_WRITE:
        pa: u32 = (entry + (page << 12) - c.mem.host) & M32
        if c.mem.frame_flags[pa >> 12] & FRAME_SLOW == 0:
            space.w[page] = entry
    return 0


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
def page_mapped(la: u32, entry: u32, large: u32) -> u32:
    """The frame's address, by the entry at which the walk of la ended."""
    return (entry & 0xFFC00000) | (la & 0x003FF000) if large else entry & 0xFFFFF000


@func
def walk(c: Cpu, la: u32, access: u32) -> i64:
    """Translate by the guest's tables. Returns physical address << 8 | PERM_*, or -1 (#PF noted).

    PERM_WRITE is only given when the page is dirty already, so that the first write comes back
    here and sets the D bit.
    """
    user: u32 = 1 if access & ACC_USER else 0
    write: u32 = 1 if access & ACC_WRITE else 0
    error: u32 = access & (ACC_USER | ACC_WRITE)
    top = top_entry(c, c.cr3, la, 0)
    last = last_entry(c, top, la, 0)
    large: u32 = maps_large(c, top)
    entry: u32 = last & M32
    if entry & PTE_P == 0:
        return page_fault(c, la, error)
    if large and entry & PDE_RESERVED:
        return page_fault(c, la, error | PTE_P | PF_RSVD)
    rights: u32 = top & last & M32
    writable: u32 = 1 if rights & PTE_W else 0
    if user:
        if rights & PTE_U == 0 or (write and not writable):
            return page_fault(c, la, error | PTE_P)
    elif write and not writable:
        if c.cr0 & CR0_WP:
            return page_fault(c, la, error | PTE_P)
    if not user and c.cr0 & CR0_WP == 0:
        writable = 1
    if not large:
        set_entry_bits(c, top, PTE_A)
    set_entry_bits(c, last, PTE_A | PTE_D if write else PTE_A)
    perm: u32 = PERM_PRESENT | PERM_EXEC
    if large:
        perm |= PERM_LARGE
    if writable and (write or entry & PTE_D):
        perm |= PERM_WRITE
    if entry & PTE_G and c.cr4 & CR4_PGE:
        perm |= PERM_GLOBAL
    pa: u64 = page_mapped(la, entry, large)
    return ((pa | (la & 0xFFF)) << 8) | perm


@func
def page_bits(c: Cpu, la: u32, top: u64, last: u64) -> i64:
    """What a walk that ended with these entries found, as one page-table entry; -1: no page.

    P, W, U and A as both entries have them, PS if it is a piece of a large page, G where it counts.
    """
    large: u32 = maps_large(c, top)
    entry: u32 = last & M32
    if entry & PTE_P == 0 or (large and entry & PDE_RESERVED):
        return -1
    bits: u32 = top & last & (PTE_P | PTE_W | PTE_U | PTE_A)
    bits |= entry & PTE_D
    if large:
        bits |= PTE_PS
    if entry & PTE_G and c.cr4 & CR4_PGE:
        bits |= PTE_G
    return page_mapped(la, entry, large) | bits


@func
def peek_walk(c: Cpu, root: u32, la: u32) -> i64:
    """walk(), as somebody does it who only looks: page_bits(), and nothing at all has changed.

    Tables are read in RAM only, as a read elsewhere might be a device's. May be called while the
    processor runs.
    """
    top = top_entry(c, root, la, 1)
    return page_bits(c, la, top, last_entry(c, top, la, 1))


@func
def translate_external(c: Cpu, la: u32, access: u32, size: u32) -> i64:
    """Translation for a monitor's processor: what it mapped, or a page fault for it to handle."""
    space = c.user_space if access & ACC_USER else c.sup_space
    page: u32 = la >> 12
    perm = space.perm[page]
    error: u32 = access & (ACC_USER | ACC_WRITE)
    if perm & PERM_PRESENT == 0:
        return page_fault(c, la, error | (access & ACC_FETCH))
    if access & ACC_WRITE and perm & PERM_WRITE == 0:
        return page_fault(c, la, error | PTE_P)
    if access & ACC_FETCH and perm & PERM_EXEC == 0:
        return page_fault(c, la, error | PTE_P | ACC_FETCH)
    if c.wp_total and access & ACC_FETCH == 0 and c.wp_pass == 0:
        if wp_overlap(c, la, size):
            c.wp_fault = 1
            return page_fault(c, la, error | PTE_P)
    refill_write(c, space, page)
    return (known_entry(space, page) + la - c.mem.host) & M32


@func
def data_breakpoint(c: Cpu, la: u32, size: u32, write: u32) -> i32:
    """Collect the debug registers that watch any byte of an access (SDM vol. 3, 18.2.4)."""
    dr7 = c.dr[7]
    for i in range(4):
        if dr7 & (3 << (2 * i)):
            kind = (dr7 >> (16 + 4 * i)) & 3
            span = (dr7 >> (18 + 4 * i)) & 3
            length: u32 = 8 if span == 2 else span + 1
            start = c.dr[i] & ~(length - 1) & M32
            wanted: u32 = 1 if kind == 3 or (kind == 1 and write) else 0
            if wanted and start < la + size and la < start + length:
                c.dr_hits |= 1 << i
    return 0


@func
def translate(c: Cpu, la: u32, access: u32, size: u32) -> i64:
    """The place behind a linear address, for an access of size bytes in one page.

    -1: #PF noted; or a device is there, and the instruction has to be run alone (must_be_alone).
    """
    if c.dr_armed & 2 and access & ACC_FETCH == 0:
        data_breakpoint(c, la, size, access & ACC_WRITE)
    if c.external:
        return translate_external(c, la, access, size)
    if c.wp_total and access & ACC_FETCH == 0:
        wp_note(c, la, size, access)
    space = c.user_space if access & ACC_USER else c.sup_space
    page: u32 = la >> 12
    perm = space.perm[page]
    entry = known_entry(space, page)
    if entry != 0 and (access & ACC_WRITE == 0 or perm & PERM_WRITE):
        if access & ACC_WRITE:
            refill_write(c, space, page)
        return (entry + la - c.mem.host) & M32
    if c.cr0 & CR0_PG:
        cr2: u32 = c.cr2
        found = walk(c, la, access)
        if found < 0:
            if c.meets_device:
                c.cr2 = cr2
            return -1
        pa: u32 = (found >> 8) & M32
        perm = found & 0xFF
    else:
        pa = la & M32
        perm = PERM_PRESENT | PERM_EXEC | PERM_WRITE | PERM_GLOBAL
    place = on_board(c, pa)
    if is_memory(place) == 0 and must_be_alone(c, place):
        return -1
    fill(c, space, la, place, perm)
    return place

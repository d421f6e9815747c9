"""Paging: the TLB, and how an access gets through it (SDM vol. 3, 4.10).

The TLB is a `Space` for each privilege level (state.py), filled by the walks (walk.py, pae.py). It
caches until it is invalidated: by a CR3 load (all but global pages), INVLPG, or a change of
CR0.PG/WP, CR4.PGE/PSE/PAE.

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
from bt.interp.pae import any_walk
from bt.interp.physical import is_memory, must_be_alone, on_board, place_of
from bt.interp.state import (
    ACC_FETCH,
    ACC_USER,
    ACC_WRITE,
    CR0_PG,
    FRAME_SLOW,
    PERM_EXEC,
    PERM_GLOBAL,
    PERM_LARGE,
    PERM_PINNED,
    PERM_PRESENT,
    PERM_WRITE,
    Cpu,
    Space,
)
from bt.interp.walk import PTE_P, page_fault
from bt.interp.watchpoints import wp_note, wp_overlap, wp_page

FLUSHED_PAGES = 16  # told one by one to a monitor; after more, all is flushed


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
def find_place(c: Cpu, la: u32, access: u32) -> i64:
    """Walk the guest's tables as an access would: place << 8 | PERM_*, or -1.

    Sets accessed and dirty bits; a failed walk changes nothing, CR2 included. The A20 gate has its
    say.
    """
    found: i64 = la
    found = found << 8 | 7
    if c.cr0 & CR0_PG:
        keep: u32 = c.cr2
        found = any_walk(c, la, access)
        c.cr2 = keep
        if found < 0:
            return -1
    place: i64 = place_of(c, found >> 8)
    return place << 8 | found & 0xFF


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
    place: u64 = 0
    if c.cr0 & CR0_PG:
        cr2: u32 = c.cr2
        found: i64 = any_walk(c, la, access)
        if found < 0:
            if c.meets_device:
                c.cr2 = cr2
            return -1
        place = place_of(c, found >> 8)
        perm = found & 0xFF
    else:
        place = on_board(c, la)
        perm = PERM_PRESENT | PERM_EXEC | PERM_WRITE | PERM_GLOBAL
    if is_memory(place) == 0 and must_be_alone(c, place):
        return -1
    fill(c, space, la, place, perm)
    return place

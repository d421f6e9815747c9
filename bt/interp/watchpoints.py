"""The embedder's watchpoints: accesses to linear addresses, seen exactly and unseen by the guest.

They work as the processor's own data breakpoints do (SDM vol. 3, 17.2.4), beside them and without
touching DR0 to DR7. A page that holds a watched byte keeps its translation in `Space.held`, where
no fast path finds it, so that every access to it comes by `translate`. There an ideal processor
notes the hit, and leaves run() with EXIT_WATCHPOINT once the instruction (of REP: the iteration)
has completed. An external one stops before the access instead, with a page fault that says
`wp_fault`, for its monitor to have the instruction done by the ideal one.

Example: wp_first 0x2000, wp_last 0x2003, WP_WRITE. MOV [0x1FFE], EAX writes 0x1FFE to
0x2001, so it hits; MOV EAX, [0x2000] only reads, so it does not.
"""

from __future__ import annotations

from bt.interp.dialect import func, i32, u32
from bt.interp.state import (
    ACC_WRITE,
    FRAME_SLOW,
    PERM_EXEC,
    PERM_WRITE,
    WP_READ,
    WP_WRITE,
    Cpu,
    Space,
)


@func
def wp_page(c: Cpu, page: u32) -> u32:
    """Is a byte of this linear page watched?"""
    for i in range(c.wp_total):
        if c.wp_first[i] >> 12 <= page and page <= c.wp_last[i] >> 12:
            return 1
    return 0


@func
def wp_overlap(c: Cpu, la: u32, size: u32) -> u32:
    """Is any of size bytes (in one page) watched, for whatever kind of access?"""
    last: u32 = la + (size - 1)
    for i in range(c.wp_total):
        if c.wp_first[i] <= last and la <= c.wp_last[i]:
            return 1
    return 0


@func
def wp_note(c: Cpu, la: u32, size: u32, access: u32) -> i32:
    """Note the first watchpoint that an access of the ideal processor hits."""
    kind: u32 = WP_WRITE if access & ACC_WRITE else WP_READ
    last: u32 = la + (size - 1)
    for i in range(c.wp_total):
        if c.wp_kinds[i] & kind and c.wp_first[i] <= last and la <= c.wp_last[i]:
            if c.wp_hit == 0:
                c.wp_hit = i + 1
    return 0


@func
def wp_space(c: Cpu, space: Space) -> i32:
    """After a change of the watchpoints: which pages of a space have fast paths."""
    for i in range(space.count):
        page = space.log[i]
        if wp_page(c, page):
            if space.r[page] != 0:
                space.held[page] = space.r[page]
                space.r[page] = 0
                space.w[page] = 0
                space.x[page] = 0
        elif space.held[page] != 0:
            entry = space.held[page]
            space.held[page] = 0
            space.r[page] = entry
            if space.perm[page] & PERM_EXEC:
                space.x[page] = entry
            frame: u32 = (entry + (page << 12) - c.mem.host) >> 12
            if space.perm[page] & PERM_WRITE:
                if c.mem.frame_flags[frame] & FRAME_SLOW == 0:
                    space.w[page] = entry
    return 0

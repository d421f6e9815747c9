"""Handing a virtual processor's state to a deprivileged one, and back (the engine contract).

Bugnion et al. 2012, section 4.2: the engine runs guest code in ring 3 on *truncated* segments, so
that no guest access can reach the monitor's region at the top of the linear address space. What
ring 3 cannot hold (IF, IOPL, control registers, the real selectors' privileges) stays with the
ideal processor.

Worked example: a flat data segment (base 0, limit 4 GiB) under a ceiling of 0xFF800000 gets the
limit 0xFF7FFFFF. A segment with base 0x06C00000 (per-CPU data) gets 0xFF800000 - 1 - base =
0xF8BFFFFF: beyond that its offsets would reach the region, or wrap around past it.
"""

from __future__ import annotations

from bt.interp.architecture import copy_registers
from bt.interp.counting import record_root
from bt.interp.dialect import M32, func, i32, ld32, st32, u32
from bt.interp.segments import segment_changed, set_cpl, set_null_segment
from bt.interp.state import (
    AC,
    ARITH,
    ARMED_WATCHPOINT,
    ATTR_CODE,
    ATTR_DB,
    ATTR_DC,
    ATTR_DPL,
    ATTR_P,
    ATTR_S,
    ATTR_UNUSABLE,
    CR0_AM,
    CR0_PE,
    CR4_PVI,
    CR4_VME,
    CS,
    DF,
    DS,
    ID,
    IF,
    IOPL,
    LDTR,
    NT,
    POSTURE_KERNEL,
    POSTURE_KERNEL_IOPL,
    POSTURE_STRANGE,
    POSTURE_USER,
    POSTURE_USER_FLAGS,
    RF,
    SS,
    TF,
    TR,
    VIF,
    VIP,
    VM,
    Cpu,
)

RING3_FLAGS = ARITH | DF | NT | AC | ID  # what ring 3 holds of EFLAGS itself
NOT_RING3 = IF | IOPL | VIF | VIP  # what it shows in an image, and does not hold
TOP_BIT = 0x80000000
FLAT_CODE = 0xC0FB  # present, DPL 3, readable code, accessed, 32-bit, 4 KiB granular


@func
def truncated_limit(base: u32, limit: u32, attr: u32, ceiling: u32) -> u32:
    """The limit that keeps a segment below the ceiling; 0 also stands for "no part of it fits"."""
    if attr & ATTR_DC and not attr & ATTR_CODE:
        return M32  # expand-down: valid offsets lie above the limit, so this leaves none
    if base >= ceiling:
        return 0
    room: u32 = ceiling - 1 - base
    return limit if limit < room else room


@func
def lower_segment(c: Cpu, src: Cpu, seg: u32, ceiling: u32) -> i32:
    """Give c the segment of src, truncated and at DPL 3."""
    attr = src.seg_attr[seg]
    base = src.seg_base[seg]
    c.seg_sel[seg] = src.seg_sel[seg]
    c.seg_base[seg] = base
    c.seg_limit[seg] = truncated_limit(base, src.seg_limit[seg], attr, ceiling)
    if base >= ceiling:
        attr &= ~ATTR_P & M32  # not ATTR_UNUSABLE: that is what ring 3 makes of it itself
    c.seg_attr[seg] = attr | ATTR_DPL
    segment_changed(c, seg)
    return 0


@func
def enter_ring3(c: Cpu, src: Cpu, ceiling: u32) -> i32:
    """Load c from src: registers, flags as ring 3 has them, every segment below the ceiling."""
    copy_registers(c, src)
    c.guest_cpl = src.cpl
    c.guest_root = record_root(src)
    c.eflags = (src.eflags & RING3_FLAGS) | IF | 2
    c.cr0 = src.cr0 | 0x80000001
    if src.cpl != 3:
        c.cr0 &= ~CR0_AM & M32  # alignment is checked at the guest's CPL 3 only
    c.cr4 = src.cr4 & ~(CR4_VME | CR4_PVI) & M32  # CLI and STI shall trap
    c.tsc_offset = src.tsc_offset
    for seg in range(6):
        lower_segment(c, src, seg, ceiling)
    set_cpl(c, 3)
    return 0


@func
def posture(c: Cpu) -> u32:
    """How the guest's state can be run: POSTURE_*, by which a monitor decides."""
    if c.cr0 & CR0_PE == 0 or c.eflags & (VM | TF | RF) or c.dr_armed & ~ARMED_WATCHPOINT:
        return POSTURE_STRANGE
    if c.seg_base[CS] or c.seg_limit[CS] != M32 or c.seg_attr[CS] & ATTR_DB == 0:
        return POSTURE_STRANGE
    if c.seg_attr[SS] & ATTR_DB == 0:
        return POSTURE_STRANGE
    if c.cpl == 3:
        return POSTURE_USER if c.eflags & NOT_RING3 == IF else POSTURE_USER_FLAGS
    if c.cpl:
        return POSTURE_STRANGE
    return POSTURE_KERNEL_IOPL if c.eflags & (IOPL | VIF | VIP) else POSTURE_KERNEL


@func
def flat_code(c: Cpu) -> i32:
    """CS for translated code: all of the linear address space, the monitor's region included."""
    c.seg_base[CS] = 0
    c.seg_limit[CS] = M32
    c.seg_attr[CS] = FLAT_CODE | ATTR_S | ATTR_P | ATTR_DB
    segment_changed(c, CS)
    return 0


@func
def leave_ring3(c: Cpu, src: Cpu) -> i32:
    """Take registers and the flags that ring 3 holds back into c."""
    copy_registers(c, src)
    changed: u32 = c.eflags ^ src.eflags
    c.eflags = (c.eflags & ~RING3_FLAGS & M32) | (src.eflags & RING3_FLAGS)
    if changed & AC:
        set_cpl(c, c.cpl)
    return 0


@func
def take_null_segments(c: Cpu, src: Cpu) -> i32:
    """Null selectors that ring 3 loaded by itself, into c as an instruction of its own would.

    It marked them unusable. So is what was null on entry; then only the selector may be another.
    """
    found: i32 = 0
    for seg in range(6):
        if src.seg_attr[seg] & ATTR_UNUSABLE:
            known: u32 = c.seg_attr[seg] & ATTR_UNUSABLE
            if not known or c.seg_sel[seg] != src.seg_sel[seg]:
                set_null_segment(c, seg, src.seg_sel[seg])
                found += 1
    return found


# Offsets in the vCPU page that the processor fills itself: those of bt/stubs.py (a test compares)
PAGE_VSYS = 0x1000
PAGE_SELECTORS = 0x18
PAGE_LDTR = 0x30
PAGE_TR = 0x34
PAGE_CONTROLS = 0x38
PAGE_SHIFT = 0x4C
PAGE_READ_BOUNDS = 0x50
PAGE_WRITE_BOUNDS = 0x70
PAGE_GDTR = 0x90
PAGE_IDTR = 0x98
PAGE_LIMIT = 0x81FFF
PAGE_RIGHTS = 0xC0F3  # present, DPL 3, writable data, accessed


@func
def fill_vcpu_page(c: Cpu, src: Cpu, page: u32) -> i32:
    """What stubs read: virtual IF, selectors, control registers, where the tables are."""
    host = c.mem.host + page
    st32(c, host + PAGE_VSYS, src.eflags & IF)
    for seg in range(6):
        st32(c, host + PAGE_SELECTORS + 4 * seg, src.seg_sel[seg])
    st32(c, host + PAGE_LDTR, src.seg_sel[LDTR])
    st32(c, host + PAGE_TR, src.seg_sel[TR])
    st32(c, host + PAGE_CONTROLS, src.cr0)
    st32(c, host + PAGE_CONTROLS + 8, src.cr2)
    st32(c, host + PAGE_CONTROLS + 12, src.cr3)
    st32(c, host + PAGE_CONTROLS + 16, src.cr4)
    st32(c, host + PAGE_GDTR, src.gdtr_limit)
    st32(c, host + PAGE_GDTR + 4, src.gdtr_base)
    st32(c, host + PAGE_IDTR, src.idtr_limit)
    st32(c, host + PAGE_IDTR + 4, src.idtr_base)
    return 0


@func
def fill_bounds(c: Cpu, at: u32, end: u32) -> i32:
    """Pairs for BOUND: which offsets, their top bit turned over, do 1, 2, 4 and 8 bytes have?

    `end`: the first offset that is out of reach; 0: nothing is within.
    """
    size: u32 = 1
    for i in range(4):
        pair = c.mem.host + at + 8 * i
        if end >= size:
            st32(c, pair, TOP_BIT)
            st32(c, pair + 4, (end - size) ^ TOP_BIT)
        else:
            st32(c, pair, TOP_BIT - 1)
            st32(c, pair + 4, TOP_BIT)
        size += size
    return 0


@func
def fill_segment_access(c: Cpu, seg: u32, page: u32) -> i32:
    """What stubs need to reach the guest's segment of a register through DS, both truncated."""
    shift: u32 = (c.seg_base[seg] - c.seg_base[DS] + TOP_BIT) & M32
    st32(c, c.mem.host + page + PAGE_SHIFT, shift)
    fill_bounds(c, page + PAGE_READ_BOUNDS, c.seg_rend[seg] & M32)
    fill_bounds(c, page + PAGE_WRITE_BOUNDS, c.seg_wend[seg] & M32)
    return 0


@func
def vcpu_segment(c: Cpu, seg: u32, linear: u32) -> i32:
    """Let a reserved segment register reach the vCPU page and the landing table."""
    c.seg_base[seg] = linear
    c.seg_limit[seg] = PAGE_LIMIT
    c.seg_attr[seg] = PAGE_RIGHTS
    segment_changed(c, seg)
    return 0


@func
def take_virtual_if(c: Cpu, page: u32) -> i32:
    """IF as the stubs left it."""
    c.eflags = (c.eflags & ~IF & M32) | (ld32(c, c.mem.host + page + PAGE_VSYS) & IF)
    return 0

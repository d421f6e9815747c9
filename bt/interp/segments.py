"""Segment registers and their descriptor caches (SDM vol. 3, 3.4.3, 5.5 to 5.7, 20.1.1, 20.3).

Loading a segment register in protected mode copies the descriptor into the hidden part of the
register, and there it stays: later changes of the table, or of CR0.PE, do not touch it. That is
why "big real mode" works: a real-mode load replaces the base and leaves limit and rights alone.

Whoever changes a cache calls segment_changed(), whoever changes the privilege level set_cpl().
"""

from __future__ import annotations

from bt.interp.descriptors import (
    DESC_CODE,
    DESC_DC,
    DESC_P,
    DESC_S,
    desc_attr,
    desc_base,
    desc_dpl,
    desc_limit,
    descriptor_address,
    fetch_or_raise,
    is_null_selector,
    is_readable,
    is_writable,
    mark_accessed,
    read_descriptor,
    real_mode,
    selector_error,
    v86_mode,
)
from bt.interp.dialect import M16, M32, func, i32, i64, u32, u64
from bt.interp.state import (
    AC,
    ATTR_ACCESSED,
    ATTR_CODE,
    ATTR_DB,
    ATTR_DC,
    ATTR_P,
    ATTR_RW,
    ATTR_UNUSABLE,
    CR0_AM,
    CS,
    SS,
    VEC_GP,
    VEC_NP,
    VEC_SS,
    Cpu,
)

ATTR_REAL = 0x93  # present, DPL 0, writable data, accessed
ATTR_V86 = 0xF3  # the same with DPL 3


@func
def segment_changed(c: Cpu, seg: u32) -> i32:
    """Recompute what is derived from a descriptor cache."""
    attr = c.seg_attr[seg]
    end: u64 = c.seg_limit[seg]
    end += 1
    usable: u32 = 1 if attr & (ATTR_P | ATTR_UNUSABLE) == ATTR_P else 0
    if attr & ATTR_DC and attr & ATTR_CODE == 0:
        usable = 0  # expand-down: always the full check
    readable: u32 = 1 if attr & ATTR_RW or attr & ATTR_CODE == 0 else 0
    writable: u32 = 1 if attr & ATTR_RW and attr & ATTR_CODE == 0 else 0
    c.seg_rend[seg] = end if usable and readable else 0
    c.seg_wend[seg] = end if usable and writable else 0
    if seg == SS:
        c.sp_mask = M32 if attr & ATTR_DB else M16
    elif seg == CS:
        mode: u64 = c.seg_limit[CS]
        mode = (mode << 1) | (1 if attr & ATTR_DB else 0)
        c.mode = mode | 0x200000000 if c.external else mode
    return 0


@func
def set_cpl(c: Cpu, cpl: u32) -> i32:
    """Change the privilege level: CPL 3 sees memory as user, the others as supervisor.

    Also to be called when CR0.AM or EFLAGS.AC have changed: with alignment checking on, no data
    access may take the fast path.
    """
    c.cpl = cpl
    space = c.user_space if cpl == 3 else c.sup_space
    c.tlb_r = space.r
    c.tlb_w = space.w
    c.tlb_x = space.x
    c.align_check = 1 if cpl == 3 and c.cr0 & CR0_AM and c.eflags & AC else 0
    if c.align_check:
        c.tlb_r = c.mem.no_entries
        c.tlb_w = c.mem.no_entries
    return 0


@func
def set_segment(c: Cpu, seg: u32, selector: u32, lo: u32, hi: u32) -> i32:
    """Fill a segment register from a descriptor that has passed its checks."""
    c.seg_sel[seg] = selector
    c.seg_base[seg] = desc_base(lo, hi)
    c.seg_limit[seg] = desc_limit(lo, hi)
    c.seg_attr[seg] = desc_attr(hi) | ATTR_ACCESSED
    segment_changed(c, seg)
    return 0


@func
def set_null_segment(c: Cpu, seg: u32, selector: u32) -> i32:
    """A null selector loads, but the segment cannot be used."""
    c.seg_sel[seg] = selector
    c.seg_attr[seg] |= ATTR_UNUSABLE
    segment_changed(c, seg)
    return 0


@func
def load_real_segment(c: Cpu, seg: u32, selector: u32) -> i32:
    """Real-address mode: base = selector * 16; limit and rights stay as they are cached.

    CS becomes writable, as code in real mode expects; a segment that was null becomes usable.
    """
    c.seg_sel[seg] = selector
    c.seg_base[seg] = selector << 4
    attr = c.seg_attr[seg]
    if seg == CS or attr & ATTR_UNUSABLE:
        c.seg_attr[seg] = (attr & 0xF000) | ATTR_REAL
    segment_changed(c, seg)
    return 0


@func
def load_v86_segment(c: Cpu, seg: u32, selector: u32) -> i32:
    """Virtual-8086 mode: 64 KiB at selector * 16, writable, DPL 3."""
    c.seg_sel[seg] = selector
    c.seg_base[seg] = selector << 4
    c.seg_limit[seg] = M16
    c.seg_attr[seg] = ATTR_V86
    segment_changed(c, seg)
    return 0


@func
def load_real_or_v86(c: Cpu, seg: u32, selector: u32) -> i32:
    if v86_mode(c):
        return load_v86_segment(c, seg, selector)
    return load_real_segment(c, seg, selector)


@func
def check_stack_segment(c: Cpu, selector: u32, cpl: u32, vector: u32) -> i64:
    """Is this a stack for privilege level cpl? Fetches the descriptor; failures are `vector`.

    Null is `vector` without a selector, an absent segment #SS (SDM vol. 3, 5.7).
    """
    if is_null_selector(selector):
        return selector_error(c, vector, 0)
    if fetch_or_raise(c, selector, vector) < 0:
        return -1
    hi = c.desc_hi
    if selector & 3 != cpl or desc_dpl(hi) != cpl or not is_writable(hi):
        return selector_error(c, vector, selector)
    if hi & DESC_P == 0:
        return selector_error(c, VEC_SS, selector)
    return 0


@func
def check_data_segment(c: Cpu, selector: u32, cpl: u32, vector: u32) -> i64:
    """May privilege level cpl load this (not null) selector into DS, ES, FS or GS?"""
    if fetch_or_raise(c, selector, vector) < 0:
        return -1
    hi = c.desc_hi
    if not is_readable(hi):
        return selector_error(c, vector, selector)
    if hi & (DESC_CODE | DESC_DC) != DESC_CODE | DESC_DC:  # conforming code is open to all
        dpl = desc_dpl(hi)
        if selector & 3 > dpl or cpl > dpl:
            return selector_error(c, vector, selector)
    if hi & DESC_P == 0:
        return selector_error(c, VEC_NP, selector)
    return 0


@func
def uncompressed(c: Cpu, selector: u32) -> i64:
    """The selector that the guest's ring 0 means; -1: #PF.

    Under ring compression (c.ring_compression: trap mode, where ring 0 runs in ring 3) the guest
    reads its own selectors with RPL 3. Loading one back succeeds there, silently, because the
    shadow descriptor has DPL 3 as well. This processor has the guest's own descriptor and CPL, and
    would raise an exception: so RPL 3 on a segment of ring 0 counts as RPL 0.
    """
    if c.ring_compression == 0 or c.cpl or selector & 3 != 3 or is_null_selector(selector):
        return selector
    la = descriptor_address(c, selector)
    if la < 0:
        return selector
    if read_descriptor(c, la & M32) < 0:
        return -1
    own: u32 = 1 if c.desc_hi & DESC_S and desc_dpl(c.desc_hi) == 0 else 0
    return selector & 0xFFFC if own else selector


@func
def load_protected_segment(c: Cpu, seg: u32, selector: u32, vector: u32) -> i64:
    """Load DS, ES, FS, GS or SS by descriptor; `vector` is #GP, or #TS in a task switch."""
    if seg == SS:
        if check_stack_segment(c, selector, c.cpl, vector) < 0:
            return -1
    elif is_null_selector(selector):
        set_null_segment(c, seg, selector)
        return 0
    elif check_data_segment(c, selector, c.cpl, vector) < 0:
        return -1
    if mark_accessed(c, selector, c.desc_hi) < 0:
        return -1
    set_segment(c, seg, selector, c.desc_lo, c.desc_hi)
    return 0


@func
def load_segment(c: Cpu, seg: u32, selector: u32) -> i64:
    """MOV, POP, LxS into DS, ES, FS, GS or SS in any mode; -1: faulted, nothing changed."""
    if real_mode(c) or v86_mode(c):
        load_real_or_v86(c, seg, selector)
        return 0
    meant = uncompressed(c, selector)
    if meant < 0:
        return -1
    return load_protected_segment(c, seg, meant & M16, VEC_GP)


@func
def drop_privileged_segments(c: Cpu) -> i32:
    """After a return to an outer level: data segments it may not hold become null.

    (SDM vol. 3, 5.8.6; vol. 2, IRET) Conforming code stays. A null selector loses its RPL.
    """
    for seg in range(6):
        if seg != CS and seg != SS:
            attr = c.seg_attr[seg]
            dpl = (attr >> 5) & 3
            inner: u32 = 1 if dpl < c.cpl else 0
            if attr & (ATTR_CODE | ATTR_DC) == ATTR_CODE | ATTR_DC:
                inner = 0
            if inner or attr & ATTR_UNUSABLE:
                set_null_segment(c, seg, 0)
    return 0

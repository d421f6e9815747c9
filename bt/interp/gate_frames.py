"""Stack frames that gates build: on the current stack, or on the one for an inner privilege level.

A gate must not change the processor's state before everything it does has succeeded. So it
describes the stack in c.frame_*, pushes there, and commits SS:ESP at the end:

    frame_here(c)  or  frame_from_tss(c, dpl)
    frame_push(c, 4, value) ...
    frame_commit_inner(c)  or  c.regs[ESP] = c.frame_esp

Inner stacks come from the TSS (SDM vol. 3, 5.8.5 and 6.12.1).
"""

from __future__ import annotations

from bt.interp.descriptors import (
    desc_attr,
    desc_base,
    desc_limit,
    mark_accessed,
    selector_error,
)
from bt.interp.dialect import M16, M32, func, i32, i64, u32, u64
from bt.interp.memory import misaligned, sup_read, user_access, write_linear
from bt.interp.segments import check_stack_segment, set_segment
from bt.interp.state import (
    ACC_USER,
    ATTR_CODE,
    ATTR_DB,
    ATTR_DC,
    ATTR_P,
    ATTR_RW,
    ATTR_UNUSABLE,
    ESP,
    SS,
    TR,
    VEC_SS,
    VEC_TS,
    Cpu,
)


@func
def frame_here(c: Cpu) -> i32:
    """Build on the current stack."""
    c.frame_base = c.seg_base[SS]
    c.frame_limit = c.seg_limit[SS]
    c.frame_attr = c.seg_attr[SS]
    c.frame_esp = c.regs[ESP]
    c.frame_user = user_access(c)
    c.frame_error = 0
    return 0


@func
def frame_on(c: Cpu, selector: u32, esp: u32, cpl: u32) -> i32:
    """Build on another stack, whose (checked) descriptor is in c.desc_lo, c.desc_hi."""
    c.frame_sel = selector
    c.frame_lo = c.desc_lo
    c.frame_hi = c.desc_hi
    c.frame_base = desc_base(c.desc_lo, c.desc_hi)
    c.frame_limit = desc_limit(c.desc_lo, c.desc_hi)
    c.frame_attr = desc_attr(c.desc_hi)
    c.frame_esp = esp
    c.frame_user = ACC_USER if cpl == 3 else 0
    c.frame_error = selector
    return 0


@func
def frame_from_tss(c: Cpu, cpl: u32) -> i64:
    """Build on the stack that the TSS holds for privilege level cpl (0 to 2)."""
    wide: u32 = c.seg_attr[TR] & 8
    at: u32 = cpl * 8 + 4 if wide else cpl * 4 + 2
    size: u32 = 4 if wide else 2
    if at + size + 1 > c.seg_limit[TR]:
        return selector_error(c, VEC_TS, c.seg_sel[TR])
    esp = sup_read(c, (c.seg_base[TR] + at) & M32, size)
    if esp < 0:
        return -1
    selector = sup_read(c, (c.seg_base[TR] + at + size) & M32, 2)
    if selector < 0:
        return -1
    if check_stack_segment(c, selector & M16, cpl, VEC_TS) < 0:
        return -1
    frame_on(c, selector & M16, esp & M32, cpl)
    return 0


@func
def frame_fits(c: Cpu, at: u32, size: u32) -> u32:
    """May size bytes at this offset of the frame's stack be written?"""
    attr = c.frame_attr
    if attr & (ATTR_P | ATTR_UNUSABLE) != ATTR_P or attr & (ATTR_CODE | ATTR_RW) != ATTR_RW:
        return 0
    last: u64 = at
    last += size - 1
    if attr & ATTR_DC:
        top: u64 = M32 if attr & ATTR_DB else M16
        return 1 if at > c.frame_limit and last <= top else 0
    return 1 if last <= c.frame_limit else 0


@func
def frame_push(c: Cpu, size: u32, value: u32) -> i64:
    """Push 2 or 4 bytes on the frame's stack; -1: faulted."""
    mask: u32 = M32 if c.frame_attr & ATTR_DB else M16
    at: u32 = (c.frame_esp - size) & mask
    if not frame_fits(c, at, size):
        return selector_error(c, VEC_SS, c.frame_error)
    la: u32 = (c.frame_base + at) & M32
    if c.frame_user and misaligned(c, la, size):
        return -1
    if write_linear(c, la, size, value, c.frame_user) < 0:
        return -1
    c.frame_esp = (c.frame_esp & ~mask & M32) | at
    return 0


@func
def mark_frame_accessed(c: Cpu) -> i64:
    """The stack's descriptor (from frame_from_tss) is about to be loaded; -1: page fault."""
    return mark_accessed(c, c.frame_sel, c.frame_hi)


@func
def frame_commit_inner(c: Cpu) -> i32:
    """Make the frame's stack (from frame_from_tss) the current one."""
    set_segment(c, SS, c.frame_sel, c.frame_lo, c.frame_hi)
    c.regs[ESP] = c.frame_esp
    return 0

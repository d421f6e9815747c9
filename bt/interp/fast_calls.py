"""SYSENTER and SYSEXIT: into the kernel and back without a gate (SDM vol. 2; vol. 3, 5.8.7).

Segments are flat, and made of one selector in IA32_SYSENTER_CS; no descriptor is read:

    SYSENTER    CS = the MSR's, SS = + 8; EIP and ESP from their MSRs; ring 0
    SYSEXIT     CS = + 16, SS = + 24, both with RPL 3; EIP from EDX, ESP from ECX; ring 3

SYSENTER saves nothing, so it is the caller's business to say where it came from. It works in
virtual-8086 mode too, and leaves it. While the MSR names no segment, both are #GP(0): an external
processor has none, since the MSRs that are meant are the guest's.
"""

from __future__ import annotations

from bt.interp.control import leave_block
from bt.interp.dialect import M32, func, i32, u32
from bt.interp.memory import fault, raise_error
from bt.interp.segments import segment_changed, set_cpl
from bt.interp.state import (
    ATTR_ACCESSED,
    ATTR_CODE,
    ATTR_DB,
    ATTR_DPL,
    ATTR_G,
    ATTR_P,
    ATTR_RW,
    ATTR_S,
    CR0_PE,
    CS,
    ECX,
    EDX,
    ESP,
    IF,
    RF,
    SS,
    ST_LOOKUP,
    VEC_GP,
    VM,
    Cpu,
    Op,
)

FLAT_ATTR = ATTR_P | ATTR_S | ATTR_RW | ATTR_ACCESSED | ATTR_DB | ATTR_G
NAMES_SEGMENT = 0xFFFC  # the bits of IA32_SYSENTER_CS of which one has to be set


@func
def set_flat_segment(c: Cpu, seg: u32, selector: u32, attr: u32) -> i32:
    c.seg_sel[seg] = selector & 0xFFFF
    c.seg_base[seg] = 0
    c.seg_limit[seg] = M32
    c.seg_attr[seg] = attr
    segment_changed(c, seg)
    return 0


@func
def has_fast_calls(c: Cpu) -> u32:
    """Protected mode, and a segment to enter."""
    if c.external or c.cr0 & CR0_PE == 0:
        return 0
    return 1 if c.msr_sysenter_cs & NAMES_SEGMENT else 0


@func
def sysenter(c: Cpu, op: Op) -> i32:
    if not has_fast_calls(c):
        raise_error(c, VEC_GP, 0)
        return fault(c, op)
    selector: u32 = c.msr_sysenter_cs & NAMES_SEGMENT
    leave_block(c, op)
    c.eflags &= ~(VM | IF | RF) & M32
    set_flat_segment(c, CS, selector, FLAT_ATTR | ATTR_CODE)
    set_flat_segment(c, SS, selector + 8, FLAT_ATTR)
    set_cpl(c, 0)
    c.regs[ESP] = c.msr_sysenter_esp
    c.eip = c.msr_sysenter_eip
    return ST_LOOKUP


@func
def sysexit(c: Cpu, op: Op) -> i32:
    if not has_fast_calls(c) or c.cpl != 0:
        raise_error(c, VEC_GP, 0)
        return fault(c, op)
    selector: u32 = (c.msr_sysenter_cs & NAMES_SEGMENT) | 3
    leave_block(c, op)
    set_flat_segment(c, CS, selector + 16, FLAT_ATTR | ATTR_CODE | ATTR_DPL)
    set_flat_segment(c, SS, selector + 24, FLAT_ATTR | ATTR_DPL)
    set_cpl(c, 3)
    c.regs[ESP] = c.regs[ECX]
    c.eip = c.regs[EDX]
    return ST_LOOKUP

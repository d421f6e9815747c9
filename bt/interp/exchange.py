"""Exchanges: XADD, CMPXCHG, CMPXCHG8B, BSWAP, XLAT (SDM vol. 1, 7.3.1; vol. 2).

CMPXCHG always writes its operand: the new value, or the old one again. So it faults on a page that
may not be written, whichever way the comparison goes.
"""

from __future__ import annotations

from bt.interp.dialect import M8, M32, NEXT, func, get8, i32, i64, inline, set8, set16, u32, u64
from bt.interp.flags import CC_ADD, CC_SUB, set_cc, settle_flags, size_mask
from bt.interp.memory import check_whole, ea, fault, load, rmw_begin, rmw_end, segment_allows
from bt.interp.operands import begin_e, end_e, get_reg, set_reg
from bt.interp.state import EAX, EBX, ECX, EDX, ZF, Cpu, Op


@inline
def xadd(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    """G = E, E = E + G; with one register for both the sum stays."""
    v = begin_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    old: u32 = v & M32
    b: u32 = get_reg(c, op.reg, size)
    r: u32 = (old + b) & size_mask(size)
    if mem:
        if end_e(c, op, size, mem, r) < 0:
            return fault(c, op)
        set_reg(c, op.reg, size, old)
    else:
        set_reg(c, op.reg, size, old)
        set_reg(c, op.rm, size, r)
    set_cc(c, CC_ADD, size, b, r)
    return NEXT(c, op)


@inline
def cmpxchg(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    """If the accumulator equals E: E = G, else the accumulator = E. Flags of CMP accumulator, E."""
    v = begin_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    old: u32 = v & M32
    acc: u32 = get_reg(c, EAX, size)
    equal: u32 = 1 if acc == old else 0
    if end_e(c, op, size, mem, get_reg(c, op.reg, size) if equal else old) < 0:
        return fault(c, op)
    if not equal:
        set_reg(c, EAX, size, old)
    set_cc(c, CC_SUB, size, old, (acc - old) & size_mask(size))
    return NEXT(c, op)


@func
def cmpxchg8b_write(c: Cpu, low: u32, high: u32, old_low: u32, host: u64, linear: u32) -> i64:
    """Write both halves. `host` and `linear` are the low half's rmw operand; c.* the high one's.

    Only a traced byte can refuse, and then both halves are left as they were.
    """
    high_host = c.rmw_host
    high_linear = c.rmw_linear
    c.rmw_host = host
    c.rmw_linear = linear
    if rmw_end(c, 4, low) < 0:
        return -1
    c.rmw_host = high_host
    c.rmw_linear = high_linear
    if rmw_end(c, 4, high) < 0:
        c.rmw_host = host
        c.rmw_linear = linear
        rmw_end(c, 4, old_low)
        return -1
    return 0


@func
def cmpxchg8b(c: Cpu, op: Op) -> i32:
    """If EDX:EAX equals the 8 bytes: they become ECX:EBX, else EDX:EAX becomes them. Only ZF."""
    at = ea(c, op)
    if segment_allows(c, op.seg, at, 8, 1) < 0:
        return fault(c, op)
    if check_whole(c, op.seg, at, 8, 8) < 0:
        return fault(c, op)
    low = rmw_begin(c, op.seg, at, 4)
    if low < 0:
        return fault(c, op)
    host = c.rmw_host
    linear = c.rmw_linear
    high = rmw_begin(c, op.seg, (at + 4) & op.amask, 4)
    if high < 0:
        return fault(c, op)
    old_low: u32 = low & M32
    old_high: u32 = high & M32
    equal: u32 = 1 if old_low == c.regs[EAX] and old_high == c.regs[EDX] else 0
    new_low: u32 = c.regs[EBX] if equal else old_low
    new_high: u32 = c.regs[ECX] if equal else old_high
    if cmpxchg8b_write(c, new_low, new_high, old_low, host, linear) < 0:
        return fault(c, op)
    settle_flags(c)
    if equal:
        c.eflags = c.eflags | ZF
    else:
        c.eflags = c.eflags & ~ZF & M32
        c.regs[EAX] = old_low
        c.regs[EDX] = old_high
    return NEXT(c, op)


@inline
def bswap(c: Cpu, op: Op, size: u32) -> i32:
    """Reverse the bytes of a register. Undefined for words: they become 0, as on real chips."""
    v: u32 = c.regs[op.rm]
    if size == 4:
        swapped: u32 = (v >> 24) | ((v >> 8) & 0xFF00) | ((v & 0xFF00) << 8)
        c.regs[op.rm] = swapped | ((v & M8) << 24)
    else:
        set16(c, op.rm, 0)
    return NEXT(c, op)


@inline
def xlat(c: Cpu, op: Op) -> i32:
    """AL = byte AL of the table at (E)BX."""
    v = load(c, op.seg, (c.regs[EBX] + get8(c, 0)) & op.amask, 1)
    if v < 0:
        return fault(c, op)
    set8(c, 0, v & M8)
    return NEXT(c, op)

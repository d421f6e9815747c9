"""Moves of XMM registers, cache control and fences (SDM vol. 1, 10.4.1, 10.4.6, 11.4; vol. 2).

Hints to caches do nothing here: a store that is non-temporal is a store, and nothing is reordered.
Scalar loads from memory clear the rest of the register, moves between registers leave it.
"""

from __future__ import annotations

from bt.interp.dialect import M32, NEXT, i32, inline, u32, u64
from bt.interp.memory import ea, fault, load, segment_allows, store, user_access
from bt.interp.paging import translate
from bt.interp.state import Cpu, Op
from bt.interp.vector_memory import (
    load128,
    load_low,
    mmx_begins,
    mmx_not_now,
    set_mmx,
    set_xmm,
    sse_not_now,
    store128,
    xmm_source,
)
from bt.interp.x87_memory import put64


@inline
def xmm_load(c: Cpu, op: Op, aligned: u32, mem: u32) -> i32:
    """MOVAPS, MOVUPS, MOVDQA, ... to a register."""
    if sse_not_now(c):
        return fault(c, op)
    if mem:
        if load128(c, op.seg, ea(c, op), aligned) < 0:
            return fault(c, op)
        set_xmm(c, op.reg, c.v_low, c.v_high)
    else:
        set_xmm(c, op.reg, c.xmm[2 * op.rm], c.xmm[2 * op.rm + 1])
    return NEXT(c, op)


@inline
def xmm_store(c: Cpu, op: Op, aligned: u32, mem: u32) -> i32:
    """The same from one; MOVNTPS, MOVNTPD, MOVNTDQ."""
    if sse_not_now(c):
        return fault(c, op)
    low: u64 = c.xmm[2 * op.reg]
    high: u64 = c.xmm[2 * op.reg + 1]
    if mem:
        if store128(c, op.seg, ea(c, op), aligned, low, high) < 0:
            return fault(c, op)
    else:
        set_xmm(c, op.rm, low, high)
    return NEXT(c, op)


@inline
def scalar_load(c: Cpu, op: Op, width: u32, mem: u32) -> i32:
    """MOVSS and MOVSD to a register."""
    if sse_not_now(c):
        return fault(c, op)
    if mem:
        if load_low(c, op, width) < 0:
            return fault(c, op)
        set_xmm(c, op.reg, c.v_low, 0)
    elif width == 8:
        c.xmm[2 * op.reg] = c.xmm[2 * op.rm]
    else:
        kept: u64 = c.xmm[2 * op.reg] >> 32
        c.xmm[2 * op.reg] = kept << 32 | (c.xmm[2 * op.rm] & M32)
    return NEXT(c, op)


@inline
def scalar_store(c: Cpu, op: Op, width: u32, mem: u32) -> i32:
    """MOVSS and MOVSD from a register."""
    if sse_not_now(c):
        return fault(c, op)
    low: u64 = c.xmm[2 * op.reg]
    if mem:
        if width == 8:
            if put64(c, op.seg, ea(c, op), low) < 0:
                return fault(c, op)
        elif store(c, op.seg, ea(c, op), 4, low & M32) < 0:
            return fault(c, op)
    elif width == 8:
        c.xmm[2 * op.rm] = low
    else:
        kept: u64 = c.xmm[2 * op.rm] >> 32
        c.xmm[2 * op.rm] = kept << 32 | (low & M32)
    return NEXT(c, op)


@inline
def half_load(c: Cpu, op: Op, high: u32) -> i32:
    """MOVLPS, MOVHPS and the like from memory: one half, the other stays."""
    if sse_not_now(c) or load_low(c, op, 8) < 0:
        return fault(c, op)
    c.xmm[2 * op.reg + high] = c.v_low
    return NEXT(c, op)


@inline
def half_store(c: Cpu, op: Op, high: u32) -> i32:
    if sse_not_now(c) or put64(c, op.seg, ea(c, op), c.xmm[2 * op.reg + high]) < 0:
        return fault(c, op)
    return NEXT(c, op)


@inline
def half_move(c: Cpu, op: Op, to_high: u32) -> i32:
    """MOVLHPS (the low half to the high one) and MOVHLPS."""
    if sse_not_now(c):
        return fault(c, op)
    c.xmm[2 * op.reg + to_high] = c.xmm[2 * op.rm + 1 - to_high]
    return NEXT(c, op)


# --- between XMM, MMX and general registers ---------------------------------------------


@inline
def xmm_load32(c: Cpu, op: Op, mem: u32) -> i32:
    """MOVD xmm, r/m32."""
    if sse_not_now(c):
        return fault(c, op)
    source: u64 = c.regs[op.rm]
    if mem:
        value = load(c, op.seg, ea(c, op), 4)
        if value < 0:
            return fault(c, op)
        source = value
    set_xmm(c, op.reg, source, 0)
    return NEXT(c, op)


@inline
def xmm_store32(c: Cpu, op: Op, mem: u32) -> i32:
    """MOVD r/m32, xmm."""
    if sse_not_now(c):
        return fault(c, op)
    value: u32 = c.xmm[2 * op.reg] & M32
    if mem:
        if store(c, op.seg, ea(c, op), 4, value) < 0:
            return fault(c, op)
    else:
        c.regs[op.rm] = value
    return NEXT(c, op)


@inline
def xmm_load64(c: Cpu, op: Op, mem: u32) -> i32:
    """MOVQ xmm, xmm/m64: the high half becomes 0, also between registers."""
    if sse_not_now(c) or xmm_source(c, op, 8, mem) < 0:
        return fault(c, op)
    set_xmm(c, op.reg, c.v_low, 0)
    return NEXT(c, op)


@inline
def xmm_store64(c: Cpu, op: Op, mem: u32) -> i32:
    """MOVQ xmm/m64, xmm."""
    if sse_not_now(c):
        return fault(c, op)
    if mem:
        if put64(c, op.seg, ea(c, op), c.xmm[2 * op.reg]) < 0:
            return fault(c, op)
    else:
        set_xmm(c, op.rm, c.xmm[2 * op.reg], 0)
    return NEXT(c, op)


@inline
def movdq2q(c: Cpu, op: Op) -> i32:
    if sse_not_now(c) or mmx_not_now(c):
        return fault(c, op)
    mmx_begins(c)
    set_mmx(c, op.reg, c.xmm[2 * op.rm])
    return NEXT(c, op)


@inline
def movq2dq(c: Cpu, op: Op) -> i32:
    if sse_not_now(c) or mmx_not_now(c):
        return fault(c, op)
    mmx_begins(c)
    set_xmm(c, op.reg, c.fpr_sig[op.rm], 0)
    return NEXT(c, op)


# --- caches -----------------------------------------------------------------------------


@inline
def movnti(c: Cpu, op: Op) -> i32:
    """A store of a general register; it needs no XMM state."""
    if store(c, op.seg, ea(c, op), 4, c.regs[op.reg]) < 0:
        return fault(c, op)
    return NEXT(c, op)


@inline
def clflush(c: Cpu, op: Op) -> i32:
    """It is a read as far as faults go."""
    at: u32 = ea(c, op)
    if segment_allows(c, op.seg, at, 1, 0) < 0:
        return fault(c, op)
    if translate(c, (at + c.seg_base[op.seg]) & M32, user_access(c), 1) < 0:
        return fault(c, op)
    return NEXT(c, op)

"""The floating point instructions of SSE and SSE2 (SDM vol. 1, 10.4.1, 11.4.1, 11.5; vol. 2).

What elements become, say sse_arith.py and sse_convert.py. Here is how an instruction takes its
elements, what it does with the others, and what exceptions do to it as a whole: the flags of all
elements are collected. If what was found before computing (invalid, denormal, zero divide) is not
masked, nothing else is reported; then, or if overflow, underflow or inexact is not masked, no
element is written, and #XM follows, or #UD where CR4.OSXMMEXCPT says that nobody knows it.
"""

from __future__ import annotations

from bt.interp.dialect import M32, M64, NEXT, func, i32, inline, u32, u64
from bt.interp.flags import get_eflags, set_eflags
from bt.interp.memory import fault, raise_plain
from bt.interp.softfloat import FX_ALL, FX_DE, FX_IE, FX_ZE
from bt.interp.sse_arith import (
    ORDER_EQUAL,
    ORDER_LESS,
    ORDER_NONE,
    loud_predicate,
    order_holds,
    sse_compute,
    sse_order,
)
from bt.interp.sse_convert import reciprocal, reciprocal_root
from bt.interp.sse_float import MXCSR_MASKS
from bt.interp.state import ARITH, CF, CR4_OSXMMEXCPT, PF, VEC_UD, VEC_XM, ZF, Cpu, Op
from bt.interp.vector_memory import sse_not_now, xmm_source

SSE_RSQRT = 0x52
SSE_BEFORE = FX_IE | FX_DE | FX_ZE


@func
def sse_report(c: Cpu, flags: u32) -> u32:
    """sse_settle() when there is something to report."""
    unmasked: u32 = flags & ~(c.mxcsr >> MXCSR_MASKS) & FX_ALL
    if unmasked & SSE_BEFORE:
        flags &= SSE_BEFORE
    c.mxcsr |= flags
    if unmasked == 0:
        return 0
    raise_plain(c, VEC_XM if c.cr4 & CR4_OSXMMEXCPT else VEC_UD)
    return 1


@inline
def sse_settle(c: Cpu) -> u32:
    """Enter what was collected in c.v_flags; 1: no result may be stored, the fault is noted."""
    return sse_report(c, c.v_flags) if c.v_flags else 0


@inline
def lower_single(a: u64) -> u64:
    return a & M32


# --- arithmetic -------------------------------------------------------------------------


@inline
def sse_element(c: Cpu, kind: u32, wide: u32, a: u64, b: u64) -> u64:
    result: u64 = sse_compute(c, kind, wide, a, b)
    c.v_flags |= c.fx
    return result


@inline
def sse_elements(c: Cpu, kind: u32, wide: u32, a: u64, b: u64) -> u64:
    """Those of 64 bits: one double, two singles."""
    if wide:
        return sse_element(c, kind, 1, a, b)
    low: u64 = sse_element(c, kind, 0, lower_single(a), lower_single(b))
    return sse_element(c, kind, 0, a >> 32, b >> 32) << 32 | low


@inline
def sse_packed(c: Cpu, op: Op, kind: u32, wide: u32, mem: u32) -> i32:
    """ADDPS and the like; of SQRTPS the source alone counts."""
    if sse_not_now(c) or xmm_source(c, op, 16, mem) < 0:
        return fault(c, op)
    c.v_flags = 0
    low: u64 = sse_elements(c, kind, wide, c.xmm[2 * op.reg], c.v_low)
    high: u64 = sse_elements(c, kind, wide, c.xmm[2 * op.reg + 1], c.v_high)
    if sse_settle(c):
        return fault(c, op)
    c.xmm[2 * op.reg] = low
    c.xmm[2 * op.reg + 1] = high
    return NEXT(c, op)


@inline
def set_scalar(c: Cpu, i: u32, wide: u32, value: u64) -> i32:
    """The lowest element; the others stay."""
    if wide:
        c.xmm[2 * i] = value
    else:
        c.xmm[2 * i] = (c.xmm[2 * i] >> 32) << 32 | value
    return 0


@inline
def scalar_of(wide: u32, low: u64) -> u64:
    return low if wide else lower_single(low)


@inline
def sse_scalar(c: Cpu, op: Op, kind: u32, wide: u32, mem: u32) -> i32:
    """ADDSS and the like."""
    if sse_not_now(c) or xmm_source(c, op, 8 if wide else 4, mem) < 0:
        return fault(c, op)
    c.v_flags = 0
    a: u64 = scalar_of(wide, c.xmm[2 * op.reg])
    result: u64 = sse_element(c, kind, wide, a, scalar_of(wide, c.v_low))
    if sse_settle(c):
        return fault(c, op)
    set_scalar(c, op.reg, wide, result)
    return NEXT(c, op)


# --- estimates --------------------------------------------------------------------------


@inline
def sse_estimate(kind: u32, a: u64) -> u64:
    return reciprocal_root(a) if kind == SSE_RSQRT else reciprocal(a)


@inline
def estimate_packed(c: Cpu, op: Op, kind: u32, mem: u32) -> i32:
    """RCPPS, RSQRTPS."""
    if sse_not_now(c) or xmm_source(c, op, 16, mem) < 0:
        return fault(c, op)
    low: u64 = sse_estimate(kind, lower_single(c.v_low))
    c.xmm[2 * op.reg] = sse_estimate(kind, c.v_low >> 32) << 32 | low
    low = sse_estimate(kind, lower_single(c.v_high))
    c.xmm[2 * op.reg + 1] = sse_estimate(kind, c.v_high >> 32) << 32 | low
    return NEXT(c, op)


@inline
def estimate_scalar(c: Cpu, op: Op, kind: u32, mem: u32) -> i32:
    if sse_not_now(c) or xmm_source(c, op, 4, mem) < 0:
        return fault(c, op)
    set_scalar(c, op.reg, 0, sse_estimate(kind, lower_single(c.v_low)))
    return NEXT(c, op)


# --- comparison -------------------------------------------------------------------------


@inline
def compared_element(c: Cpu, predicate: u32, wide: u32, a: u64, b: u64) -> u64:
    """All ones where the predicate holds."""
    c.fx = 0
    order = sse_order(c, wide, a, b, loud_predicate(predicate) ^ 1)
    c.v_flags |= c.fx
    ones: u64 = M64 if wide else M32
    return ones if order_holds(order, predicate) else 0


@inline
def compared_elements(c: Cpu, predicate: u32, wide: u32, a: u64, b: u64) -> u64:
    if wide:
        return compared_element(c, predicate, 1, a, b)
    low: u64 = compared_element(c, predicate, 0, lower_single(a), lower_single(b))
    return compared_element(c, predicate, 0, a >> 32, b >> 32) << 32 | low


@inline
def cmp_packed(c: Cpu, op: Op, wide: u32, mem: u32) -> i32:
    """CMPPS, CMPPD; of the immediate three bits count."""
    if sse_not_now(c) or xmm_source(c, op, 16, mem) < 0:
        return fault(c, op)
    c.v_flags = 0
    predicate: u32 = op.imm & 7
    low: u64 = compared_elements(c, predicate, wide, c.xmm[2 * op.reg], c.v_low)
    high: u64 = compared_elements(c, predicate, wide, c.xmm[2 * op.reg + 1], c.v_high)
    if sse_settle(c):
        return fault(c, op)
    c.xmm[2 * op.reg] = low
    c.xmm[2 * op.reg + 1] = high
    return NEXT(c, op)


@inline
def cmp_scalar(c: Cpu, op: Op, wide: u32, mem: u32) -> i32:
    if sse_not_now(c) or xmm_source(c, op, 8 if wide else 4, mem) < 0:
        return fault(c, op)
    c.v_flags = 0
    a: u64 = scalar_of(wide, c.xmm[2 * op.reg])
    result: u64 = compared_element(c, op.imm & 7, wide, a, scalar_of(wide, c.v_low))
    if sse_settle(c):
        return fault(c, op)
    set_scalar(c, op.reg, wide, result)
    return NEXT(c, op)


@inline
def comis(c: Cpu, op: Op, wide: u32, quiet: u32, mem: u32) -> i32:
    """COMISS and, with quiet, UCOMISS: ZF, PF and CF, the other flags become 0."""
    if sse_not_now(c) or xmm_source(c, op, 8 if wide else 4, mem) < 0:
        return fault(c, op)
    c.fx = 0
    a: u64 = scalar_of(wide, c.xmm[2 * op.reg])
    order = sse_order(c, wide, a, scalar_of(wide, c.v_low), quiet)
    c.v_flags = c.fx
    if sse_settle(c):
        return fault(c, op)
    flags: u32 = get_eflags(c) & ~ARITH & M32
    if order == ORDER_NONE:
        flags |= ZF | PF | CF
    elif order == ORDER_EQUAL:
        flags |= ZF
    elif order == ORDER_LESS:
        flags |= CF
    set_eflags(c, flags)
    return NEXT(c, op)

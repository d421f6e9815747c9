"""The instructions that convert (SDM vol. 1, 11.4.1.6; vol. 2, CVT...).

Names say from what to what: PS and PD are packed singles and doubles, SS and SD one of them, PI and
DQ packed integers in an MMX and an XMM register, SI a general register. CVTT rounds toward zero
whatever MXCSR says. What has an MMX register is an MMX instruction, too, for the x87 unit, and
stays one if #XM follows.
"""

from __future__ import annotations

from bt.interp.dialect import M32, NEXT, i32, inline, sx32, u32, u64
from bt.interp.memory import ea, fault, load
from bt.interp.sse_convert import (
    double_to_single,
    float_to_integer,
    integer_to_float,
    single_to_double,
)
from bt.interp.sse_ops import scalar_of, set_scalar, sse_settle
from bt.interp.state import Cpu, Op
from bt.interp.vector_memory import (
    mmx_begins,
    mmx_not_now,
    mmx_source,
    set_mmx,
    set_xmm,
    sse_not_now,
    xmm_source,
)

# --- elements, whose flags are collected ------------------------------------------------


@inline
def to_float(c: Cpu, wide: u32, value: u64) -> u64:
    """From the low 32 bits."""
    result: u64 = integer_to_float(c, wide, sx32(value))
    c.v_flags |= c.fx
    return result


@inline
def to_int(c: Cpu, wide: u32, a: u64, chops: u32) -> u64:
    result: u64 = float_to_integer(c, wide, a, chops)
    c.v_flags |= c.fx
    return result


@inline
def to_ints(c: Cpu, a: u64, chops: u32) -> u64:
    """Two singles."""
    low: u64 = to_int(c, 0, a & M32, chops)
    return to_int(c, 0, a >> 32, chops) << 32 | low


@inline
def to_singles(c: Cpu, value: u64) -> u64:
    """Two integers."""
    low: u64 = to_float(c, 0, value)
    return to_float(c, 0, value >> 32) << 32 | low


@inline
def to_double(c: Cpu, a: u64) -> u64:
    result: u64 = single_to_double(c, a & M32)
    c.v_flags |= c.fx
    return result


@inline
def to_single(c: Cpu, a: u64) -> u64:
    result: u64 = double_to_single(c, a)
    c.v_flags |= c.fx
    return result


# --- with MMX registers -----------------------------------------------------------------


@inline
def from_mmx(c: Cpu, op: Op, wide: u32, mem: u32) -> i32:
    """CVTPI2PS, which leaves the high half, and CVTPI2PD. With memory they leave MMX alone."""
    if sse_not_now(c) or (mem == 0 and mmx_not_now(c)) or mmx_source(c, op, mem) < 0:
        return fault(c, op)
    if mem == 0:
        mmx_begins(c)
    value: u64 = c.z_sig
    c.v_flags = 0
    low: u64 = 0
    high: u64 = c.xmm[2 * op.reg + 1]
    if wide:
        low = to_float(c, 1, value)
        high = to_float(c, 1, value >> 32)
    else:
        low = to_singles(c, value)
    if sse_settle(c):
        return fault(c, op)
    set_xmm(c, op.reg, low, high)
    return NEXT(c, op)


@inline
def to_mmx(c: Cpu, op: Op, wide: u32, chops: u32, mem: u32) -> i32:
    """CVTPS2PI, CVTPD2PI."""
    if sse_not_now(c) or mmx_not_now(c) or xmm_source(c, op, 16 if wide else 8, mem) < 0:
        return fault(c, op)
    c.v_flags = 0
    result: u64 = 0
    if wide:
        result = to_int(c, 1, c.v_low, chops)
        result |= to_int(c, 1, c.v_high, chops) << 32
    else:
        result = to_ints(c, c.v_low, chops)
    mmx_begins(c)
    if sse_settle(c):
        return fault(c, op)
    set_mmx(c, op.reg, result)
    return NEXT(c, op)


# --- with general registers -------------------------------------------------------------


@inline
def from_general(c: Cpu, op: Op, wide: u32, mem: u32) -> i32:
    """CVTSI2SS, CVTSI2SD."""
    if sse_not_now(c):
        return fault(c, op)
    source: u64 = c.regs[op.rm]
    if mem:
        value = load(c, op.seg, ea(c, op), 4)
        if value < 0:
            return fault(c, op)
        source = value
    c.v_flags = 0
    result: u64 = to_float(c, wide, source)
    if sse_settle(c):
        return fault(c, op)
    set_scalar(c, op.reg, wide, result)
    return NEXT(c, op)


@inline
def to_general(c: Cpu, op: Op, wide: u32, chops: u32, mem: u32) -> i32:
    """CVTSS2SI, CVTSD2SI."""
    if sse_not_now(c) or xmm_source(c, op, 8 if wide else 4, mem) < 0:
        return fault(c, op)
    c.v_flags = 0
    result: u64 = to_int(c, wide, scalar_of(wide, c.v_low), chops)
    if sse_settle(c):
        return fault(c, op)
    c.regs[op.reg] = result & M32
    return NEXT(c, op)


# --- within XMM registers ---------------------------------------------------------------


@inline
def scalar_format(c: Cpu, op: Op, narrows: u32, mem: u32) -> i32:
    """CVTSS2SD, CVTSD2SS (narrows)."""
    if sse_not_now(c) or xmm_source(c, op, 8 if narrows else 4, mem) < 0:
        return fault(c, op)
    c.v_flags = 0
    result: u64 = to_single(c, c.v_low) if narrows else to_double(c, c.v_low)
    if sse_settle(c):
        return fault(c, op)
    set_scalar(c, op.reg, narrows ^ 1, result)
    return NEXT(c, op)


@inline
def packed_widening(c: Cpu, op: Op, from_integers: u32, mem: u32) -> i32:
    """CVTPS2PD, CVTDQ2PD: two elements of 32 bits become doubles."""
    if sse_not_now(c) or xmm_source(c, op, 8, mem) < 0:
        return fault(c, op)
    c.v_flags = 0
    low: u64 = c.v_low
    high: u64 = c.v_low >> 32
    if from_integers:
        low = to_float(c, 1, low)
        high = to_float(c, 1, high)
    else:
        low = to_double(c, low)
        high = to_double(c, high)
    if sse_settle(c):
        return fault(c, op)
    set_xmm(c, op.reg, low, high)
    return NEXT(c, op)


@inline
def cvtpd2ps(c: Cpu, op: Op, mem: u32) -> i32:
    """Two doubles become singles, the high half 0."""
    if sse_not_now(c) or xmm_source(c, op, 16, mem) < 0:
        return fault(c, op)
    c.v_flags = 0
    low: u64 = to_single(c, c.v_low)
    low |= to_single(c, c.v_high) << 32
    if sse_settle(c):
        return fault(c, op)
    set_xmm(c, op.reg, low, 0)
    return NEXT(c, op)


@inline
def packed_to_ints(c: Cpu, op: Op, wide: u32, chops: u32, mem: u32) -> i32:
    """CVTPS2DQ, CVTPD2DQ."""
    if sse_not_now(c) or xmm_source(c, op, 16, mem) < 0:
        return fault(c, op)
    c.v_flags = 0
    low: u64 = 0
    high: u64 = 0
    if wide:
        low = to_int(c, 1, c.v_low, chops)
        low |= to_int(c, 1, c.v_high, chops) << 32
    else:
        low = to_ints(c, c.v_low, chops)
        high = to_ints(c, c.v_high, chops)
    if sse_settle(c):
        return fault(c, op)
    set_xmm(c, op.reg, low, high)
    return NEXT(c, op)


@inline
def cvtdq2ps(c: Cpu, op: Op, mem: u32) -> i32:
    if sse_not_now(c) or xmm_source(c, op, 16, mem) < 0:
        return fault(c, op)
    c.v_flags = 0
    low: u64 = to_singles(c, c.v_low)
    high: u64 = to_singles(c, c.v_high)
    if sse_settle(c):
        return fault(c, op)
    set_xmm(c, op.reg, low, high)
    return NEXT(c, op)

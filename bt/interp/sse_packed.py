"""Integers in XMM registers (SSE2), and what is done to bits alone (SDM vol. 1, 11.4; vol. 2).

128 bits are two halves of 64, and what packed.py does to one is done to both: PADDB, ANDPS, ANDPD
and PAND are all here. What moves elements between the halves stands below.
"""

from __future__ import annotations

from bt.interp.dialect import M16, M32, M64, NEXT, func, i32, inline, u32, u64
from bt.interp.memory import ea, fault, load
from bt.interp.packed import (
    interleaved,
    narrowed,
    packed,
    shifted,
    shuffled_words,
    sign_bits,
)
from bt.interp.state import Cpu, Op
from bt.interp.vector_memory import set_xmm, sse_not_now, store_masked, xmm_source


@inline
def xmm_packed(c: Cpu, op: Op, kind: u32, mem: u32) -> i32:
    """All operations on two registers that packed() knows."""
    if sse_not_now(c) or xmm_source(c, op, 16, mem) < 0:
        return fault(c, op)
    c.xmm[2 * op.reg] = packed(kind, c.xmm[2 * op.reg], c.v_low)
    c.xmm[2 * op.reg + 1] = packed(kind, c.xmm[2 * op.reg + 1], c.v_high)
    return NEXT(c, op)


@inline
def xmm_shift(c: Cpu, op: Op, kind: u32, mem: u32) -> i32:
    """Shifts by a count, which is the source's low half."""
    if sse_not_now(c) or xmm_source(c, op, 16, mem) < 0:
        return fault(c, op)
    c.xmm[2 * op.reg] = shifted(kind, c.xmm[2 * op.reg], c.v_low)
    c.xmm[2 * op.reg + 1] = shifted(kind, c.xmm[2 * op.reg + 1], c.v_low)
    return NEXT(c, op)


@inline
def xmm_shift_i(c: Cpu, op: Op, kind: u32) -> i32:
    """Shifts by an immediate."""
    if sse_not_now(c):
        return fault(c, op)
    c.xmm[2 * op.rm] = shifted(kind, c.xmm[2 * op.rm], op.imm)
    c.xmm[2 * op.rm + 1] = shifted(kind, c.xmm[2 * op.rm + 1], op.imm)
    return NEXT(c, op)


@func
def byte_shift(c: Cpu, i: u32, count: u32, left: u32) -> i32:
    """PSLLDQ, PSRLDQ: all 128 bits, by bytes."""
    low: u64 = c.xmm[2 * i]
    high: u64 = c.xmm[2 * i + 1]
    if count > 15:
        return set_xmm(c, i, 0, 0)
    if count >= 8:
        if left:
            high = low
            low = 0
        else:
            low = high
            high = 0
    by: u32 = 8 * (count & 7)
    if by == 0:
        return set_xmm(c, i, low, high)
    if left:
        return set_xmm(c, i, (low << by) & M64, ((high << by) & M64) | low >> (64 - by))
    return set_xmm(c, i, low >> by | ((high << (64 - by)) & M64), high >> by)


@inline
def xmm_byte_shift(c: Cpu, op: Op, left: u32) -> i32:
    if sse_not_now(c):
        return fault(c, op)
    byte_shift(c, op.rm, op.imm, left)
    return NEXT(c, op)


@inline
def xmm_narrow(c: Cpu, op: Op, kind: u32, mem: u32) -> i32:
    """PACK*: the destination's elements below, the source's above."""
    if sse_not_now(c) or xmm_source(c, op, 16, mem) < 0:
        return fault(c, op)
    low: u64 = narrowed(kind, c.xmm[2 * op.reg])
    low |= narrowed(kind, c.xmm[2 * op.reg + 1]) << 32
    high: u64 = narrowed(kind, c.v_low)
    high |= narrowed(kind, c.v_high) << 32
    set_xmm(c, op.reg, low, high)
    return NEXT(c, op)


@inline
def interleave_into(c: Cpu, i: u32, a: u64, b: u64, width: u32) -> i32:
    """Elements of two quadwords by turns, all of them, into a register."""
    if width == 64:
        return set_xmm(c, i, a, b)
    low: u64 = interleaved(a, b, width)
    return set_xmm(c, i, low, interleaved(a >> 32, b >> 32, width))


@inline
def xmm_unpack(c: Cpu, op: Op, width: u32, high: u32, mem: u32) -> i32:
    """PUNPCK*, UNPCK*: of the low or the high halves."""
    if sse_not_now(c) or xmm_source(c, op, 16, mem) < 0:
        return fault(c, op)
    if high:
        interleave_into(c, op.reg, c.xmm[2 * op.reg + 1], c.v_high, width)
    else:
        interleave_into(c, op.reg, c.xmm[2 * op.reg], c.v_low, width)
    return NEXT(c, op)


# --- shuffles ---------------------------------------------------------------------------


@inline
def picked32(low: u64, high: u64, which: u32) -> u64:
    """A doubleword of 128 bits."""
    return ((high if which & 2 else low) >> (32 * (which & 1))) & M32


@inline
def xmm_shuffle32(c: Cpu, op: Op, mem: u32) -> i32:
    """PSHUFD."""
    if sse_not_now(c) or xmm_source(c, op, 16, mem) < 0:
        return fault(c, op)
    low: u64 = picked32(c.v_low, c.v_high, op.imm & 3)
    low |= picked32(c.v_low, c.v_high, (op.imm >> 2) & 3) << 32
    high: u64 = picked32(c.v_low, c.v_high, (op.imm >> 4) & 3)
    high |= picked32(c.v_low, c.v_high, (op.imm >> 6) & 3) << 32
    set_xmm(c, op.reg, low, high)
    return NEXT(c, op)


@inline
def xmm_shuffle16(c: Cpu, op: Op, high: u32, mem: u32) -> i32:
    """PSHUFLW and PSHUFHW: the words of one half, the other one is copied."""
    if sse_not_now(c) or xmm_source(c, op, 16, mem) < 0:
        return fault(c, op)
    if high:
        set_xmm(c, op.reg, c.v_low, shuffled_words(c.v_high, op.imm))
    else:
        set_xmm(c, op.reg, shuffled_words(c.v_low, op.imm), c.v_high)
    return NEXT(c, op)


@inline
def shufps(c: Cpu, op: Op, mem: u32) -> i32:
    """Two elements of the destination below, two of the source above."""
    if sse_not_now(c) or xmm_source(c, op, 16, mem) < 0:
        return fault(c, op)
    a_low: u64 = c.xmm[2 * op.reg]
    a_high: u64 = c.xmm[2 * op.reg + 1]
    low: u64 = picked32(a_low, a_high, op.imm & 3)
    low |= picked32(a_low, a_high, (op.imm >> 2) & 3) << 32
    high: u64 = picked32(c.v_low, c.v_high, (op.imm >> 4) & 3)
    high |= picked32(c.v_low, c.v_high, (op.imm >> 6) & 3) << 32
    set_xmm(c, op.reg, low, high)
    return NEXT(c, op)


@inline
def shufpd(c: Cpu, op: Op, mem: u32) -> i32:
    if sse_not_now(c) or xmm_source(c, op, 16, mem) < 0:
        return fault(c, op)
    low: u64 = c.xmm[2 * op.reg + 1] if op.imm & 1 else c.xmm[2 * op.reg]
    set_xmm(c, op.reg, low, c.v_high if op.imm & 2 else c.v_low)
    return NEXT(c, op)


# --- single words and signs -------------------------------------------------------------


@inline
def xmm_insert(c: Cpu, op: Op, mem: u32) -> i32:
    """PINSRW."""
    if sse_not_now(c):
        return fault(c, op)
    word: u64 = c.regs[op.rm] & M16
    if mem:
        value = load(c, op.seg, ea(c, op), 2)
        if value < 0:
            return fault(c, op)
        word = value
    place: u32 = 2 * op.reg + ((op.imm >> 2) & 1)
    at: u32 = 16 * (op.imm & 3)
    mask: u64 = M16
    c.xmm[place] = (c.xmm[place] & ~(mask << at)) | word << at
    return NEXT(c, op)


@inline
def xmm_extract(c: Cpu, op: Op) -> i32:
    """PEXTRW."""
    if sse_not_now(c):
        return fault(c, op)
    half: u64 = c.xmm[2 * op.rm + ((op.imm >> 2) & 1)]
    c.regs[op.reg] = (half >> (16 * (op.imm & 3))) & M16
    return NEXT(c, op)


@inline
def xmm_signs8(c: Cpu, op: Op) -> i32:
    """PMOVMSKB."""
    if sse_not_now(c):
        return fault(c, op)
    c.regs[op.reg] = sign_bits(c.xmm[2 * op.rm]) | sign_bits(c.xmm[2 * op.rm + 1]) << 8
    return NEXT(c, op)


@inline
def movmskps(c: Cpu, op: Op) -> i32:
    if sse_not_now(c):
        return fault(c, op)
    low: u64 = c.xmm[2 * op.rm]
    high: u64 = c.xmm[2 * op.rm + 1]
    mask: u32 = ((low >> 31) & 1) | ((low >> 62) & 2)
    c.regs[op.reg] = mask | ((high >> 29) & 4) | ((high >> 60) & 8)
    return NEXT(c, op)


@inline
def movmskpd(c: Cpu, op: Op) -> i32:
    if sse_not_now(c):
        return fault(c, op)
    c.regs[op.reg] = (c.xmm[2 * op.rm] >> 63) | ((c.xmm[2 * op.rm + 1] >> 62) & 2)
    return NEXT(c, op)


@inline
def xmm_masked_store(c: Cpu, op: Op) -> i32:
    """MASKMOVDQU."""
    if sse_not_now(c):
        return fault(c, op)
    c.v_low = c.xmm[2 * op.reg]
    c.v_high = c.xmm[2 * op.reg + 1]
    if store_masked(c, op, 16, c.xmm[2 * op.rm], c.xmm[2 * op.rm + 1]) < 0:
        return fault(c, op)
    return NEXT(c, op)

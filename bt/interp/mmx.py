"""The MMX instructions, and what SSE and SSE2 added to them (SDM vol. 1, ch. 9; vol. 2 for each).

What they compute is in packed.py, what their registers are in vector_memory.py. Every body here
looks the same: may it run, its source, the x87 unit's new state, its result.
"""

from __future__ import annotations

from bt.interp.dialect import M16, M32, NEXT, i32, inline, u32, u64
from bt.interp.memory import ea, fault, load, store
from bt.interp.packed import (
    interleaved,
    narrowed,
    packed,
    shifted,
    shuffled_words,
    sign_bits,
    unpack_width,
)
from bt.interp.state import Cpu, Op
from bt.interp.vector_memory import mmx_begins, mmx_not_now, mmx_source, set_mmx, store_masked
from bt.interp.x87_memory import put64


@inline
def emms(c: Cpu, op: Op) -> i32:
    """EMMS: all registers are empty, for the x87."""
    if mmx_not_now(c):
        return fault(c, op)
    c.fpu_top = 0
    c.fpu_tag = 0
    return NEXT(c, op)


@inline
def mmx_packed(c: Cpu, op: Op, kind: u32, mem: u32) -> i32:
    """All operations on two registers that packed() knows."""
    if mmx_not_now(c) or mmx_source(c, op, mem) < 0:
        return fault(c, op)
    mmx_begins(c)
    set_mmx(c, op.reg, packed(kind, c.fpr_sig[op.reg], c.z_sig))
    return NEXT(c, op)


@inline
def mmx_shift(c: Cpu, op: Op, kind: u32, mem: u32) -> i32:
    """Shifts by a count in a register or memory."""
    if mmx_not_now(c) or mmx_source(c, op, mem) < 0:
        return fault(c, op)
    mmx_begins(c)
    set_mmx(c, op.reg, shifted(kind, c.fpr_sig[op.reg], c.z_sig))
    return NEXT(c, op)


@inline
def mmx_shift_i(c: Cpu, op: Op, kind: u32) -> i32:
    """Shifts by an immediate."""
    if mmx_not_now(c):
        return fault(c, op)
    mmx_begins(c)
    set_mmx(c, op.rm, shifted(kind, c.fpr_sig[op.rm], op.imm))
    return NEXT(c, op)


@inline
def mmx_narrow(c: Cpu, op: Op, kind: u32, mem: u32) -> i32:
    """PACK*: the destination's elements below, the source's above."""
    if mmx_not_now(c) or mmx_source(c, op, mem) < 0:
        return fault(c, op)
    mmx_begins(c)
    low: u64 = narrowed(kind, c.fpr_sig[op.reg])
    set_mmx(c, op.reg, narrowed(kind, c.z_sig) << 32 | low)
    return NEXT(c, op)


@inline
def mmx_unpack_low(c: Cpu, op: Op, kind: u32, mem: u32) -> i32:
    """PUNPCKL*: of the source only 32 bits are read."""
    if mmx_not_now(c):
        return fault(c, op)
    source: u64 = c.fpr_sig[op.rm]
    if mem:
        value = load(c, op.seg, ea(c, op), 4)
        if value < 0:
            return fault(c, op)
        source = value
    mmx_begins(c)
    set_mmx(c, op.reg, interleaved(c.fpr_sig[op.reg], source, unpack_width(kind)))
    return NEXT(c, op)


@inline
def mmx_unpack_high(c: Cpu, op: Op, kind: u32, mem: u32) -> i32:
    if mmx_not_now(c) or mmx_source(c, op, mem) < 0:
        return fault(c, op)
    mmx_begins(c)
    above: u64 = c.fpr_sig[op.reg] >> 32
    set_mmx(c, op.reg, interleaved(above, c.z_sig >> 32, unpack_width(kind)))
    return NEXT(c, op)


# --- moves ------------------------------------------------------------------------------


@inline
def mmx_load(c: Cpu, op: Op, mem: u32) -> i32:
    """MOVQ mm, mm/m64."""
    if mmx_not_now(c) or mmx_source(c, op, mem) < 0:
        return fault(c, op)
    mmx_begins(c)
    set_mmx(c, op.reg, c.z_sig)
    return NEXT(c, op)


@inline
def mmx_store(c: Cpu, op: Op, mem: u32) -> i32:
    """MOVQ mm/m64, mm; MOVNTQ."""
    if mmx_not_now(c):
        return fault(c, op)
    if mem:
        if put64(c, op.seg, ea(c, op), c.fpr_sig[op.reg]) < 0:
            return fault(c, op)
        mmx_begins(c)
        return NEXT(c, op)
    mmx_begins(c)
    set_mmx(c, op.rm, c.fpr_sig[op.reg])
    return NEXT(c, op)


@inline
def mmx_load32(c: Cpu, op: Op, mem: u32) -> i32:
    """MOVD mm, r/m32."""
    if mmx_not_now(c):
        return fault(c, op)
    source: u64 = c.regs[op.rm]
    if mem:
        value = load(c, op.seg, ea(c, op), 4)
        if value < 0:
            return fault(c, op)
        source = value
    mmx_begins(c)
    set_mmx(c, op.reg, source)
    return NEXT(c, op)


@inline
def mmx_store32(c: Cpu, op: Op, mem: u32) -> i32:
    """MOVD r/m32, mm."""
    if mmx_not_now(c):
        return fault(c, op)
    value: u32 = c.fpr_sig[op.reg] & M32
    if mem:
        if store(c, op.seg, ea(c, op), 4, value) < 0:
            return fault(c, op)
    else:
        c.regs[op.rm] = value
    mmx_begins(c)
    return NEXT(c, op)


# --- of SSE -----------------------------------------------------------------------------


@inline
def mmx_shuffle(c: Cpu, op: Op, mem: u32) -> i32:
    """PSHUFW."""
    if mmx_not_now(c) or mmx_source(c, op, mem) < 0:
        return fault(c, op)
    mmx_begins(c)
    set_mmx(c, op.reg, shuffled_words(c.z_sig, op.imm))
    return NEXT(c, op)


@inline
def mmx_insert(c: Cpu, op: Op, mem: u32) -> i32:
    """PINSRW."""
    if mmx_not_now(c):
        return fault(c, op)
    word: u64 = c.regs[op.rm] & M16
    if mem:
        value = load(c, op.seg, ea(c, op), 2)
        if value < 0:
            return fault(c, op)
        word = value
    mmx_begins(c)
    at: u32 = 16 * (op.imm & 3)
    mask: u64 = M16
    kept: u64 = c.fpr_sig[op.reg] & ~(mask << at)
    set_mmx(c, op.reg, kept | word << at)
    return NEXT(c, op)


@inline
def mmx_extract(c: Cpu, op: Op) -> i32:
    """PEXTRW."""
    if mmx_not_now(c):
        return fault(c, op)
    mmx_begins(c)
    c.regs[op.reg] = (c.fpr_sig[op.rm] >> (16 * (op.imm & 3))) & M16
    return NEXT(c, op)


@inline
def mmx_signs(c: Cpu, op: Op) -> i32:
    """PMOVMSKB."""
    if mmx_not_now(c):
        return fault(c, op)
    mmx_begins(c)
    c.regs[op.reg] = sign_bits(c.fpr_sig[op.rm])
    return NEXT(c, op)


@inline
def mmx_masked_store(c: Cpu, op: Op) -> i32:
    """MASKMOVQ."""
    if mmx_not_now(c):
        return fault(c, op)
    c.v_low = c.fpr_sig[op.reg]
    if store_masked(c, op, 8, c.fpr_sig[op.rm], 0) < 0:
        return fault(c, op)
    mmx_begins(c)
    return NEXT(c, op)

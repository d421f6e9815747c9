"""MMX and XMM registers, their operands in memory, and when they may be used at all.

SDM vol. 1, 9.2, 10.2 and 11.4; vol. 2, "Exceptions" of each instruction; vol. 3, ch. 12 and 13.

MM0 to MM7 are the significands of the x87's *physical* registers. Any MMX instruction but EMMS puts
TOP to 0 and calls all eight in use, and a register that is written looks like a NaN to the x87: its
sign and exponent become ones. So `pxor mm0, mm0` leaves R0 = FFFF 0000000000000000.

An operand of 16 bytes has to be aligned (#GP(0), whatever alignment checking says), but for those
of MOVUPS and its like. It is moved as one or not at all.
"""

from __future__ import annotations

from bt.interp.dialect import M32, func, i32, i64, inline, ld32, st32, u32, u64
from bt.interp.memory import (
    ea,
    host_of,
    load,
    misaligned,
    raise_error,
    raise_plain,
    segment_allows,
    store,
    user_access,
)
from bt.interp.paging import translate
from bt.interp.physical import read_place, refuse_traced, write_place
from bt.interp.softfloat import FX_ES
from bt.interp.state import (
    ACC_WRITE,
    CR0_EM,
    CR0_NE,
    CR0_TS,
    CR4_OSFXSR,
    EDI,
    VEC_GP,
    VEC_MF,
    VEC_NM,
    VEC_UD,
    Cpu,
    Op,
)
from bt.interp.x87_memory import can_write, load64

MMX_EXPONENT = 0xFFFF

# --- may it run? ------------------------------------------------------------------------


@func
def mmx_refused(c: Cpu) -> u32:
    if c.cr0 & CR0_EM:
        raise_plain(c, VEC_UD)
        return 1
    if c.cr0 & CR0_TS:
        raise_plain(c, VEC_NM)
        return 1
    if c.cr0 & CR0_NE:
        raise_plain(c, VEC_MF)
        return 1
    return 0  # pending, and told to the PC by FERR#: waiting instructions go on (x87.py)


@inline
def mmx_not_now(c: Cpu) -> u32:
    """1: an MMX instruction cannot run, #UD, #NM or #MF is noted."""
    if c.cr0 & (CR0_EM | CR0_TS) or c.fpu_sw & FX_ES:
        return mmx_refused(c)
    return 0


@func
def sse_refused(c: Cpu) -> u32:
    if c.cr0 & CR0_EM or c.cr4 & CR4_OSFXSR == 0:
        raise_plain(c, VEC_UD)
    else:
        raise_plain(c, VEC_NM)
    return 1


@inline
def sse_not_now(c: Cpu) -> u32:
    """1: an instruction on XMM registers cannot run, #UD or #NM is noted."""
    if c.cr0 & (CR0_EM | CR0_TS) or c.cr4 & CR4_OSFXSR == 0:
        return sse_refused(c)
    return 0


# --- MMX registers ----------------------------------------------------------------------


@inline
def mmx_begins(c: Cpu) -> i32:
    """What every MMX instruction but EMMS does to the x87 unit."""
    c.fpu_top = 0
    c.fpu_tag = 0xFF
    return 0


@inline
def set_mmx(c: Cpu, i: u32, value: u64) -> i32:
    c.fpr_sig[i] = value
    c.fpr_se[i] = MMX_EXPONENT
    return 0


@inline
def mmx_source(c: Cpu, op: Op, mem: u32) -> i64:
    """An operand of 8 bytes, register or memory, into c.z_sig; -1: faulted."""
    if mem:
        return load64(c, op.seg, ea(c, op))
    c.z_sig = c.fpr_sig[op.rm]
    return 0


# --- 16 bytes ---------------------------------------------------------------------------


@func
def vector_allowed(c: Cpu, seg: u32, offset: u32, write: u32, aligned: u32) -> i64:
    """Alignment and segment of an access to 16 bytes: 0, or -1 with the fault noted."""
    la: u32 = (offset + c.seg_base[seg]) & M32
    if aligned and la & 15:
        return raise_error(c, VEC_GP, 0)
    if segment_allows(c, seg, offset, 16, write) < 0:
        return -1
    return -1 if misaligned(c, la, 16) else 0


@func
def vector_places(c: Cpu, la: u32, access: u32) -> i64:
    """Look at all pages of 16 bytes: their places in c.v_place and c.v_place_2; -1: faulted."""
    head: u32 = 0x1000 - (la & 0xFFF)
    if head > 16:
        head = 16
    c.v_head = head
    place = translate(c, la, access, head)
    if place < 0:
        return -1
    c.v_place = place
    if head == 16:
        return 0
    place = translate(c, (la + head) & M32, access, 16 - head)
    if place < 0:
        return -1
    c.v_place_2 = place
    return 0


@inline
def vector_place(c: Cpu, i: u32) -> u64:
    """The place of byte i of those 16."""
    return c.v_place + i if i < c.v_head else c.v_place_2 + (i - c.v_head)


@func
def read_part(c: Cpu, i: u32) -> u64:
    """Bytes i to i+3."""
    if i + 4 <= c.v_head or i >= c.v_head:
        return read_place(c, vector_place(c, i), 4)
    value: u64 = 0
    for n in range(4):
        byte: u64 = read_place(c, vector_place(c, i + n), 1) & 0xFF
        value |= byte << (8 * n)
    return value


@func
def load128_slow(c: Cpu, seg: u32, offset: u32, aligned: u32) -> i64:
    if vector_allowed(c, seg, offset, 0, aligned) < 0:
        return -1
    if vector_places(c, (offset + c.seg_base[seg]) & M32, user_access(c)) < 0:
        return -1
    low: u64 = read_part(c, 0)
    low |= read_part(c, 4) << 32
    high: u64 = read_part(c, 8)
    c.v_high = high | read_part(c, 12) << 32
    c.v_low = low
    return 0


@inline
def load128(c: Cpu, seg: u32, offset: u32, aligned: u32) -> i64:
    """16 bytes into c.v_low and c.v_high; -1: faulted."""
    end: u64 = offset
    end += 16
    if end <= c.seg_rend[seg]:
        la: u32 = (offset + c.seg_base[seg]) & M32
        entry = c.tlb_r[la >> 12]
        if entry != 0 and (la & 15 == 0 or (aligned == 0 and la & 0xFFF <= 0xFF0)):
            host = host_of(entry, la)
            high: u64 = ld32(c, host + 4)
            c.v_low = high << 32 | ld32(c, host)
            high = ld32(c, host + 12)
            c.v_high = high << 32 | ld32(c, host + 8)
            return 0
    return load128_slow(c, seg, offset, aligned)


@func
def store128_slow(c: Cpu, seg: u32, offset: u32, aligned: u32, low: u64, high: u64) -> i64:
    if vector_allowed(c, seg, offset, 1, aligned) < 0:
        return -1
    if vector_places(c, (offset + c.seg_base[seg]) & M32, user_access(c) | ACC_WRITE) < 0:
        return -1
    head: u32 = c.v_head
    if refuse_traced(c, c.v_place, head) < 0:
        return -1
    if head < 16 and refuse_traced(c, c.v_place_2, 16 - head) < 0:
        return -1
    for i in range(4):
        part: u64 = (low if i < 2 else high) >> (32 * (i & 1))
        at: u32 = 4 * i
        if at + 4 <= head or at >= head:
            write_place(c, vector_place(c, at), 4, part & M32)
        else:
            for n in range(4):
                write_place(c, vector_place(c, at + n), 1, (part >> (8 * n)) & 0xFF)
    return 0


@inline
def store128(c: Cpu, seg: u32, offset: u32, aligned: u32, low: u64, high: u64) -> i64:
    """16 bytes or, -1, none of them."""
    end: u64 = offset
    end += 16
    if end <= c.seg_wend[seg]:
        la: u32 = (offset + c.seg_base[seg]) & M32
        entry = c.tlb_w[la >> 12]
        if entry != 0 and (la & 15 == 0 or (aligned == 0 and la & 0xFFF <= 0xFF0)):
            host = host_of(entry, la)
            st32(c, host, low & M32)
            st32(c, host + 4, low >> 32)
            st32(c, host + 8, high & M32)
            st32(c, host + 12, high >> 32)
            return 0
    return store128_slow(c, seg, offset, aligned, low, high)


# --- operands of XMM instructions -------------------------------------------------------


@inline
def load_low(c: Cpu, op: Op, size: u32) -> i64:
    """4 or 8 bytes of memory into c.v_low, c.v_high becomes 0; -1: faulted."""
    c.v_high = 0
    if size == 8:
        if load64(c, op.seg, ea(c, op)) < 0:
            return -1
        c.v_low = c.z_sig
        return 0
    value = load(c, op.seg, ea(c, op), 4)
    if value < 0:
        return -1
    c.v_low = value
    return 0


@inline
def xmm_source(c: Cpu, op: Op, size: u32, mem: u32) -> i64:
    """An operand of 4, 8 or 16 bytes into c.v_low and c.v_high; of a register all of it."""
    if mem:
        if size == 16:
            return load128(c, op.seg, ea(c, op), 1)
        return load_low(c, op, size)
    c.v_low = c.xmm[2 * op.rm]
    c.v_high = c.xmm[2 * op.rm + 1]
    return 0


@inline
def set_xmm(c: Cpu, i: u32, low: u64, high: u64) -> i32:
    c.xmm[2 * i] = low
    c.xmm[2 * i + 1] = high
    return 0


# --- stores by mask ---------------------------------------------------------------------


@func
def store_masked(c: Cpu, op: Op, count: u32, mask_low: u64, mask_high: u64) -> i64:
    """MASKMOVQ, MASKMOVDQU: of c.v_low and c.v_high the bytes whose mask has its top bit set, to
    DS:EDI or where an override says. All of them have to be writable. Alignment checking is of each
    half: hosts have no fault at an address that 8 divides.
    """
    at: u32 = c.regs[EDI] & op.amask
    if can_write(c, op.seg, at, count, 8) < 0:
        return -1
    for i in range(count):
        mask: u64 = (mask_low if i < 8 else mask_high) >> (8 * (i & 7))
        if mask & 0x80:
            byte: u64 = (c.v_low if i < 8 else c.v_high) >> (8 * (i & 7))
            if store(c, op.seg, (at + i) & M32, 1, byte & 0xFF) < 0:
                return -1
    return 0

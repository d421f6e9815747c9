"""x87 loads and stores: reals, integers, packed BCD (SDM vol. 1, 8.3.2 and 8.3.3; vol. 2).

A store computes first, then writes memory, then changes the x87 state: a page fault leaves all
as it was. Operands of more than 4 bytes are written in parts, so both pages are checked before.
"""

from __future__ import annotations

from bt.interp.dialect import (
    M16,
    M32,
    func,
    i32,
    i64,
    inline,
    ld32,
    st32,
    sx16,
    sx32,
    sx64,
    u32,
    u64,
)
from bt.interp.memory import (
    check_whole,
    ea,
    host_of,
    load,
    misaligned,
    segment_allows,
    store,
    user_access,
)
from bt.interp.paging import translate
from bt.interp.softfloat import (
    FX_C1,
    FX_IE,
    FX_OE,
    FX_PE,
    FX_SF,
    FX_UE,
    KIND_SNAN,
    SE_INDEFINITE,
    SIG_INDEFINITE,
    SIG_QUIET,
    f80_kind,
    rounding,
    set_z,
)
from bt.interp.softfloat_convert import (
    from_bcd,
    from_integer,
    narrow,
    to_bcd,
    to_integer,
    widen32,
    widen64,
)
from bt.interp.state import ACC_WRITE, Cpu, Op
from bt.interp.x87_stack import (
    X87_DONE,
    X87_FAULT,
    push_z,
    settle,
    st_empty,
    st_pop,
    st_se,
    st_sig,
)

FX_NO_STORE = FX_IE | FX_OE | FX_UE  # unmasked, these leave the memory operand alone


@func
def can_write(c: Cpu, seg: u32, offset: u32, size: u32, align: u32) -> i64:
    """Check a write that is done in parts: 0, or -1 with the fault noted."""
    if segment_allows(c, seg, offset, size, 1) < 0:
        return -1
    la: u32 = (offset + c.seg_base[seg]) & M32
    if misaligned(c, la, align):
        return -1
    access = user_access(c) | ACC_WRITE
    head: u32 = 0x1000 - (la & 0xFFF)
    if size <= head:
        return -1 if translate(c, la, access, size) < 0 else 0
    if translate(c, la, access, head) < 0:
        return -1
    return -1 if translate(c, (la + head) & M32, access, size - head) < 0 else 0


@func
def load64_slow(c: Cpu, seg: u32, offset: u32) -> i64:
    if check_whole(c, seg, offset, 8, 8) < 0:
        return -1
    low = load(c, seg, offset, 4)
    if low < 0:
        return -1
    high = load(c, seg, (offset + 4) & M32, 4)
    if high < 0:
        return -1
    wide: u64 = high
    c.z_sig = (wide << 32) | low
    return 0


@inline
def load64(c: Cpu, seg: u32, offset: u32) -> i64:
    """8 bytes into c.z_sig; -1: faulted."""
    end: u64 = offset
    end += 8
    if end <= c.seg_rend[seg]:
        la: u32 = (offset + c.seg_base[seg]) & M32
        entry = c.tlb_r[la >> 12]
        if entry != 0 and (la & 0xFFF) <= 0xFF8:
            host = host_of(entry, la)
            high: u64 = ld32(c, host + 4)
            c.z_sig = (high << 32) | ld32(c, host)
            return 0
    return load64_slow(c, seg, offset)


@func
def store64(c: Cpu, seg: u32, offset: u32, value: u64) -> i64:
    """8 bytes; the caller has checked with can_write() unless it is all of the operand."""
    if store(c, seg, offset, 4, value & M32) < 0:
        return -1
    return store(c, seg, (offset + 4) & M32, 4, value >> 32)


@inline
def put64(c: Cpu, seg: u32, offset: u32, value: u64) -> i64:
    """8 bytes or, -1, none of them."""
    end: u64 = offset
    end += 8
    if end <= c.seg_wend[seg]:
        la: u32 = (offset + c.seg_base[seg]) & M32
        entry = c.tlb_w[la >> 12]
        if entry != 0 and (la & 0xFFF) <= 0xFF8:
            host = host_of(entry, la)
            st32(c, host, value & M32)
            st32(c, host + 4, value >> 32)
            return 0
    if can_write(c, seg, offset, 8, 8) < 0:
        return -1
    return store64(c, seg, offset, value)


@func
def store80(c: Cpu, seg: u32, offset: u32, se: u32, sig: u64) -> i64:
    if store64(c, seg, offset, sig) < 0:
        return -1
    return store(c, seg, (offset + 8) & M32, 2, se & M16)


# --- loads -----------------------------------------------------------------------------


@func
def load_operand(c: Cpu, op: Op, escape: u32) -> i64:
    """The memory operand of arithmetic into z: D8 m32, DA m32int, DC m64, DE m16int."""
    c.fx = 0
    if escape == 4:
        if load64(c, op.seg, ea(c, op)) < 0:
            return -1
        return widen64(c, c.z_sig >> 32, c.z_sig & M32)
    value = load(c, op.seg, ea(c, op), 2 if escape == 6 else 4)
    if value < 0:
        return -1
    if escape == 0:
        return widen32(c, value)
    if escape == 6:
        return from_integer(c, sx16(value))
    return from_integer(c, sx32(value))


@func
def fld_real(c: Cpu, op: Op, escape: u32) -> i32:
    """FLD m32 (escape 0) and m64 (4): an SNaN is invalid and becomes quiet."""
    if load_operand(c, op, escape) < 0:
        return X87_FAULT
    if f80_kind(c.z_se, c.z_sig) == KIND_SNAN:
        c.fx |= FX_IE
        c.z_sig |= SIG_QUIET
    return push_z(c)


@func
def load80(c: Cpu, op: Op) -> i64:
    """10 bytes into z; -1: faulted."""
    at: u32 = ea(c, op)
    c.fx = 0
    if check_whole(c, op.seg, at, 10, 8) < 0:
        return -1
    se = load(c, op.seg, (at + 8) & M32, 2)
    if load64(c, op.seg, at) < 0 or se < 0:
        return -1
    c.z_se = se
    return 0


@func
def fld80(c: Cpu, op: Op) -> i32:
    """FLD m80: the bytes as they are, no exception but for the stack's."""
    if load80(c, op) < 0:
        return X87_FAULT
    return push_z(c)


@func
def fild(c: Cpu, op: Op, escape: u32) -> i32:
    """FILD m16 (escape 6) and m32 (2)."""
    if load_operand(c, op, escape) < 0:
        return X87_FAULT
    return push_z(c)


@func
def fild64(c: Cpu, op: Op) -> i32:
    if load64(c, op.seg, ea(c, op)) < 0:
        return X87_FAULT
    c.fx = 0
    from_integer(c, sx64(c.z_sig))
    return push_z(c)


@func
def fbld(c: Cpu, op: Op) -> i32:
    if load80(c, op) < 0:
        return X87_FAULT
    from_bcd(c, c.z_se, c.z_sig)
    return push_z(c)


# --- stores ----------------------------------------------------------------------------


@func
def no_store(c: Cpu, op: Op, size: u32) -> i32:
    """An unmasked exception keeps a store from happening: only the flags are entered.

    Returns 0 to go on with the store, or how the instruction ended. The operand is checked first:
    a fault of the memory access comes before an exception of the x87 (SDM vol. 3, table 6-2).
    """
    if c.fx & ~c.fpu_cw & FX_NO_STORE == 0:
        return 0
    if can_write(c, op.seg, ea(c, op), size, 8 if size == 10 else size) < 0:
        return X87_FAULT
    c.fx &= ~(FX_PE | FX_C1)
    settle(c)
    return X87_DONE


@func
def store_end(c: Cpu, pops: u32) -> i32:
    settle(c)
    if pops:
        st_pop(c)
    return X87_DONE


@func
def fst_real(c: Cpu, op: Op, wide: u32, pops: u32) -> i32:
    """FST, FSTP m32 (wide 0) and m64 (1)."""
    c.fx = 0
    bits: u64 = 0
    se: u32 = st_se(c, 0)
    sig: u64 = st_sig(c, 0)
    if st_empty(c, 0):
        se = SE_INDEFINITE
        sig = SIG_INDEFINITE
    bits = narrow(c, se, sig, 53 if wide else 24, 0x7FF if wide else 0xFF)
    if st_empty(c, 0):
        c.fx = FX_IE | FX_SF
    kept = no_store(c, op, 8 if wide else 4)
    if kept != 0:
        return kept
    at: u32 = ea(c, op)
    if wide:
        if put64(c, op.seg, at, bits) < 0:
            return X87_FAULT
    elif store(c, op.seg, at, 4, bits & M32) < 0:
        return X87_FAULT
    return store_end(c, pops)


@func
def fstp80(c: Cpu, op: Op) -> i32:
    """FSTP m80: the bytes as they are."""
    c.fx = 0
    se: u32 = st_se(c, 0)
    sig: u64 = st_sig(c, 0)
    if st_empty(c, 0):
        c.fx = FX_IE | FX_SF
        se = SE_INDEFINITE
        sig = SIG_INDEFINITE
    kept = no_store(c, op, 10)
    if kept != 0:
        return kept
    at: u32 = ea(c, op)
    if can_write(c, op.seg, at, 10, 8) < 0 or store80(c, op.seg, at, se, sig) < 0:
        return X87_FAULT
    return store_end(c, 1)


@func
def fist(c: Cpu, op: Op, width: u32, pops: u32) -> i32:
    """FIST, FISTP m16, m32, m64."""
    c.fx = 0
    value: u64 = to_integer(c, st_se(c, 0), st_sig(c, 0), width, rounding(c))
    if st_empty(c, 0):
        c.fx = FX_IE | FX_SF
        value = 1
        value = value << (width - 1)
    kept = no_store(c, op, width >> 3)
    if kept != 0:
        return kept
    at: u32 = ea(c, op)
    if width == 64:
        if put64(c, op.seg, at, value) < 0:
            return X87_FAULT
    elif store(c, op.seg, at, width >> 3, value & M32 if width == 32 else value & M16) < 0:
        return X87_FAULT
    return store_end(c, pops)


@func
def fbstp(c: Cpu, op: Op) -> i32:
    c.fx = 0
    to_bcd(c, st_se(c, 0), st_sig(c, 0))
    if st_empty(c, 0):
        c.fx = FX_IE | FX_SF
        set_z(c, SE_INDEFINITE, SIG_INDEFINITE)  # the packed indefinite has the same bytes
    kept = no_store(c, op, 10)
    if kept != 0:
        return kept
    at: u32 = ea(c, op)
    if can_write(c, op.seg, at, 10, 8) < 0 or store80(c, op.seg, at, c.z_se, c.z_sig) < 0:
        return X87_FAULT
    return store_end(c, 1)

"""Conversions of extended numbers: single, double, integers, packed BCD (SDM vol. 1, 4.2, 8.2).

Loads widen, which is exact: `widen32(c, bits)` leaves the number in c.z_se, c.z_sig and reports
DE for a denormal; an SNaN stays one (the instruction decides what that means). Stores narrow:
`narrow(c, ...)` returns the bits to store, c.fx says whether an unmasked exception forbids it.
"""

from __future__ import annotations

from bt.interp.dialect import M64, clz64, func, i32, i64, inline, u32, u64, udiv64, urem64, zx64
from bt.interp.softfloat import (
    EXP_BIAS,
    EXP_MASK,
    FX_C1,
    FX_DE,
    FX_IE,
    FX_OE,
    FX_PE,
    FX_UE,
    KIND_BAD,
    KIND_INF,
    KIND_QNAN,
    KIND_SNAN,
    KIND_ZERO,
    ROUND_DOWN,
    ROUND_NEAREST,
    ROUND_UP,
    SE_INDEFINITE,
    SIG_FRACTION,
    SIG_INDEFINITE,
    SIG_INT,
    SIG_QUIET,
    f80_exp,
    f80_kind,
    f80_normal,
    round_sig,
    rounding,
    set_z,
    shift_down,
    shift_out,
)
from bt.interp.state import Cpu

BCD_LIMIT = 1000000000000000000

# --- from the narrower formats ----------------------------------------------------------


@func
def widen(c: Cpu, sign: u32, exp: u32, fraction: u64, exp_top: u32) -> i32:
    """A single or double, its fraction moved up to bit 62, whose largest exponent is exp_top."""
    se: u32 = sign << 15
    if exp == exp_top:
        return set_z(c, se | EXP_MASK, SIG_INT | fraction)
    bias: u32 = exp_top >> 1
    if exp:
        return set_z(c, se | (exp + EXP_BIAS - bias), SIG_INT | fraction)
    if fraction == 0:
        return set_z(c, se, 0)
    c.fx |= FX_DE
    lead: u32 = clz64(fraction)
    return set_z(c, se | (EXP_BIAS + 1 - bias - lead), (fraction << lead) & M64)


@func
def widen32(c: Cpu, bits: u32) -> i32:
    fraction: u64 = bits & 0x7FFFFF
    return widen(c, bits >> 31, (bits >> 23) & 0xFF, fraction << 40, 0xFF)


@func
def widen64(c: Cpu, high: u32, low: u32) -> i32:
    fraction: u64 = high & 0xFFFFF
    fraction = (fraction << 32) | low
    return widen(c, high >> 31, (high >> 20) & 0x7FF, fraction << 11, 0x7FF)


@func
def from_magnitude(c: Cpu, sign: u32, magnitude: u64) -> i32:
    """An integer given by sign and magnitude: always exact."""
    se: u32 = sign << 15
    if magnitude == 0:
        return set_z(c, se, 0)
    lead: u32 = clz64(magnitude)
    return set_z(c, se | (EXP_BIAS + 63 - lead), (magnitude << lead) & M64)


@func
def from_integer(c: Cpu, value: i64) -> i32:
    if value < 0:
        return from_magnitude(c, 1, -zx64(value) & M64)
    return from_magnitude(c, 0, zx64(value))


@func
def from_bcd(c: Cpu, se: u32, digits: u64) -> i32:
    """Packed BCD: 16 digits in `digits`, two more in the low byte of se, the sign in bit 15."""
    value: u64 = ((se >> 4) & 0xF) * 10 + (se & 0xF)
    for i in range(16):
        value = value * 10 + ((digits >> (60 - 4 * i)) & 0xF)
    return from_magnitude(c, se >> 15, value & M64)


# --- to single and double --------------------------------------------------------------


@func
def narrow_overflow(c: Cpu, bits: u32, sign: u32, infinity: u64) -> u64:
    """Overflow of a store: infinity, or the largest number, just below it."""
    mode = rounding(c)
    c.fx |= FX_OE | FX_PE
    if mode == ROUND_NEAREST or (mode == ROUND_DOWN and sign) or (mode == ROUND_UP and not sign):
        c.fx |= FX_C1
        return infinity
    c.fx &= ~FX_C1
    return infinity - 1


@func
def narrow_tiny(c: Cpu, bits: u32, sign: u32, exp: i32, sig: u64) -> u64:
    """A store below the normal range: the significand denormalised, still 64 bits wide."""
    tiny: u32 = 1
    r: u64 = 0
    if exp == 0:
        r = round_sig(c, bits, sign, sig, 0)
        c.fx &= ~(FX_PE | FX_C1)
        tiny = 1 if r != 0 else 0
    count: u32 = 1 - exp
    r = round_sig(c, bits, sign, shift_down(sig, count), shift_out(sig, count))
    if tiny and (c.fx & FX_PE or c.fpu_cw & FX_UE == 0):
        c.fx |= FX_UE
    return r


@func
def narrow(c: Cpu, se: u32, sig: u64, bits: u32, exp_top: u32) -> u64:
    """The number as a single (bits 24, exp_top 0xFF) or a double (53, 0x7FF)."""
    sign: u32 = se >> 15
    field: u32 = bits - 1  # width of the stored fraction
    drop: u32 = 64 - bits
    top: u64 = exp_top
    infinity: u64 = top << field
    sign_bit: u64 = sign
    sign_bit = sign_bit << (31 if bits == 24 else 63)
    kind = f80_kind(se, sig)
    if kind == KIND_ZERO:
        return sign_bit
    if kind == KIND_INF:
        return sign_bit | infinity
    if kind == KIND_QNAN or kind == KIND_SNAN:
        if kind == KIND_SNAN:
            c.fx |= FX_IE
        return sign_bit | infinity | (((sig | SIG_QUIET) & SIG_FRACTION) >> drop)
    if kind == KIND_BAD:
        c.fx |= FX_IE
        sign_bit = 1
        return (sign_bit << (31 if bits == 24 else 63)) | infinity | (SIG_QUIET >> drop)
    last: i32 = exp_top
    exp: i32 = f80_exp(se, sig) - EXP_BIAS + (exp_top >> 1)
    r: u64 = f80_normal(sig)
    if exp <= 0:
        return sign_bit | (narrow_tiny(c, bits, sign, exp, r) >> drop)
    r = round_sig(c, bits, sign, r, 0)
    if r == 0:
        r = SIG_INT
        exp += 1
    if exp >= last:
        return sign_bit | narrow_overflow(c, bits, sign, infinity)
    biased: u64 = exp
    return sign_bit | (biased << field) | ((r & SIG_FRACTION) >> drop)


# --- to integers -----------------------------------------------------------------------


@func
def whole_magnitude(c: Cpu, se: u32, sig: u64, mode: u32) -> u64:
    """|x| rounded to an integer, for |x| < 2^64 finite; reports PE and C1. 2^64 comes out as 0."""
    if sig == 0:
        return 0
    count: i32 = EXP_BIAS + 63 - f80_exp(se, sig)
    a: u64 = f80_normal(sig)
    rest: u64 = shift_out(a, count)
    whole: u64 = shift_down(a, count)
    if rest == 0:
        return whole
    c.fx |= FX_PE
    up: u32 = 0
    if mode == ROUND_NEAREST:
        up = 1 if rest > SIG_INT or (rest == SIG_INT and whole & 1) else 0
    elif mode == ROUND_DOWN:
        up = se >> 15
    elif mode == ROUND_UP:
        up = 1 - (se >> 15)
    if up:
        c.fx |= FX_C1
        whole = (whole + 1) & M64
    return whole


@inline
def fits_u64(se: u32, sig: u64) -> u32:
    """Finite and below 2^64 in magnitude."""
    kind = f80_kind(se, sig)
    return 1 if kind < KIND_INF and se & EXP_MASK < EXP_BIAS + 64 else 0


@func
def to_integer(c: Cpu, se: u32, sig: u64, width: u32, mode: u32) -> u64:
    """The number as a two's complement integer of `width` bits; IE and the indefinite if not."""
    limit: u64 = 1
    limit = limit << (width - 1)
    sign: u32 = se >> 15
    if fits_u64(se, sig):
        whole = whole_magnitude(c, se, sig, mode)
        carried: u32 = 1 if whole == 0 and c.fx & FX_C1 else 0
        if not carried and (whole < limit or (whole == limit and sign)):
            return -whole & M64 if sign else whole
    c.fx = FX_IE
    return limit


@func
def to_bcd(c: Cpu, se: u32, sig: u64) -> i32:
    """The number as packed BCD in c.z_se (sign and two digits) and c.z_sig (16 digits)."""
    if fits_u64(se, sig):
        whole = whole_magnitude(c, se, sig, rounding(c))
        carried: u32 = 1 if whole == 0 and c.fx & FX_C1 else 0
        if not carried and whole < BCD_LIMIT:
            digits: u64 = 0
            for i in range(16):
                digits |= urem64(whole, 10) << (4 * i)
                whole = udiv64(whole, 10)
            upper: u32 = (urem64(whole, 10) | udiv64(whole, 10) << 4) & 0xFF
            return set_z(c, (se & 0x8000) | upper, digits)
    c.fx = FX_IE
    return set_z(c, SE_INDEFINITE, SIG_INDEFINITE)


@func
def f80_round_int(c: Cpu, se: u32, sig: u64) -> i32:
    """Round to an integer in extended format (FRNDINT): finite numbers only."""
    if sig == 0 or se & EXP_MASK >= EXP_BIAS + 63:
        return set_z(c, se, sig)
    return from_magnitude(c, se >> 15, whole_magnitude(c, se, sig, rounding(c)))

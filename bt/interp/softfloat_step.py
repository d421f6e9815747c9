"""FPREM, FPREM1, FSCALE, FXTRACT, FRNDINT on extended numbers (SDM vol. 1, 8.3.5; vol. 2).

A partial remainder shortens the dividend's exponent by at most 63 at a time. Example, FPREM of 10
by 4: the exponents differ by 1, so the quotient 10 / 4 = 2 is found at once, the remainder is 2,
and the low three bits of the quotient, 010, appear in C0, C3, C1.
"""

from __future__ import annotations

from bt.interp.dialect import M64, clz64, func, i32, inline, u32, u64
from bt.interp.softfloat import (
    EXP_BIAS,
    EXP_MASK,
    FX_C0,
    FX_C1,
    FX_C2,
    FX_C3,
    FX_DE,
    FX_ZE,
    KIND_BAD,
    KIND_DENORMAL,
    KIND_INF,
    KIND_ZERO,
    SIG_INT,
    f80_exp,
    f80_kind,
    f80_normal,
    round_pack,
    set_z,
    z_invalid,
    z_nan,
)
from bt.interp.softfloat_arith import SE_SIGN, divide_wide, is_nan_kind, note_denormals
from bt.interp.softfloat_convert import f80_round_int, from_integer
from bt.interp.state import Cpu

NO_QUOTIENT = 1  # in place of condition bits: C0 and C3 keep what they were

# --- remainders -------------------------------------------------------------------------


@inline
def quotient_bits(q: u64) -> u32:
    """Q2, Q1, Q0 in C0, C3, C1."""
    bits: u32 = FX_C0 if q & 4 else 0
    bits |= FX_C3 if q & 2 else 0
    return bits | (FX_C1 if q & 1 else 0)


@func
def pack_remainder(c: Cpu, sign: u32, exp: i32, rest: u64) -> i32:
    """A remainder, never inexact: rest * 2^(exp - bias - 63)."""
    if rest == 0:
        return set_z(c, sign << 15, 0)
    lead: u32 = clz64(rest)
    return round_pack(c, 64, sign, exp - lead, (rest << lead) & M64, 0)


@func
def partial_step(c: Cpu, sign: u32, a: u64, b: u64, b_exp: i32, gap: i32) -> u32:
    """One reduction of a dividend whose exponent is `gap` >= 64 larger; C2: not finished."""
    steps: i32 = (gap & 31) | 32
    divide_wide(c, a >> (64 - steps), (a << steps) & M64, b)
    pack_remainder(c, sign, b_exp + gap - steps, c.z_low)
    return FX_C2


@func
def remainder_finite(c: Cpu, a_se: u32, a_sig: u64, b_se: u32, b_sig: u64, nearest: u32) -> u32:
    """The remainder of finite non-zero numbers into z; condition bits."""
    a: u64 = f80_normal(a_sig)
    b: u64 = f80_normal(b_sig)
    b_exp = f80_exp(b_se, b_sig)
    gap: i32 = f80_exp(a_se, a_sig) - b_exp
    sign: u32 = a_se >> 15
    if gap >= 64:
        return partial_step(c, sign, a, b, b_exp, gap)
    if gap < -1 or (gap < 0 and not nearest):
        pack_remainder(c, sign, b_exp + gap, a)
        return 0
    if gap < 0:  # |a| < |b|: nearest multiple is 0 or b itself
        if a <= b:
            pack_remainder(c, sign, b_exp - 1, a)
            return 0
        pack_remainder(c, 1 - sign, b_exp - 1, (b - (a - b)) & M64)
        return quotient_bits(1)
    high: u64 = a >> (64 - gap) if gap else 0
    q: u64 = divide_wide(c, high, (a << gap) & M64, b)
    rest: u64 = c.z_low
    if nearest and (rest > b - rest or (rest == b - rest and q & 1)):
        rest = b - rest
        q += 1
        sign = 1 - sign
    pack_remainder(c, sign if rest else a_se >> 15, b_exp, rest)
    return quotient_bits(q)


@func
def f80_remainder(c: Cpu, a_se: u32, a_sig: u64, b_se: u32, b_sig: u64, nearest: u32) -> u32:
    """FPREM (quotient chopped) and FPREM1 (nearest): the condition bits, remainder in z."""
    a_kind = f80_kind(a_se, a_sig)
    b_kind = f80_kind(b_se, b_sig)
    if a_kind == KIND_BAD or b_kind == KIND_BAD:
        z_invalid(c)
        return NO_QUOTIENT
    if is_nan_kind(a_kind) or is_nan_kind(b_kind):
        z_nan(c, a_se, a_sig, b_se, b_sig)
        return NO_QUOTIENT
    if a_kind == KIND_INF or b_kind == KIND_ZERO:
        z_invalid(c)
        return NO_QUOTIENT
    note_denormals(c, a_kind, b_kind)
    if a_kind == KIND_ZERO or b_kind == KIND_INF:
        set_z(c, a_se, a_sig)
        if a_kind == KIND_DENORMAL:
            round_pack(c, 64, a_se >> 15, f80_exp(a_se, a_sig), f80_normal(a_sig), 0)
        return 0
    return remainder_finite(c, a_se, a_sig, b_se, b_sig, nearest)


# --- scale, extract, round -------------------------------------------------------------


@func
def scale_amount(se: u32, sig: u64) -> i32:
    """ST(1) chopped to an integer, beyond +-65536 just that: every exponent overflows there."""
    amount: i32 = 0
    exp: u32 = se & EXP_MASK
    if exp >= EXP_BIAS + 16:
        amount = 65536
    elif exp >= EXP_BIAS:
        amount = sig >> (EXP_BIAS + 63 - exp)
    return -amount if se & SE_SIGN else amount


@func
def scale_by_infinity(c: Cpu, a_se: u32, a_kind: u32, b_se: u32) -> i32:
    """x * 2^inf and x * 2^-inf; 0 * inf and inf * 0 are invalid."""
    sign: u32 = a_se & SE_SIGN
    if b_se & SE_SIGN:
        if a_kind == KIND_INF:
            return z_invalid(c)
        return set_z(c, sign, 0)
    if a_kind == KIND_ZERO:
        return z_invalid(c)
    return set_z(c, sign | EXP_MASK, SIG_INT)


@func
def f80_scale(c: Cpu, a_se: u32, a_sig: u64, b_se: u32, b_sig: u64) -> i32:
    """FSCALE: a * 2^trunc(b)."""
    a_kind = f80_kind(a_se, a_sig)
    b_kind = f80_kind(b_se, b_sig)
    if a_kind == KIND_BAD or b_kind == KIND_BAD:
        return z_invalid(c)
    if is_nan_kind(a_kind) or is_nan_kind(b_kind):
        return z_nan(c, a_se, a_sig, b_se, b_sig)
    note_denormals(c, a_kind, b_kind)
    if b_kind == KIND_INF:
        return scale_by_infinity(c, a_se, a_kind, b_se)
    if a_kind == KIND_INF or a_kind == KIND_ZERO:
        return set_z(c, a_se, a_sig)
    exp: i32 = f80_exp(a_se, a_sig) + scale_amount(b_se, b_sig)
    return round_pack(c, 64, a_se >> 15, exp, f80_normal(a_sig), 0)


@func
def f80_extract(c: Cpu, se: u32, sig: u64) -> i32:
    """FXTRACT: the exponent as a number in y, the significand in z."""
    kind = f80_kind(se, sig)
    if is_nan_kind(kind):
        z_nan(c, se, sig, se, sig)
        c.y_se = c.z_se
        c.y_sig = c.z_sig
        return 0
    if kind == KIND_BAD:
        z_invalid(c)
        c.y_se = c.z_se
        c.y_sig = c.z_sig
        return 0
    if kind == KIND_ZERO:
        c.fx |= FX_ZE
        c.y_se = SE_SIGN | EXP_MASK
        c.y_sig = SIG_INT
        return set_z(c, se, sig)
    if kind == KIND_INF:
        c.y_se = EXP_MASK
        c.y_sig = SIG_INT
        return set_z(c, se, sig)
    if kind == KIND_DENORMAL:
        c.fx |= FX_DE
    exponent: i32 = f80_exp(se, sig) - EXP_BIAS
    from_integer(c, exponent)
    c.y_se = c.z_se
    c.y_sig = c.z_sig
    return set_z(c, (se & SE_SIGN) | EXP_BIAS, f80_normal(sig))


@func
def f80_rndint(c: Cpu, se: u32, sig: u64) -> i32:
    """FRNDINT."""
    kind = f80_kind(se, sig)
    if is_nan_kind(kind):
        return z_nan(c, se, sig, se, sig)
    if kind == KIND_BAD:
        return z_invalid(c)
    if kind == KIND_DENORMAL:
        c.fx |= FX_DE
    if kind == KIND_INF:
        return set_z(c, se, sig)
    return f80_round_int(c, se, sig)

"""Conversions between singles, doubles and integers of 32 bits; estimates (SDM vol. 1, 11.4.1.6).

What does not fit an integer, NaNs too, is invalid and gives the "integer indefinite", 8000_0000h.
A denormal that becomes an integer is not reported as one.

RCPPS and RSQRTPS are estimates, whose error the manual bounds by 1.5 * 2^-12 of the result; what
processors give differs. Here it is right to 13 bits, and the same on every host: 1 / 3.0 gives
3EAAA800. Denormals count as zeros, tiny results become zeros, nothing is reported.
"""

from __future__ import annotations

from bt.interp.dialect import M32, M64, clz64, func, i32, i64, inline, u32, u64, udiv64, zx64
from bt.interp.softfloat import (
    FX_IE,
    FX_PE,
    KIND_INF,
    KIND_NORMAL,
    KIND_SNAN,
    KIND_ZERO,
    ROUND_CHOP,
    rounds_up,
    shift_down,
    shift_out,
)
from bt.interp.softfloat_arith import root64
from bt.interp.sse_float import (
    INDEFINITE32,
    exponent_bias,
    exponent_of,
    fraction_of,
    infinity_of,
    kind_of,
    nan_kind,
    normal_exponent,
    normal_significand,
    note_denormal_kinds,
    operand_daz,
    quiet_bit,
    sign_of,
    signed_zero,
    sse_pack,
    sse_rounding,
)
from bt.interp.state import Cpu

INTEGER_INDEFINITE = 0x80000000
REBIAS = 896  # from a single's exponent to a double's
ESTIMATE_ONE = 0x4000  # 1.0 as an estimate with 14 bits behind the point
ESTIMATE_HALF = 0x2000

# --- between the formats ----------------------------------------------------------------


@func
def single_to_double(c: Cpu, a: u64) -> u64:
    c.fx = 0
    a = operand_daz(c, 0, a)
    kind = kind_of(0, a)
    sign: u32 = sign_of(0, a)
    if nan_kind(kind):
        c.fx = FX_IE if kind == KIND_SNAN else 0
        return infinity_of(1, sign) | fraction_of(0, a) << 29 | quiet_bit(1)
    if kind == KIND_ZERO:
        return signed_zero(1, sign)
    if kind == KIND_INF:
        return infinity_of(1, sign)
    note_denormal_kinds(c, kind, kind)
    return sse_pack(c, 1, sign, normal_exponent(0, a) + REBIAS, normal_significand(0, a), 0)


@func
def double_to_single(c: Cpu, a: u64) -> u64:
    c.fx = 0
    a = operand_daz(c, 1, a)
    kind = kind_of(1, a)
    sign: u32 = sign_of(1, a)
    if nan_kind(kind):
        c.fx = FX_IE if kind == KIND_SNAN else 0
        return infinity_of(0, sign) | fraction_of(1, a) >> 29 | quiet_bit(0)
    if kind == KIND_ZERO:
        return signed_zero(0, sign)
    if kind == KIND_INF:
        return infinity_of(0, sign)
    note_denormal_kinds(c, kind, kind)
    return sse_pack(c, 0, sign, normal_exponent(1, a) - REBIAS, normal_significand(1, a), 0)


@func
def integer_to_float(c: Cpu, wide: u32, value: i64) -> u64:
    c.fx = 0
    if value == 0:
        return 0
    sign: u32 = 1 if value < 0 else 0
    magnitude: u64 = zx64(-value if sign else value)
    lead: u32 = clz64(magnitude)
    exp: i32 = exponent_bias(wide) + 63
    exp -= lead
    return sse_pack(c, wide, sign, exp, (magnitude << lead) & M64, 0)


@func
def float_to_integer(c: Cpu, wide: u32, a: u64, chops: u32) -> u32:
    c.fx = 0
    a = operand_daz(c, wide, a)
    kind = kind_of(wide, a)
    if kind == KIND_ZERO:
        return 0
    sign: u32 = sign_of(wide, a)
    exp: i32 = exponent_of(wide, a) - exponent_bias(wide)
    if kind < KIND_INF and exp < 32:
        count: i32 = exponent_bias(wide) + 63 - normal_exponent(wide, a)
        sig: u64 = normal_significand(wide, a)
        whole: u64 = shift_down(sig, count)
        rest: u64 = shift_out(sig, count)
        mode: u32 = ROUND_CHOP if chops else sse_rounding(c)
        odd: u32 = whole & 1
        whole += rounds_up(mode, sign, odd, rest)
        if whole < INTEGER_INDEFINITE or (whole == INTEGER_INDEFINITE and sign):
            if rest:
                c.fx = FX_PE
            return (-whole if sign else whole) & M32
    c.fx = FX_IE
    return INTEGER_INDEFINITE


# --- estimates --------------------------------------------------------------------------


@inline
def estimate(sign: u32, exp: i32, q: u64) -> u64:
    """q / 2^14, which is in (1/2, 1], times 2^(exp - 127)."""
    if q >= ESTIMATE_ONE:
        q = ESTIMATE_ONE >> 1
        exp += 1
    exp -= 1
    if exp <= 0:
        return signed_zero(0, sign)
    exponent: u64 = exp
    return signed_zero(0, sign) | exponent << 23 | (q - ESTIMATE_HALF) << 10


@func
def reciprocal(a: u64) -> u64:
    """RCPSS."""
    kind = kind_of(0, a)
    sign: u32 = sign_of(0, a)
    if nan_kind(kind):
        return a | quiet_bit(0)
    if kind == KIND_INF:
        return signed_zero(0, sign)
    if kind != KIND_NORMAL:
        return infinity_of(0, sign)
    m: u64 = fraction_of(0, a) | 0x800000
    q: u64 = udiv64(0x2000000000 + (m >> 1), m)
    return estimate(sign, 254 - exponent_of(0, a), q)


@func
def reciprocal_root(a: u64) -> u64:
    """RSQRTSS."""
    kind = kind_of(0, a)
    sign: u32 = sign_of(0, a)
    if nan_kind(kind):
        return a | quiet_bit(0)
    if kind != KIND_NORMAL and kind != KIND_INF:
        return infinity_of(0, sign)
    if sign:
        return INDEFINITE32
    if kind == KIND_INF:
        return 0
    m: u64 = fraction_of(0, a) | 0x800000
    exp: i32 = exponent_of(0, a) - 127
    if exp & 1:
        m = m << 1
        exp -= 1
    return estimate(0, 127 - (exp >> 1), root64(udiv64(0x8000000000000, m)))

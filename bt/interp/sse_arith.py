"""Add, subtract, multiply, divide, square root, minimum, maximum, comparison for SSE.

SDM vol. 1, 4.8.3 and 11.5.2; vol. 2 for each. Two normal numbers go straight to the arithmetic; all
else goes through a function that knows the special operands. See sse_float.py for what a number is;
c.fx is 0 when an operation begins.
"""

from __future__ import annotations

from bt.interp.dialect import (
    M32,
    M64,
    clz64,
    func,
    host_double,
    host_single,
    i32,
    inline,
    mulhi64,
    u32,
    u64,
)
from bt.interp.softfloat import (
    FX_IE,
    FX_ZE,
    KIND_INF,
    KIND_SNAN,
    KIND_ZERO,
    ROUND_DOWN,
    SIG_INT,
    shift_down,
    shift_out,
)
from bt.interp.softfloat_arith import divide_wide, half_and_sticky, root128
from bt.interp.sse_float import (
    exponent_bias,
    exponent_of,
    exponent_top,
    infinity_of,
    kind_of,
    nan_kind,
    normal_exponent,
    normal_significand,
    note_denormal_kinds,
    operand_daz,
    sign_of,
    signed_zero,
    sse_invalid,
    sse_nan,
    sse_pack,
    sse_rounding,
)
from bt.interp.state import Cpu

# Kinds of arithmetic: the opcode's byte
SSE_SQRT = 0x51
SSE_ADD = 0x58
SSE_MUL = 0x59
SSE_SUB = 0x5C
SSE_MIN = 0x5D
SSE_DIV = 0x5E
SSE_MAX = 0x5F

# How a compares with b
ORDER_LESS = 0
ORDER_EQUAL = 1
ORDER_GREATER = 2
ORDER_NONE = 3


@inline
def is_plain(wide: u32, a: u64) -> u32:
    """A normal number."""
    exponent = exponent_of(wide, a)
    return 1 if exponent != 0 and exponent != exponent_top(wide) else 0


# --- addition ---------------------------------------------------------------------------


@func
def sse_add_same(c: Cpu, wide: u32, sign: u32, exp: i32, a: u64, gap: u32, b: u64) -> u64:
    """Sum of two magnitudes, the first with the larger exponent, by `gap`."""
    low: u64 = shift_out(b, gap)
    total: u64 = (a + shift_down(b, gap)) & M64
    if total < a:
        low = (low >> 1) | (low & 1) | ((total << 63) & M64)
        total = (total >> 1) | SIG_INT
        exp += 1
    return sse_pack(c, wide, sign, exp, total, low)


@func
def sse_subtract_less(c: Cpu, wide: u32, sign: u32, exp: i32, a: u64, gap: u32, b: u64) -> u64:
    """Difference of two magnitudes, the first the larger."""
    low: u64 = -shift_out(b, gap) & M64
    rest: u64 = (a - shift_down(b, gap) - (1 if low else 0)) & M64
    if rest == 0:
        rest = low
        low = 0
        exp -= 64
    lead: u32 = clz64(rest)
    if lead:
        rest = ((rest << lead) & M64) | (low >> (64 - lead))
        low = (low << lead) & M64
        exp -= lead
    return sse_pack(c, wide, sign, exp, rest, low)


@func
def sse_add_finite(c: Cpu, wide: u32, a: u64, b: u64, flip: u32) -> u64:
    """a + b, or a - b with flip, of numbers that are neither zero nor infinite."""
    a_exp = normal_exponent(wide, a)
    b_exp = normal_exponent(wide, b)
    a_sig: u64 = normal_significand(wide, a)
    b_sig: u64 = normal_significand(wide, b)
    a_sign: u32 = sign_of(wide, a)
    b_sign: u32 = sign_of(wide, b) ^ flip
    if a_sign == b_sign:
        if a_exp >= b_exp:
            return sse_add_same(c, wide, a_sign, a_exp, a_sig, a_exp - b_exp, b_sig)
        return sse_add_same(c, wide, a_sign, b_exp, b_sig, b_exp - a_exp, a_sig)
    if a_exp > b_exp or (a_exp == b_exp and a_sig > b_sig):
        return sse_subtract_less(c, wide, a_sign, a_exp, a_sig, a_exp - b_exp, b_sig)
    if a_exp == b_exp and a_sig == b_sig:
        return signed_zero(wide, 1 if sse_rounding(c) == ROUND_DOWN else 0)
    return sse_subtract_less(c, wide, b_sign, b_exp, b_sig, b_exp - a_exp, a_sig)


@func
def sse_add_special(c: Cpu, wide: u32, a: u64, b: u64, flip: u32) -> u64:
    a = operand_daz(c, wide, a)
    b = operand_daz(c, wide, b)
    a_kind = kind_of(wide, a)
    b_kind = kind_of(wide, b)
    if nan_kind(a_kind) or nan_kind(b_kind):
        return sse_nan(c, wide, a, b)
    a_sign: u32 = sign_of(wide, a)
    b_sign: u32 = sign_of(wide, b) ^ flip
    if a_kind == KIND_INF and b_kind == KIND_INF and a_sign != b_sign:
        return sse_invalid(c, wide)
    note_denormal_kinds(c, a_kind, b_kind)
    if a_kind == KIND_INF:
        return a
    if b_kind == KIND_INF:
        return infinity_of(wide, b_sign)
    if a_kind == KIND_ZERO and b_kind == KIND_ZERO:
        if a_sign != b_sign:
            return signed_zero(wide, 1 if sse_rounding(c) == ROUND_DOWN else 0)
        return a
    if b_kind == KIND_ZERO:
        return sse_pack(c, wide, a_sign, normal_exponent(wide, a), normal_significand(wide, a), 0)
    if a_kind == KIND_ZERO:
        return sse_pack(c, wide, b_sign, normal_exponent(wide, b), normal_significand(wide, b), 0)
    return sse_add_finite(c, wide, a, b, flip)


# --- multiplication, division, square root ----------------------------------------------


@func
def sse_mul_finite(c: Cpu, wide: u32, a: u64, b: u64) -> u64:
    x: u64 = normal_significand(wide, a)
    y: u64 = normal_significand(wide, b)
    exp: i32 = normal_exponent(wide, a) + normal_exponent(wide, b) - (exponent_bias(wide) - 1)
    high: u64 = mulhi64(x, y)
    low: u64 = (x * y) & M64
    if high & SIG_INT == 0:
        high = (high << 1) | (low >> 63)
        low = (low << 1) & M64
        exp -= 1
    return sse_pack(c, wide, sign_of(wide, a) ^ sign_of(wide, b), exp, high, low)


@func
def sse_mul_special(c: Cpu, wide: u32, a: u64, b: u64) -> u64:
    a = operand_daz(c, wide, a)
    b = operand_daz(c, wide, b)
    a_kind = kind_of(wide, a)
    b_kind = kind_of(wide, b)
    sign: u32 = sign_of(wide, a) ^ sign_of(wide, b)
    if nan_kind(a_kind) or nan_kind(b_kind):
        return sse_nan(c, wide, a, b)
    if (a_kind == KIND_INF and b_kind == KIND_ZERO) or (a_kind == KIND_ZERO and b_kind == KIND_INF):
        return sse_invalid(c, wide)
    note_denormal_kinds(c, a_kind, b_kind)
    if a_kind == KIND_INF or b_kind == KIND_INF:
        return infinity_of(wide, sign)
    if a_kind == KIND_ZERO or b_kind == KIND_ZERO:
        return signed_zero(wide, sign)
    return sse_mul_finite(c, wide, a, b)


@func
def sse_div_finite(c: Cpu, wide: u32, a: u64, b: u64) -> u64:
    x: u64 = normal_significand(wide, a)
    y: u64 = normal_significand(wide, b)
    exp: i32 = normal_exponent(wide, a) - normal_exponent(wide, b) + exponent_bias(wide)
    q: u64 = 0
    if x >= y:
        q = divide_wide(c, x >> 1, (x << 63) & M64, y)
    else:
        q = divide_wide(c, x, 0, y)
        exp -= 1
    low: u64 = half_and_sticky(c.z_low, y)
    return sse_pack(c, wide, sign_of(wide, a) ^ sign_of(wide, b), exp, q, low)


@func
def sse_div_special(c: Cpu, wide: u32, a: u64, b: u64) -> u64:
    a = operand_daz(c, wide, a)
    b = operand_daz(c, wide, b)
    a_kind = kind_of(wide, a)
    b_kind = kind_of(wide, b)
    sign: u32 = sign_of(wide, a) ^ sign_of(wide, b)
    if nan_kind(a_kind) or nan_kind(b_kind):
        return sse_nan(c, wide, a, b)
    if a_kind == b_kind and (a_kind == KIND_INF or a_kind == KIND_ZERO):
        return sse_invalid(c, wide)
    if b_kind == KIND_ZERO and a_kind != KIND_INF:
        c.fx = FX_ZE
        return infinity_of(wide, sign)
    note_denormal_kinds(c, a_kind, b_kind)
    if a_kind == KIND_INF:
        return infinity_of(wide, sign)
    if a_kind == KIND_ZERO or b_kind == KIND_INF:
        return signed_zero(wide, sign)
    return sse_div_finite(c, wide, a, b)


@func
def sse_root(c: Cpu, wide: u32, a: u64) -> u64:
    a = operand_daz(c, wide, a)
    kind = kind_of(wide, a)
    if nan_kind(kind):
        return sse_nan(c, wide, a, a)
    if kind == KIND_ZERO:
        return a
    if sign_of(wide, a):
        return sse_invalid(c, wide)
    if kind == KIND_INF:
        return a
    note_denormal_kinds(c, kind, kind)
    exp: i32 = normal_exponent(wide, a) - exponent_bias(wide)
    x: u64 = normal_significand(wide, a)
    high: u64 = x
    low: u64 = 0
    if exp & 1 == 0:
        high = x >> 1
        low = (x << 63) & M64
    root: u64 = root128(high, low)
    square_low: u64 = (root * root) & M64
    rest_low: u64 = (low - square_low) & M64
    rest_high: u64 = high - mulhi64(root, root) - (1 if low < square_low else 0)
    fraction: u64 = 1 if rest_low else 0
    if rest_high or rest_low > root:
        fraction = SIG_INT | 1
    return sse_pack(c, wide, 0, (exp >> 1) + exponent_bias(wide), root, fraction)


# --- comparison -------------------------------------------------------------------------


@func
def sse_order(c: Cpu, wide: u32, a: u64, b: u64, quiet: u32) -> u32:
    """ORDER_* of a and b. quiet: of NaNs only an SNaN is invalid."""
    a = operand_daz(c, wide, a)
    b = operand_daz(c, wide, b)
    a_kind = kind_of(wide, a)
    b_kind = kind_of(wide, b)
    if nan_kind(a_kind) or nan_kind(b_kind):
        if a_kind == KIND_SNAN or b_kind == KIND_SNAN or not quiet:
            c.fx |= FX_IE
        return ORDER_NONE
    note_denormal_kinds(c, a_kind, b_kind)
    if a == b or (a_kind == KIND_ZERO and b_kind == KIND_ZERO):
        return ORDER_EQUAL
    a_sign: u32 = sign_of(wide, a)
    if a_sign != sign_of(wide, b):
        return ORDER_LESS if a_sign else ORDER_GREATER
    if a < b:
        return ORDER_GREATER if a_sign else ORDER_LESS
    return ORDER_LESS if a_sign else ORDER_GREATER


@func
def sse_least(c: Cpu, wide: u32, a: u64, b: u64, most: u32) -> u64:
    """MIN, and MAX with `most`: b unless a is less; b if one is a NaN, or both are zeros."""
    wanted: u32 = ORDER_GREATER if most else ORDER_LESS
    return operand_daz(c, wide, a if sse_order(c, wide, a, b, 0) == wanted else b)


@inline
def order_holds(order: u32, predicate: u32) -> u32:
    """CMPPS' predicates: EQ LT LE UNORD, and from 4 on their opposites."""
    holds: u32 = 1 if order == ORDER_NONE else 0
    which: u32 = predicate & 3
    if which == 0:
        holds = 1 if order == ORDER_EQUAL else 0
    elif which == 1:
        holds = 1 if order == ORDER_LESS else 0
    elif which == 2:
        holds = 1 if order <= ORDER_EQUAL else 0
    return holds ^ 1 if predicate & 4 else holds


@inline
def loud_predicate(predicate: u32) -> u32:
    """LT, LE and their opposites call any NaN invalid."""
    which: u32 = predicate & 3
    return 1 if which == 1 or which == 2 else 0


# --- all of them ------------------------------------------------------------------------

FAST_BITS = 0x7020  # of MXCSR: rounding to nearest, and PE masked and
FAST_WHEN = 0x1020  # set already: so nobody asks whether a result is exact


@inline
def sse_fast(c: Cpu, kind: u32, wide: u32, a: u64, b: u64) -> u64:
    """What the host makes of two normal numbers; 0: it is not for the host to say.

    It rounds as the manual wants, IEEE 754 leaves no choice, and a normal result of normal numbers
    has no exception but PE. The smallest ones are left out, which may have been tiny before.
    """
    result: u64 = 0
    if wide:
        result = host_double(kind, a, b)
    else:
        result = host_single(kind, a & M32, b & M32)
    exponent = exponent_of(wide, result)
    return result if exponent > 1 and exponent != exponent_top(wide) else 0


@inline
def sse_compute(c: Cpu, kind: u32, wide: u32, a: u64, b: u64) -> u64:
    """One element; c.fx says what there is to report of it."""
    c.fx = 0
    if kind == SSE_SQRT:
        return sse_root(c, wide, b)
    if kind == SSE_MIN:
        return sse_least(c, wide, a, b, 0)
    if kind == SSE_MAX:
        return sse_least(c, wide, a, b, 1)
    plain: u32 = is_plain(wide, a) & is_plain(wide, b)
    if plain and c.mxcsr & FAST_BITS == FAST_WHEN:
        result: u64 = sse_fast(c, kind, wide, a, b)
        if result:
            return result
    if kind == SSE_ADD or kind == SSE_SUB:
        flip: u32 = 1 if kind == SSE_SUB else 0
        if plain:
            return sse_add_finite(c, wide, a, b, flip)
        return sse_add_special(c, wide, a, b, flip)
    if kind == SSE_MUL:
        return sse_mul_finite(c, wide, a, b) if plain else sse_mul_special(c, wide, a, b)
    return sse_div_finite(c, wide, a, b) if plain else sse_div_special(c, wide, a, b)

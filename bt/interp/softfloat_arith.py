"""FADD, FSUB, FMUL, FDIV, FSQRT and comparison of extended numbers (SDM vol. 1, 8.3.5 to 8.3.7).

Every operation has the same shape: two ordinary numbers go straight to the arithmetic; anything
else goes to a function of its own that knows the tables of special operands. c.fx is zero, or
holds DE, when an operation begins (a memory operand may already have been denormal).

Worked example, 1.0 / 3.0 in single precision: the significands give q = 0xAAAAAAAAAAAAAAAA and a
remainder that makes `low` non-zero, exponent 0x3FFD; round_pack keeps 24 bits, 0xAAAAAB0000000000,
and reports PE and C1 (rounded up).
"""

from __future__ import annotations

from bt.interp.dialect import M32, M64, clz64, func, i32, inline, mulhi64, u32, u64, udiv64
from bt.interp.softfloat import (
    EXP_BIAS,
    EXP_MASK,
    FX_C0,
    FX_C2,
    FX_C3,
    FX_DE,
    FX_IE,
    FX_ZE,
    KIND_BAD,
    KIND_DENORMAL,
    KIND_INF,
    KIND_QNAN,
    KIND_SNAN,
    KIND_ZERO,
    ROUND_DOWN,
    SIG_INT,
    f80_exp,
    f80_kind,
    f80_normal,
    precision,
    round_pack,
    rounding,
    set_z,
    shift_down,
    shift_out,
    z_invalid,
    z_nan,
)
from bt.interp.state import Cpu

SE_SIGN = 0x8000
TWO32 = 0x100000000


@inline
def is_ordinary(se: u32, sig: u64) -> u32:
    """A normal number: the operands nearly all arithmetic sees."""
    exp: u32 = se & EXP_MASK
    return 1 if exp != 0 and exp != EXP_MASK and sig & SIG_INT else 0


@inline
def is_nan_kind(kind: u32) -> u32:
    return 1 if kind == KIND_QNAN or kind == KIND_SNAN else 0


@func
def note_denormals(c: Cpu, a_kind: u32, b_kind: u32) -> i32:
    if a_kind == KIND_DENORMAL or b_kind == KIND_DENORMAL:
        c.fx |= FX_DE
    return 0


# --- addition --------------------------------------------------------------------------


@func
def add_same(c: Cpu, sign: u32, a_exp: i32, a_sig: u64, b_exp: i32, b_sig: u64) -> i32:
    """Sum of two magnitudes, the first with the larger exponent."""
    count: u32 = a_exp - b_exp
    low: u64 = shift_out(b_sig, count)
    total: u64 = (a_sig + shift_down(b_sig, count)) & M64
    if total < a_sig:
        low = (low >> 1) | (low & 1) | ((total << 63) & M64)
        total = (total >> 1) | SIG_INT
        a_exp += 1
    return round_pack(c, precision(c), sign, a_exp, total, low)


@func
def subtract_less(c: Cpu, sign: u32, a_exp: i32, a_sig: u64, b_exp: i32, b_sig: u64) -> i32:
    """Difference of two magnitudes, the first the larger."""
    count: u32 = a_exp - b_exp
    low: u64 = -shift_out(b_sig, count) & M64
    rest: u64 = (a_sig - shift_down(b_sig, count) - (1 if low else 0)) & M64
    if rest == 0:
        rest = low
        low = 0
        a_exp -= 64
    lead: u32 = clz64(rest)
    if lead:
        rest = ((rest << lead) & M64) | (low >> (64 - lead))
        low = (low << lead) & M64
        a_exp -= lead
    return round_pack(c, precision(c), sign, a_exp, rest, low)


@func
def add_finite(c: Cpu, a_se: u32, a_sig: u64, b_se: u32, b_sig: u64) -> i32:
    """a + b for finite non-zero numbers."""
    a_exp = f80_exp(a_se, a_sig)
    b_exp = f80_exp(b_se, b_sig)
    a: u64 = f80_normal(a_sig)
    b: u64 = f80_normal(b_sig)
    a_sign: u32 = a_se >> 15
    b_sign: u32 = b_se >> 15
    if a_sign == b_sign:
        if a_exp >= b_exp:
            return add_same(c, a_sign, a_exp, a, b_exp, b)
        return add_same(c, a_sign, b_exp, b, a_exp, a)
    if a_exp > b_exp or (a_exp == b_exp and a > b):
        return subtract_less(c, a_sign, a_exp, a, b_exp, b)
    if a_exp == b_exp and a == b:
        return set_z(c, SE_SIGN if rounding(c) == ROUND_DOWN else 0, 0)
    return subtract_less(c, b_sign, b_exp, b, a_exp, a)


@func
def add_special(c: Cpu, a_se: u32, a_sig: u64, b_se: u32, b_sig: u64, flip: u32) -> i32:
    """a + b, or a - b when flip is the sign bit, with an operand that is not ordinary."""
    a_kind = f80_kind(a_se, a_sig)
    b_kind = f80_kind(b_se, b_sig)
    if a_kind == KIND_BAD or b_kind == KIND_BAD:
        return z_invalid(c)
    if is_nan_kind(a_kind) or is_nan_kind(b_kind):
        return z_nan(c, a_se, a_sig, b_se, b_sig)
    b_se = b_se ^ flip
    if a_kind == KIND_INF and b_kind == KIND_INF and a_se != b_se:
        return z_invalid(c)
    note_denormals(c, a_kind, b_kind)
    if a_kind == KIND_INF:
        return set_z(c, a_se, a_sig)
    if b_kind == KIND_INF:
        return set_z(c, b_se, b_sig)
    if a_kind == KIND_ZERO and b_kind == KIND_ZERO:
        if a_se != b_se:
            return set_z(c, SE_SIGN if rounding(c) == ROUND_DOWN else 0, 0)
        return set_z(c, a_se, 0)
    if a_kind == KIND_ZERO:
        return round_pack(c, precision(c), b_se >> 15, f80_exp(b_se, b_sig), f80_normal(b_sig), 0)
    if b_kind == KIND_ZERO:
        return round_pack(c, precision(c), a_se >> 15, f80_exp(a_se, a_sig), f80_normal(a_sig), 0)
    return add_finite(c, a_se, a_sig, b_se, b_sig)


@inline
def f80_add(c: Cpu, a_se: u32, a_sig: u64, b_se: u32, b_sig: u64) -> i32:
    if is_ordinary(a_se, a_sig) and is_ordinary(b_se, b_sig):
        return add_finite(c, a_se, a_sig, b_se, b_sig)
    return add_special(c, a_se, a_sig, b_se, b_sig, 0)


@inline
def f80_sub(c: Cpu, a_se: u32, a_sig: u64, b_se: u32, b_sig: u64) -> i32:
    if is_ordinary(a_se, a_sig) and is_ordinary(b_se, b_sig):
        return add_finite(c, a_se, a_sig, b_se ^ SE_SIGN, b_sig)
    return add_special(c, a_se, a_sig, b_se, b_sig, SE_SIGN)


# --- multiplication --------------------------------------------------------------------


@func
def mul_finite(c: Cpu, a_se: u32, a_sig: u64, b_se: u32, b_sig: u64) -> i32:
    a: u64 = f80_normal(a_sig)
    b: u64 = f80_normal(b_sig)
    exp: i32 = f80_exp(a_se, a_sig) + f80_exp(b_se, b_sig) - (EXP_BIAS - 1)
    high: u64 = mulhi64(a, b)
    low: u64 = (a * b) & M64
    if high & SIG_INT == 0:
        high = (high << 1) | (low >> 63)
        low = (low << 1) & M64
        exp -= 1
    return round_pack(c, precision(c), (a_se ^ b_se) >> 15, exp, high, low)


@func
def mul_special(c: Cpu, a_se: u32, a_sig: u64, b_se: u32, b_sig: u64) -> i32:
    a_kind = f80_kind(a_se, a_sig)
    b_kind = f80_kind(b_se, b_sig)
    sign: u32 = (a_se ^ b_se) & SE_SIGN
    if a_kind == KIND_BAD or b_kind == KIND_BAD:
        return z_invalid(c)
    if is_nan_kind(a_kind) or is_nan_kind(b_kind):
        return z_nan(c, a_se, a_sig, b_se, b_sig)
    if (a_kind == KIND_INF and b_kind == KIND_ZERO) or (a_kind == KIND_ZERO and b_kind == KIND_INF):
        return z_invalid(c)
    note_denormals(c, a_kind, b_kind)
    if a_kind == KIND_INF or b_kind == KIND_INF:
        return set_z(c, sign | EXP_MASK, SIG_INT)
    if a_kind == KIND_ZERO or b_kind == KIND_ZERO:
        return set_z(c, sign, 0)
    return mul_finite(c, a_se, a_sig, b_se, b_sig)


@inline
def f80_mul(c: Cpu, a_se: u32, a_sig: u64, b_se: u32, b_sig: u64) -> i32:
    if is_ordinary(a_se, a_sig) and is_ordinary(b_se, b_sig):
        return mul_finite(c, a_se, a_sig, b_se, b_sig)
    return mul_special(c, a_se, a_sig, b_se, b_sig)


# --- division --------------------------------------------------------------------------


@func
def divide_digit(high: u64, digit: u64, d: u64) -> u64:
    """floor((high * 2^32 + digit) / d) for d with its top bit set, high < d, digit < 2^32."""
    d_high: u64 = d >> 32
    d_low: u64 = d & M32
    q: u64 = udiv64(high, d_high)
    r: u64 = high - q * d_high
    while q >= TWO32 or q * d_low > ((r << 32) | digit):
        q -= 1
        r += d_high
        if r >= TWO32:
            break
    return q


@func
def divide_wide(c: Cpu, high: u64, low: u64, d: u64) -> u64:
    """Quotient of a 128-bit number by a normalised 64-bit one, high < d; remainder in c.z_low."""
    q1 = divide_digit(high, low >> 32, d)
    middle: u64 = ((high << 32) + (low >> 32) - q1 * d) & M64
    q0 = divide_digit(middle, low & M32, d)
    c.z_low = ((middle << 32) + (low & M32) - q0 * d) & M64
    return (q1 << 32) | q0


@inline
def half_and_sticky(rest: u64, whole: u64) -> u64:
    """rest / whole (below 1) as a `low`: only how it compares with a half matters."""
    if rest == 0:
        return 0
    other: u64 = whole - rest
    if rest > other:
        return SIG_INT | 1
    return SIG_INT if rest == other else 1


@func
def div_finite(c: Cpu, a_se: u32, a_sig: u64, b_se: u32, b_sig: u64) -> i32:
    a: u64 = f80_normal(a_sig)
    b: u64 = f80_normal(b_sig)
    exp: i32 = f80_exp(a_se, a_sig) - f80_exp(b_se, b_sig) + EXP_BIAS
    q: u64 = 0
    if a >= b:
        q = divide_wide(c, a >> 1, (a << 63) & M64, b)
    else:
        q = divide_wide(c, a, 0, b)
        exp -= 1
    low: u64 = half_and_sticky(c.z_low, b)
    return round_pack(c, precision(c), (a_se ^ b_se) >> 15, exp, q, low)


@func
def div_special(c: Cpu, a_se: u32, a_sig: u64, b_se: u32, b_sig: u64) -> i32:
    a_kind = f80_kind(a_se, a_sig)
    b_kind = f80_kind(b_se, b_sig)
    sign: u32 = (a_se ^ b_se) & SE_SIGN
    if a_kind == KIND_BAD or b_kind == KIND_BAD:
        return z_invalid(c)
    if is_nan_kind(a_kind) or is_nan_kind(b_kind):
        return z_nan(c, a_se, a_sig, b_se, b_sig)
    if a_kind == b_kind and (a_kind == KIND_INF or a_kind == KIND_ZERO):
        return z_invalid(c)
    if b_kind == KIND_ZERO and a_kind != KIND_INF:
        c.fx = FX_ZE
        return set_z(c, sign | EXP_MASK, SIG_INT)
    note_denormals(c, a_kind, b_kind)
    if a_kind == KIND_INF:
        return set_z(c, sign | EXP_MASK, SIG_INT)
    if a_kind == KIND_ZERO or b_kind == KIND_INF:
        return set_z(c, sign, 0)
    return div_finite(c, a_se, a_sig, b_se, b_sig)


@inline
def f80_div(c: Cpu, a_se: u32, a_sig: u64, b_se: u32, b_sig: u64) -> i32:
    if is_ordinary(a_se, a_sig) and is_ordinary(b_se, b_sig):
        return div_finite(c, a_se, a_sig, b_se, b_sig)
    return div_special(c, a_se, a_sig, b_se, b_sig)


# --- square root -----------------------------------------------------------------------


@func
def root64(n: u64) -> u64:
    """floor(sqrt(n)), a bit at a time."""
    root: u64 = 0
    rest: u64 = n
    bit: u64 = 0x4000000000000000
    while bit:
        if rest >= root + bit:
            rest -= root + bit
            root = (root >> 1) + bit
        else:
            root = root >> 1
        bit = bit >> 2
    return root


@func
def root128(high: u64, low: u64) -> u64:
    """floor(sqrt(high * 2^64 + low)) for high >= 2^62 (Zimmermann's recursive square root).

    The upper half of the root comes from `high`; the rest of it divided by twice that gives the
    lower half, at most one too large.
    """
    upper = root64(high)
    rest: u64 = high - upper * upper
    lower: u64 = udiv64((rest << 31) | (low >> 33), upper)
    if lower >= TWO32:
        lower = M32
    root: u64 = (upper << 32) | lower
    square = mulhi64(root, root)
    if square > high or (square == high and ((root * root) & M64) > low):
        root -= 1
    return root


@func
def sqrt_finite(c: Cpu, se: u32, sig: u64) -> i32:
    """Square root of a positive number."""
    exp: i32 = f80_exp(se, sig) - EXP_BIAS
    a: u64 = f80_normal(sig)
    high: u64 = a
    low: u64 = 0
    if exp & 1 == 0:
        high = a >> 1
        low = (a << 63) & M64
    root = root128(high, low)
    square_low: u64 = (root * root) & M64
    rest_low: u64 = (low - square_low) & M64
    rest_high: u64 = high - mulhi64(root, root) - (1 if low < square_low else 0)
    fraction: u64 = 1 if rest_low else 0
    if rest_high or rest_low > root:  # (root + 1/2)^2 = root^2 + root + 1/4
        fraction = SIG_INT | 1
    return round_pack(c, precision(c), 0, (exp >> 1) + EXP_BIAS, root, fraction)


@func
def f80_sqrt(c: Cpu, se: u32, sig: u64) -> i32:
    kind = f80_kind(se, sig)
    if kind == KIND_QNAN or kind == KIND_SNAN:
        return z_nan(c, se, sig, se, sig)
    if kind == KIND_ZERO:
        return set_z(c, se, sig)
    if kind == KIND_BAD or se & SE_SIGN:
        return z_invalid(c)
    if kind == KIND_INF:
        return set_z(c, se, sig)
    if kind == KIND_DENORMAL:
        c.fx |= FX_DE
    return sqrt_finite(c, se, sig)


# --- comparison ------------------------------------------------------------------------


@func
def compare_magnitudes(a_se: u32, a_sig: u64, b_se: u32, b_sig: u64) -> i32:
    """-1, 0 or 1 as |a| is less than, equal to or greater than |b|; infinities included."""
    if a_sig == 0 or b_sig == 0:
        return (1 if a_sig else 0) - (1 if b_sig else 0)
    a_exp = f80_exp(a_se, a_sig)
    b_exp = f80_exp(b_se, b_sig)
    if a_exp != b_exp:
        return 1 if a_exp > b_exp else -1
    a: u64 = f80_normal(a_sig)
    b: u64 = f80_normal(b_sig)
    if a == b:
        return 0
    return 1 if a > b else -1


@func
def f80_compare(c: Cpu, a_se: u32, a_sig: u64, b_se: u32, b_sig: u64, quiet: u32) -> u32:
    """C3, C2, C0 of comparing a with b: 0 greater, C0 less, C3 equal, all three unordered.

    quiet: only an SNaN is invalid (FUCOM), else any NaN is (FCOM).
    """
    a_kind = f80_kind(a_se, a_sig)
    b_kind = f80_kind(b_se, b_sig)
    if a_kind == KIND_BAD or b_kind == KIND_BAD:
        c.fx = FX_IE
        return FX_C3 | FX_C2 | FX_C0
    if is_nan_kind(a_kind) or is_nan_kind(b_kind):
        loud: u32 = 1 if a_kind == KIND_SNAN or b_kind == KIND_SNAN or not quiet else 0
        c.fx = FX_IE if loud else 0
        return FX_C3 | FX_C2 | FX_C0
    note_denormals(c, a_kind, b_kind)
    order = compare_magnitudes(a_se, a_sig, b_se, b_sig)
    if a_sig == 0 and b_sig == 0:
        return FX_C3
    if (a_se ^ b_se) & SE_SIGN:
        order = 1
    if order == 0:
        return FX_C3
    if a_se & SE_SIGN:
        order = -order
    return 0 if order > 0 else FX_C0

"""The x87's transcendental functions in big-integer fixed point (SDM vol. 1, 8.3.7 to 8.3.10).

The one part of the unit that is plain Python in both builds: `evaluate` is called from the
compiled interpreter, with the operands of an ordinary case (finite, not zero where zero is
special) and returns the value to 128 bits, so that the caller can round it correctly. Processors
promise less: an error below one unit in the last place.

A number x is held as the integer x * 2^p. Example: for the sine of 0.5 no reduction is needed; the
Taylor series gives 0.479425538604203000... * 2^p with p = 178, and its upper 64 bits are
0xF57743A2582F7F43, exponent 0x3FFD.

Angles are reduced by the pi of the hardware, 0xC90FDAA22168C234C / 2^66: not by the real one. So
FSIN of the extended number nearest pi differs from mathematics, as on every processor since the
8087.
"""

from __future__ import annotations

from functools import lru_cache
from math import isqrt

Number = tuple[int, int]  # an integer and an exponent: m * 2^e
Unpacked = tuple[int, int, int, int]  # sign, biased exponent, significand, the 64 bits below it

BIAS = 16383
GUARD = 176  # bits worked out for a result of ordinary size
CONSTANT_BITS = 512
INFINITE = 100_000  # the exponent that stands for infinity: beyond any ratio that matters
PI_HARDWARE: Number = (0xC90FDAA22168C234C, -66)
TINY = -140  # below this exponent the first term of a series is all that 128 bits can show
NOTHING: Unpacked = (0, BIAS, 1 << 63, 0)

# Function numbers, as in x87_math.py
FN_2XM1, FN_YL2X, FN_YL2XP1, FN_TAN, FN_ATAN, FN_SIN, FN_COS, FN_SINCOS = range(8)


def number(se: int, sig: int) -> Number:
    """An extended number as a signed integer times a power of two."""
    exponent = max(se & 0x7FFF, 1) - BIAS - 63
    if se & 0x7FFF == 0x7FFF:
        exponent = INFINITE
    return (-sig if se & 0x8000 else sig), exponent


def unpack(m: int, e: int, exact: bool = False) -> Unpacked:
    """m * 2^e cut to 128 bits; the last one is sticky unless the value is exact."""
    sign, size = int(m < 0), abs(m)
    length = size.bit_length()
    shift = length - 128
    if shift > 0:
        lost = size & ((1 << shift) - 1) != 0
        size >>= shift
    else:
        lost = False
        size <<= -shift
    if lost or not exact:
        size |= 1
    return sign, e + length - 1 + BIAS, size >> 64, size & (1 << 64) - 1


def fixed(x: Number, p: int) -> int:
    """x * 2^p, rounded down."""
    m, e = x
    return m << (e + p) if e + p >= 0 else m >> -(e + p)


def exponent_of(x: Number) -> int:
    """floor(log2(|x|)) of a non-zero number."""
    return abs(x[0]).bit_length() - 1 + x[1]


# --- series ----------------------------------------------------------------------------


def exp_series(t: int, p: int) -> int:
    """e^t - 1 for a small t."""
    total, term, k = 0, 1 << p, 0
    while term:
        k += 1
        term = (term * t >> p) // k
        if term == -1:  # the floor of a negative number never reaches 0
            break
        total += term
    return total


def sine_series(t: int, p: int) -> int:
    square = t * t >> p
    total, term, k = 0, t, 1
    while term not in (0, -1):
        total += term
        term = -(term * square >> p) // ((k + 1) * (k + 2))
        k += 2
    return total


def cosine_series(t: int, p: int) -> int:
    square = t * t >> p
    total, term, k = 0, 1 << p, 0
    while term not in (0, -1):
        total += term
        term = -(term * square >> p) // ((k + 1) * (k + 2))
        k += 2
    return total


def atanh_series(t: int, p: int) -> int:
    square = t * t >> p
    total, term, k = 0, t, 1
    while term not in (0, -1):
        total += term // k
        term = term * square >> p
        k += 2
    return total


def atan_series(t: int, p: int) -> int:
    square = t * t >> p
    total, term, k = 0, t, 1
    while term not in (0, -1):
        total += term // k
        term = -(term * square >> p)
        k += 2
    return total


@lru_cache(maxsize=1)
def full_ln2() -> int:
    q = CONSTANT_BITS + 16
    return 2 * atanh_series((1 << q) // 3, q) >> 16


@lru_cache(maxsize=1)
def full_pi() -> int:
    q = CONSTANT_BITS + 16
    return 16 * atan_series((1 << q) // 5, q) - 4 * atan_series((1 << q) // 239, q) >> 16


def ln2(p: int) -> int:
    """ln 2 = 2 atanh(1/3)."""
    return full_ln2() >> CONSTANT_BITS - p


def pi(p: int) -> int:
    """The real pi, by Machin: pi = 16 atan(1/5) - 4 atan(1/239)."""
    return full_pi() >> CONSTANT_BITS - p


# --- 2^x - 1 ---------------------------------------------------------------------------


def two_to_x_minus_1(x: Number) -> Unpacked:
    """|x| <= 1. A 16th of x makes the series short; then e^2t - 1 = (e^t - 1)^2 + 2(e^t - 1)."""
    if abs(x[0]) == 1 << -x[1]:
        return unpack(1, 0, exact=True) if x[0] > 0 else unpack(-1, -1, exact=True)
    if exponent_of(x) < TINY:  # x ln 2
        return unpack(x[0] * ln2(GUARD), x[1] - GUARD)
    p = GUARD + max(0, -exponent_of(x))
    value = exp_series((fixed(x, p) * ln2(p) >> p) >> 4, p)
    for _ in range(4):
        value = (value * value >> p) + 2 * value
    return unpack(value, -p)


# --- logarithms ------------------------------------------------------------------------


def log2_near_1(numerator: int, denominator: int, p: int) -> int:
    """log2 of (denominator + numerator) / denominator by atanh, for a ratio in [1/2, 2]."""
    t = (numerator << p) // (2 * denominator + numerator)
    return (2 * atanh_series(t, p) << p) // ln2(p)


def times_log2(y: Number, m: int, e: int) -> Unpacked:
    """y * log2(m * 2^e), m > 0."""
    length = m.bit_length()
    whole = e + length - 1
    if m == 1 << length - 1:  # a power of two
        return unpack(y[0] * whole, y[1], exact=True)
    if m >> length - 2 == 3:  # above 1.5: measure from the power above, to keep near 1
        whole += 1
        one = 1 << length
    else:
        one = 1 << length - 1
    p = GUARD
    if whole == 0:
        p += one.bit_length() - abs(m - one).bit_length()
    log = (whole << p) + log2_near_1(m - one, one, p)
    return unpack(y[0] * log, y[1] - p)


def y_log2_x(y: Number, x: Number) -> Unpacked:
    return times_log2(y, *x)


def y_log2_x_plus_1(y: Number, x: Number) -> Unpacked:
    """x > -1. Where x + 1 would need thousands of bits, log2(1 + x) is x / ln 2."""
    m, e = x
    if exponent_of(x) < TINY:
        p = GUARD
        log = (m << 2 * p) // ln2(p)
        return unpack(y[0] * log, y[1] + e - p)
    if e >= 0:
        return times_log2(y, (m << e) + 1, 0)
    return times_log2(y, m + (1 << -e), e)


# --- sine, cosine, tangent -------------------------------------------------------------


def reduce_angle(x: Number) -> tuple[int, Number]:
    """Quadrant and the rest in [-pi/4, pi/4]: x = quadrant * pi/2 + rest, all exact."""
    half_pi, e = PI_HARDWARE[0], PI_HARDWARE[1] - 1
    if exponent_of(x) < -1:
        return 0, x
    low = min(x[1], e)
    angle, step = x[0] << x[1] - low, half_pi << e - low
    quadrant = (2 * angle + step) // (2 * step)
    return quadrant, (angle - quadrant * step, low)


def sine_of(rest: Number, quadrant: int) -> Number:
    """sin(quadrant * pi/2 + rest)."""
    if rest[0] == 0:
        return (0, 0) if quadrant % 2 == 0 else ((1, 0) if quadrant % 4 == 1 else (-1, 0))
    if exponent_of(rest) < TINY:  # x - x^3/6 and 1 - x^2/2: a little less than x and 1
        m, e = rest if quadrant % 2 == 0 else (1, 0)
        m = (m << GUARD) + (1 if m < 0 else -1)
        return (-m if quadrant % 4 >= 2 else m), e - GUARD
    p = GUARD - 2 * min(0, exponent_of(rest))
    t = fixed(rest, p)
    value = sine_series(t, p) if quadrant % 2 == 0 else cosine_series(t, p)
    return (-value if quadrant % 4 >= 2 else value), -p


def sine(x: Number) -> Unpacked:
    quadrant, rest = reduce_angle(x)
    return unpack(*sine_of(rest, quadrant))


def cosine(x: Number) -> Unpacked:
    quadrant, rest = reduce_angle(x)
    return unpack(*sine_of(rest, quadrant + 1))


def tangent(x: Number) -> Unpacked:
    quadrant, rest = reduce_angle(x)
    if exponent_of(rest) < TINY:  # x + x^3/3: a little more than x
        return unpack((x[0] << GUARD) + (1 if x[0] > 0 else -1), x[1] - GUARD)
    s, c = sine_of(rest, quadrant), sine_of(rest, quadrant + 1)
    return unpack((s[0] << 2 * GUARD) // c[0], s[1] - c[1] - 2 * GUARD)


# --- arc tangent -----------------------------------------------------------------------


def atan_of_ratio(y: int, x: int, p: int) -> int:
    """atan(y / x) for 0 <= y <= x. Twice the tangent of half an angle makes the series short."""
    t = (y << p) // x
    for _ in range(3):
        t = (t << p) // ((1 << p) + isqrt_fixed(t, p))
    return atan_series(t, p) << 3


def isqrt_fixed(t: int, p: int) -> int:
    """sqrt(1 + t^2)."""
    return isqrt((1 << 2 * p) + t * t)


def arc_tangent(sign: int, y: Number, x: Number) -> Unpacked:
    """atan2(y, x) with the given sign (that of y, which may be a zero)."""
    (my, ey), (mx, ex) = (abs(y[0]), y[1]), (abs(x[0]), x[1])
    gap = (my.bit_length() + ey) - (mx.bit_length() + ex) if my and mx else 0
    if my and x[0] > 0 and gap < TINY:  # atan(q) = q - q^3/3: q, a little less
        q = (my << 2 * GUARD) // mx - 1
        return unpack(sign * q, ey - ex - 2 * GUARD)
    p = GUARD
    if my == 0 or gap < TINY:
        return unpack(sign * pi(p), -p)
    if mx == 0 or gap > -TINY:
        return unpack(sign * pi(p), -p - 1)
    low = min(ey, ex)
    my, mx = my << ey - low, mx << ex - low
    p += max(0, -gap)
    angle = atan_of_ratio(my, mx, p) if my <= mx else (pi(p) >> 1) - atan_of_ratio(mx, my, p)
    if x[0] < 0:
        angle = pi(p) - angle
    return unpack(sign * angle, -p)


def evaluate(which: int, a_se: int, a_sig: int, b_se: int, b_sig: int) -> tuple[Unpacked, Unpacked]:
    """The function's value for a (and b); FN_SINCOS has two. Before rounding."""
    a, b = number(a_se, a_sig), number(b_se, b_sig)
    if which == FN_2XM1:
        return two_to_x_minus_1(a), NOTHING
    if which == FN_YL2X:
        return y_log2_x(a, b), NOTHING
    if which == FN_YL2XP1:
        return y_log2_x_plus_1(a, b), NOTHING
    if which == FN_TAN:
        return tangent(a), NOTHING
    if which == FN_ATAN:
        return arc_tangent(-1 if a_se & 0x8000 else 1, a, b), NOTHING
    if which == FN_SIN:
        return sine(a), NOTHING
    if which == FN_COS:
        return cosine(a), NOTHING
    return sine(a), cosine(a)

"""transcendental.py on its own: constants known to many digits, identities, exact cases."""

from __future__ import annotations

import random
from fractions import Fraction
from math import isqrt

import pytest

from bt.interp import transcendental as t

ONE = (0x3FFF, 1 << 63)
HALF = (0x3FFE, 1 << 63)
NONE = (0, 0)
EPSILON = Fraction(1, 1 << 124)


def value(unpacked: t.Unpacked) -> Fraction:
    sign, exp, sig, low = unpacked
    size = Fraction((sig << 64) | low) * Fraction(2) ** (exp - t.BIAS - 127)
    return -size if sign else size


def evaluate(which: int, a: tuple[int, int], b: tuple[int, int] = NONE) -> Fraction:
    return value(t.evaluate(which, *a, *b)[0])


def extended(rng: random.Random, low: int, high: int) -> tuple[int, int]:
    exp = 0x3FFF + rng.randrange(low, high)
    return exp | rng.choice((0, 0x8000)), rng.getrandbits(63) | 1 << 63


def close(a: Fraction, b: Fraction) -> bool:
    return abs(a - b) <= EPSILON * max(abs(a), abs(b))


PI_160 = Fraction(0x3243F6A8885A308D313198A2E03707344A409382, 1 << 156)  # hexadecimal digits of pi


def test_arc_tangent_of_one_is_a_quarter_of_pi() -> None:
    assert close(evaluate(t.FN_ATAN, ONE, ONE) * 4, PI_160)


def test_root_of_two() -> None:
    root = Fraction(isqrt(2 << 400), 1 << 200)
    assert close(evaluate(t.FN_2XM1, HALF) + 1, root)


def test_sine_of_a_half() -> None:
    """The worked example of the module; digits from the series with exact fractions."""
    term, total, k = Fraction(1, 2), Fraction(0), 1
    while abs(term) > Fraction(1, 1 << 140):
        total += term
        term = -term / (4 * (k + 1) * (k + 2))
        k += 2
    assert close(evaluate(t.FN_SIN, HALF), total)
    assert t.evaluate(t.FN_SIN, *HALF, *NONE)[0][1:3] == (0x3FFD, 0xF57743A2582F7F43)


@pytest.mark.parametrize("span", [(-60, 60), (-3, 3)])
def test_sine_cosine_tangent_agree(span: tuple[int, int]) -> None:
    rng = random.Random(1)
    for _ in range(50):
        x = extended(rng, *span)
        s, c = (value(v) for v in t.evaluate(t.FN_SINCOS, *x, *NONE))
        assert abs(s * s + c * c - 1) < EPSILON * 4
        assert close(evaluate(t.FN_TAN, x), s / c)


def test_logarithm_undoes_the_power() -> None:
    """log2((2^x - 1) + 1) = x, where 2^x - 1 cut to 64 bits costs about 2^-63."""
    rng = random.Random(2)
    for _ in range(50):
        x = extended(rng, -8, -1)
        sign, exp, sig, _ = t.evaluate(t.FN_2XM1, *x, *NONE)[0]
        back = evaluate(t.FN_YL2XP1, ONE, (sign << 15 | exp, sig))
        original = Fraction(*_ratio(x))
        assert abs(back / original - 1) < Fraction(1, 1 << 61)


def _ratio(x: tuple[int, int]) -> tuple[int, int]:
    m, e = t.number(*x)
    return (m << e, 1) if e >= 0 else (m, 1 << -e)


@pytest.mark.parametrize("power", [-16000, -64, -1, 3, 16000])
def test_powers_of_two_have_exact_logarithms(power: int) -> None:
    assert evaluate(t.FN_YL2X, ONE, (0x3FFF + power, 1 << 63)) == power


@pytest.mark.parametrize(("se", "result"), [(0x3FFF, 1), (0xBFFF, Fraction(-1, 2))])
def test_two_to_one_is_exact(se: int, result: Fraction) -> None:
    assert evaluate(t.FN_2XM1, (se, 1 << 63)) == result


@pytest.mark.parametrize("which", [t.FN_SIN, t.FN_TAN, t.FN_2XM1])
def test_tiny_arguments_stay_on_the_right_side(which: int) -> None:
    """sin x < x, tan x > x: a directed rounding sees the difference, however small."""
    x = (1, 1 << 63)
    got, original = evaluate(which, x), Fraction(*_ratio(x))
    if which == t.FN_2XM1:
        assert close(got / original, Fraction(t.ln2(200), 1 << 200))
    else:
        assert (got < original) == (which == t.FN_SIN)
        assert close(got, original)


def test_hardware_pi() -> None:
    """The sine of the double extended pi is 2^-64 below zero: pi has 66 bits in hardware."""
    assert close(evaluate(t.FN_SIN, (0x4000, 0xC90FDAA22168C235)), Fraction(-1, 1 << 64))


def test_a_sum_with_one_that_carries_into_the_next_power_of_two() -> None:
    """log2((2^64 - 1) + 1) = 64, exactly; and of the largest integer below, a little less."""
    sign, exp, sig, low = t.evaluate(t.FN_YL2XP1, *ONE, 0x3FFF + 63, (1 << 64) - 1)[0]
    assert (sign, exp, sig, low) == (0, 0x3FFF + 6, 1 << 63, 0)
    below = evaluate(t.FN_YL2XP1, ONE, (0x3FFF + 63, (1 << 64) - 2))
    step = Fraction(1, 1 << 64)
    assert 64 - step * 3 / 2 < below < 64 - step * 4 / 3

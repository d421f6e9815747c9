"""Random x87 states that go where the trouble is: specials, near-equal exponents, range ends.

Every generator takes a numpy Generator, so a test with a seed repeats exactly.
"""

from __future__ import annotations

import numpy as np

from tests.x87.hostfpu import Array, new_cases, set_st

Rng = np.random.Generator
INT_BIT = np.uint64(1 << 63)
SPECIALS = [  # (se, sig)
    (0x0000, 0),
    (0x8000, 0),
    (0x3FFF, 1 << 63),
    (0xBFFF, 1 << 63),
    (0x3FFE, 1 << 63),
    (0xBFFE, 1 << 63),
    (0x7FFF, 1 << 63),  # infinities
    (0xFFFF, 1 << 63),
    (0x7FFF, 3 << 62),  # QNaNs
    (0xFFFF, 3 << 62),
    (0x7FFF, 3 << 62 | 12345),
    (0x7FFF, 1 << 63 | 99),  # SNaNs
    (0xFFFF, 1 << 63 | 3 << 40),
    (0x0000, 1),  # denormals
    (0x8000, (1 << 63) - 1),
    (0x0000, 1 << 63 | 5),  # pseudo-denormal
    (0x0000, 1 << 63),
    (0x3FFF, 1),  # unnormal
    (0x7FFF, 0),  # pseudo-infinity
    (0x7FFF, 1 << 62),  # pseudo-NaN
    (0x0001, 1 << 63),
    (0x7FFE, (1 << 64) - 1),
    (0xFFFE, (1 << 64) - 1),
    (0x403E, 1 << 63),  # 2^63
    (0xC03E, 1 << 63),
    (0x401E, 1 << 63),  # 2^31
    (0x400E, 1 << 63),  # 2^15
]


def significands(rng: Rng, n: int) -> Array:
    """Random ones, sparse ones, and long runs of equal bits: what rounding trips over."""
    sig = rng.integers(0, 1 << 64, n, np.uint64)
    kind = rng.integers(0, 6, n)
    run = rng.integers(0, 64, n).astype(np.uint64)
    high = np.left_shift(np.full(n, (1 << 64) - 1, np.uint64), run)
    sig = np.where(kind == 0, sig & high, sig)
    sig = np.where(kind == 1, sig | ~high, sig)
    bit = np.left_shift(np.ones(n, np.uint64), run)
    sig = np.where(kind == 2, bit, sig)
    return np.where(kind == 3, high ^ bit, sig)


def numbers(rng: Rng, n: int, special: float = 0.3) -> tuple[Array, Array]:
    """Extended numbers: (se, sig)."""
    sig = significands(rng, n) | INT_BIT
    near = 16383 + rng.integers(-70, 71, n)
    anywhere = rng.integers(1, 0x7FFF, n)
    low_end = rng.integers(0, 80, n)
    high_end = 0x7FFE - rng.integers(0, 80, n)
    exp = np.choose(
        rng.choice(5, n, p=[0.5, 0.2, 0.1, 0.1, 0.1]), [near] * 2 + [anywhere] + [low_end, high_end]
    )
    sig = np.where((exp == 0) & (rng.random(n) < 0.8), sig & ~INT_BIT, sig)
    se = (exp + 0x8000 * rng.integers(0, 2, n)).astype(np.uint16)
    table = np.array([s for s, _ in SPECIALS], np.uint16)
    sigs = np.array([g for _, g in SPECIALS], np.uint64)
    pick = rng.integers(0, len(SPECIALS), n)
    use = rng.random(n) < special
    return np.where(use, table[pick], se), np.where(use, sigs[pick], sig)


def control_words(rng: Rng, n: int, unmasked: float = 0.3) -> Array:
    """Every rounding and precision control; some with random exceptions unmasked."""
    masks = np.where(rng.random(n) < unmasked, rng.integers(0, 64, n), 0x3F)
    pc = rng.choice([0, 2, 3, 3, 3], n)
    return (masks | 0x40 | pc << 8 | rng.integers(0, 4, n) << 10).astype(np.uint32)


def random_cases(rng: Rng, n: int, registers: int = 2, unmasked: float = 0.3) -> Array:
    """Cases with ST(0) ... ST(registers-1) filled, one in sixteen of them empty after all."""
    cases = new_cases(n)
    cases["cw"] = control_words(rng, n, unmasked)
    sticky = rng.integers(0, 64, n) & rng.integers(0, 64, n)
    cases["sw"] = (rng.integers(0, 1 << 16, n) & 0x4700) | (sticky & cases["cw"] & 0x3F)
    for i in range(registers):
        set_st(cases, i, *numbers(rng, n))
        empty = rng.random(n) < 1 / 16
        cases["tw"] |= np.where(empty, 3 << (2 * i), 0).astype(np.uint32)
    cases["flags"] = 0x202 | (rng.integers(0, 1 << 12, n) & 0x8D5)
    cases["eax"] = rng.integers(0, 1 << 32, n)
    cases["mem"] = rng.integers(0, 256, (n, 128))
    return cases


def rotate_top(rng: Rng, cases: Array) -> Array:
    """Give cases a random TOP: the registers are in stack order, the tags in physical order."""
    top = rng.integers(0, 8, len(cases)).astype(np.uint32)
    tags = cases["tw"] & 0xFFFF
    cases["tw"] = (tags << 2 * top | tags >> 16 - 2 * top) & 0xFFFF
    cases["sw"] |= top << 11
    return cases


def memory_operands(rng: Rng, n: int, kind: list[str]) -> Array:
    """The first ten bytes of memory for an operand of a kind: m32, m64, m80, i16, bcd, ..."""
    data = rng.integers(0, 256, (n, 10), np.uint8)
    zero = rng.random(n) < 0.1
    if kind == ["m32"]:
        exp = _exponents(rng, n, 255).astype(np.uint32) << 23
        bits = (rng.integers(0, 1 << 32, n, np.uint64).astype(np.uint32) & 0x807FFFFF) | exp
        bits = np.where(zero, bits & 0xFF800000, bits)
        data[:, :4] = bits.astype("<u4").reshape(-1, 1).view(np.uint8)
    elif kind == ["m64"]:
        exp = _exponents(rng, n, 2047).astype(np.uint64) << np.uint64(52)
        bits64 = (rng.integers(0, 1 << 64, n, np.uint64) & np.uint64(0x800FFFFFFFFFFFFF)) | exp
        bits64 = np.where(zero, bits64 & np.uint64(0xFFF0000000000000), bits64)
        data[:, :8] = bits64.astype("<u8").reshape(-1, 1).view(np.uint8)
    elif kind == ["m80"]:
        se, sig = numbers(rng, n)
        data[:, :8] = sig.astype("<u8").reshape(-1, 1).view(np.uint8)
        data[:, 8:10] = se.astype("<u2").reshape(-1, 1).view(np.uint8)
    elif not kind:  # fbld, fbstp, control words: digits are also fine words
        digits = rng.integers(0, 10, (n, 18), np.uint8)
        data[:, :9] = digits[:, ::2] | digits[:, 1::2] << 4
        data[:, 9] = rng.integers(0, 2, n) * 0x80
    return data


def _exponents(rng: Rng, n: int, top: int) -> Array:
    """Biased exponents of single or double operands: the ends, the middle, anywhere."""
    middle = rng.integers(top // 2 - 8, top // 2 + 9, n)
    ends = np.where(rng.random(n) < 0.5, 0, top)
    return np.choose(rng.integers(0, 4, n), [middle, middle, ends, rng.integers(0, top + 1, n)])


def angles(rng: Rng, n: int, largest: int = 63) -> tuple[Array, Array]:
    """Ordinary numbers of magnitude 2^-40 to 2^largest."""
    exp = 16383 + rng.integers(-40, largest, n)
    return (exp + 0x8000 * rng.integers(0, 2, n)).astype(np.uint16), significands(rng, n) | INT_BIT

"""Random operands that reach the corners: integers, flags, BCD, floating point in every format.

Uniform random words almost never are 0, -1, a power of two or a NaN; these generators mix uniform
values with the ones where carry, overflow, rounding and exceptions happen (SDM volume 1, 4.8 and
8.2 for the x87 classes).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bt.hostcpu import layout as at

Array = NDArray[Any]

CF, PF, AF, ZF, SF, TF, IF, DF, OF = (1 << bit for bit in (0, 2, 4, 6, 7, 8, 9, 10, 11))
NT, AC, ID = 1 << 14, 1 << 18, 1 << 21
ARITHMETIC = CF | PF | AF | ZF | SF | OF

_CORNERS = np.array(
    [0, 1, 2, 0x7F, 0x80, 0x81, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x1_0000, 0x7FFF_FFFF,
     0x8000_0000, 0x8000_0001, 0xFFFF_FFFE, 0xFFFF_FFFF, 0x5555_5555, 0x9999_9999, 0x0099_9999],
    np.uint32,
)  # fmt: skip


def words(rng: Generator, shape: int | tuple[int, ...]) -> Array:
    """32-bit integers: uniform, corners, corners of the low half, small, a single bit."""
    uniform = rng.integers(0, 1 << 32, shape, np.uint32)
    kinds = rng.integers(0, 8, shape)
    corners = _CORNERS[rng.integers(0, len(_CORNERS), shape)]
    one_bit = np.uint32(1) << rng.integers(0, 32, shape, np.uint32)
    mixed = (uniform & np.uint32(0xFFFF_0000)) | (corners & np.uint32(0xFFFF))
    choices = [uniform, uniform, uniform, corners, corners, mixed, uniform & 0xFF, one_bit]
    return np.asarray(np.choose(kinds, choices), np.uint32)


def eflags(rng: Generator, count: int, trap_share: float = 0.0) -> Array:
    """Random arithmetic flags, DF and ID; NT at times, TF in the given share; AC clear."""
    free = rng.integers(0, 1 << 32, count, np.uint32) & np.uint32(ARITHMETIC | DF | ID)
    free |= np.where(rng.random(count) < 0.1, np.uint32(NT), np.uint32(0))
    free |= np.where(rng.random(count) < trap_share, np.uint32(TF), np.uint32(0))
    return np.asarray(free | np.uint32(IF | 2))


def memory(rng: Generator, count: int) -> Array:
    """Contents of the memory windows: words as above."""
    return words(rng, (count, at.MEM_SIZE // 4)).view(np.uint8).reshape(count, at.MEM_SIZE)


# Floating point. A class of value is a (sign, exponent, significand) of the 80-bit format.


def _significands(rng: Generator, count: int) -> Array:
    """64-bit significands with J = 1: random, few leading bits, all ones, near a rounding tie."""
    random = rng.integers(0, 1 << 64, count, np.uint64)
    width = rng.integers(1, 64, count).astype(np.uint64)
    few = random & ~((np.uint64(1) << width) - np.uint64(1))
    tie = few | (np.uint64(1) << (width - np.uint64(1)))
    near = np.where(random & np.uint64(1), tie + np.uint64(1), tie - np.uint64(1))
    zero = np.zeros(count, np.uint64)
    ones = ~zero
    kinds = rng.integers(0, 7, count)
    picked = np.choose(kinds, [random, random, few, tie, near, zero, ones])
    return np.asarray(picked | np.uint64(1 << 63), np.uint64)


def _exponents(rng: Generator, count: int) -> Array:
    """Biased exponents: around one, within integers, at the limits of each format, anywhere."""
    near_one = 0x3FFF + rng.integers(-3, 4, count)
    integer = 0x3FFF + rng.integers(0, 70, count)
    single = 0x3FFF + rng.choice([-150, -149, -127, -126, 126, 127, 128], count)
    double = 0x3FFF + rng.choice([-1075, -1074, -1023, -1022, 1022, 1023, 1024], count)
    extended = rng.choice([1, 2, 63, 64, 65, 0x7FFC, 0x7FFD, 0x7FFE], count)
    anywhere = rng.integers(1, 0x7FFF, count)
    kinds = rng.integers(0, 9, count)
    return np.asarray(
        np.choose(
            kinds,
            [near_one, near_one, integer, integer, single, double, extended, anywhere, near_one],
        )
    )


def _special(rng: Generator, count: int) -> tuple[Array, Array]:
    """Exponent and significand of zeros, infinities, NaNs, denormals and unsupported formats."""
    random = rng.integers(0, 1 << 64, count, np.uint64)
    top, quiet = np.uint64(1 << 63), np.uint64(1 << 62)
    body = random & (quiet - np.uint64(1))
    small = rng.integers(1, 1 << 8, count, np.uint64)
    rows = [
        (0, np.zeros(count, np.uint64)),  # zero
        (0x7FFF, np.full(count, top)),  # infinity
        (0x7FFF, top | quiet | body),  # QNaN
        (0x7FFF, top | body | np.uint64(1)),  # SNaN
        (0, random >> np.uint64(1)),  # denormal
        (0, small),  # tiny denormal
        (0, random | top),  # pseudo-denormal
        (0x3FFF, random >> np.uint64(1)),  # unnormal
        (0x7FFF, np.zeros(count, np.uint64)),  # pseudo-infinity
        (0x7FFF, (random >> np.uint64(1)) | np.uint64(1)),  # pseudo-NaN
    ]
    kinds = rng.choice(len(rows), count, p=[0.25, 0.15, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05])
    exponent = np.choose(kinds, [row[0] for row in rows])
    significand = np.choose(kinds, [row[1] for row in rows])
    return exponent, significand


def extended(rng: Generator, count: int, special_share: float = 0.3) -> Array:
    """80-bit values as (count, 10) bytes."""
    exponent, significand = _exponents(rng, count), _significands(rng, count)
    odd_exponent, odd_significand = _special(rng, count)
    odd = rng.random(count) < special_share
    exponent = np.where(odd, odd_exponent, exponent)
    significand = np.where(odd, odd_significand, significand)
    sign = rng.integers(0, 2, count) << 15
    out = np.zeros((count, 10), np.uint8)
    out[:, :8] = significand.astype("<u8").view(np.uint8).reshape(count, 8)
    out[:, 8:] = (exponent | sign).astype("<u2").view(np.uint8).reshape(count, 2)
    return out


def _narrow(rng: Generator, count: int, bits: int, fraction: int) -> Array:
    """Single or double: uniform bits, with the exponent at its limits or near one at times."""
    bias = (1 << (bits - fraction - 2)) - 1
    top = 2 * bias + 1
    raw = rng.integers(0, 1 << 64, count, np.uint64) >> np.uint64(64 - bits)
    body = raw & np.uint64((1 << fraction) - 1)
    sign = raw & np.uint64(1 << (bits - 1))
    quiet = np.uint64(1 << (fraction - 1))
    body = np.choose(
        rng.integers(0, 5, count),
        [body, body, body & np.uint64(1), np.zeros(count, np.uint64), body | quiet],
    )
    near = rng.integers(bias - 3, bias + 40, count)
    limits = rng.choice([0, 0, 1, top - 1, top, top], count)
    anywhere = rng.integers(0, top + 1, count)
    exponent = np.choose(rng.integers(0, 3, count), [near, limits, anywhere]).astype(np.uint64)
    return np.asarray(sign | exponent << np.uint64(fraction) | body)


def single(rng: Generator, count: int) -> Array:
    """Single precision as (count, 4) bytes."""
    return _narrow(rng, count, 32, 23).astype("<u4").view(np.uint8).reshape(count, 4)


def double(rng: Generator, count: int) -> Array:
    """Double precision as (count, 8) bytes."""
    return _narrow(rng, count, 64, 52).astype("<u8").view(np.uint8).reshape(count, 8)


def integers(rng: Generator, count: int, size: int) -> Array:
    """Signed integers of 2, 4 or 8 bytes."""
    wide = words(rng, (count, 2)).view("<u8").reshape(count)
    shift = rng.integers(0, 64, count).astype(np.uint64)
    wide = np.where(rng.random(count) < 0.5, wide, wide >> shift)
    raw = wide.astype("<u8").view(np.uint8).reshape(count, 8)
    return np.ascontiguousarray(raw[:, :size])


def packed_bcd(rng: Generator, count: int) -> Array:
    """FBLD operands: 18 decimal digits and a sign byte (bits 6:0 of it are ignored)."""
    digits = rng.integers(0, 10, (count, 18)).astype(np.uint8)
    digits[np.arange(18)[None, :] >= rng.integers(0, 19, count)[:, None]] = 0
    out = np.zeros((count, 10), np.uint8)
    out[:, :9] = digits[:, 0::2] | digits[:, 1::2] << 4
    out[:, 9] = rng.integers(0, 256, count)
    return out

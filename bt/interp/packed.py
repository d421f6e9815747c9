"""Packed integers: the same operation on all bytes, words or doublewords of 64 bits at once.

SDM vol. 1, 9.4, 10.4.4; vol. 2 for each instruction. MMX does 64 bits, SSE2 twice as many. An
operation is named by its opcode's byte, which is the same in both: `packed(0xFD, a, b)` is PADDW.

>>> f"{packed(0xFD, 0x0001_7FFF_FFFF_8000, 0x0001_0001_0001_8000):x}"  # 1+1, wraps, wraps, wraps
'2800000000000'
>>> f"{packed(0xED, 0x0001_7FFF_FFFF_8000, 0x0001_0001_0001_8000):x}"  # PADDSW: it saturates
'27fff00008000'
"""

from __future__ import annotations

from bt.interp.dialect import M8, M16, M32, M64, func, i64, inline, sx8, sx16, sx32, u32, u64, zx64

HIGH8 = 0x8080808080808080  # the top bit of each byte,
HIGH16 = 0x8000800080008000  # word,
HIGH32 = 0x8000000080000000  # doubleword,
HIGH64 = 0x8000000000000000  # quadword

# What a loop over elements does with a pair
LANE_ADD = 0
LANE_SUB = 1
LANE_MIN = 2
LANE_MAX = 3
LANE_AVERAGE = 4
LANE_EQUAL = 5
LANE_GREATER = 6
LANE_MUL_LOW = 7
LANE_MUL_HIGH = 8


@inline
def lane_mask(width: u32) -> u64:
    if width == 8:
        return M8
    return M16 if width == 16 else M32


@inline
def lane(v: u64, at: u32, width: u32, is_unsigned: u32) -> i64:
    """An element as a number."""
    if is_unsigned:
        return (v >> at) & lane_mask(width)
    if width == 8:
        return sx8(v >> at)
    return sx16(v >> at) if width == 16 else sx32(v >> at)


@inline
def lane_result(what: u32, x: i64, y: i64) -> i64:
    if what == LANE_ADD:
        return x + y
    if what == LANE_SUB:
        return x - y
    if what == LANE_MIN:
        return x if x < y else y
    if what == LANE_MAX:
        return x if x > y else y
    if what == LANE_AVERAGE:
        return (x + y + 1) >> 1
    if what == LANE_EQUAL:
        return -1 if x == y else 0
    if what == LANE_GREATER:
        return -1 if x > y else 0
    if what == LANE_MUL_LOW:
        return x * y
    return (x * y) >> 16


@inline
def saturated(x: i64, width: u32, is_unsigned: u32) -> i64:
    """The nearest number that the element can hold."""
    half: i64 = 0x80 if width == 8 else 0x8000
    low: i64 = 0 if is_unsigned else -half
    high: i64 = low + half + half - 1
    if x < low:
        return low
    return high if x > high else x


@inline
def lanes(what: u32, a: u64, b: u64, width: u32, is_unsigned: u32, saturates: u32) -> u64:
    """All elements, one after the other."""
    total: u64 = 0
    at: u32 = 0
    while at < 64:
        x: i64 = lane(a, at, width, is_unsigned)
        y: i64 = lane(b, at, width, is_unsigned)
        x = lane_result(what, x, y)
        if saturates:
            x = saturated(x, width, is_unsigned)
        total |= (zx64(x) & lane_mask(width)) << at
        at += width
    return total


# --- without a loop ---------------------------------------------------------------------


@inline
def wrapped_add(a: u64, b: u64, high: u64) -> u64:
    """Sums without their top bits cannot carry into a neighbour; those are added by XOR."""
    return ((((a & ~high) & M64) + ((b & ~high) & M64)) & M64) ^ ((a ^ b) & high)


@inline
def wrapped_sub(a: u64, b: u64, high: u64) -> u64:
    return (((a | high) - ((b & ~high) & M64)) & M64) ^ ((a ^ b ^ M64) & high)


# --- between elements -------------------------------------------------------------------


@func
def multiply_add(a: u64, b: u64) -> u64:
    """PMADDWD: products of signed words, summed in pairs."""
    total: u64 = 0
    for half in range(2):
        at: u32 = 32 * half
        x: i64 = sx16(a >> at) * sx16(b >> at)
        x += sx16(a >> (at + 16)) * sx16(b >> (at + 16))
        total |= (zx64(x) & M32) << at
    return total


@func
def absolute_differences(a: u64, b: u64) -> u64:
    """PSADBW: the sum of the distances of unsigned bytes."""
    total: u64 = 0
    for i in range(8):
        x: u64 = (a >> (8 * i)) & M8
        y: u64 = (b >> (8 * i)) & M8
        total += x - y if x > y else y - x
    return total


@func
def interleaved(a: u64, b: u64, width: u32) -> u64:
    """PUNPCK*: elements of the low halves of a and b by turns, a's first."""
    if width == 32:
        return (a & M32) | ((b << 32) & M64)
    total: u64 = 0
    at: u32 = 0
    while at < 32:
        total |= ((a >> at) & lane_mask(width)) << (2 * at)
        total |= ((b >> at) & lane_mask(width)) << (2 * at + width)
        at += width
    return total


@inline
def unpack_width(kind: u32) -> u32:
    """Of PUNPCKL (60 to 62) and PUNPCKH (68 to 6A)."""
    return 8 << (kind & 3)


@func
def narrowed(kind: u32, v: u64) -> u64:
    """PACKSSWB (63), PACKUSWB (67), PACKSSDW (6B): 64 bits of signed numbers to 32, saturated."""
    if kind == 0x6B:
        low: u64 = zx64(saturated(sx32(v), 16, 0)) & M16
        return low | (zx64(saturated(sx32(v >> 32), 16, 0)) & M16) << 16
    total: u64 = 0
    for i in range(4):
        x: i64 = saturated(sx16(v >> (16 * i)), 8, 1 if kind == 0x67 else 0)
        total |= (zx64(x) & M8) << (8 * i)
    return total


# --- shifts -----------------------------------------------------------------------------


@inline
def shift_width(kind: u32) -> u32:
    """Of PSRL (D1 to D3), PSRA (E1, E2) and PSLL (F1 to F3)."""
    return 8 << (kind & 3)


@func
def shifted(kind: u32, a: u64, count: u64) -> u64:
    """Each element by the same count; one of its width or more leaves zeros, or the signs."""
    width = shift_width(kind)
    arithmetic: u32 = 1 if kind & 0xF0 == 0xE0 else 0
    if count >= width:
        if not arithmetic:
            return 0
        count = width - 1
    by: u32 = count
    if width == 64:
        return a >> by if kind < 0xF0 else (a << by) & M64
    total: u64 = 0
    at: u32 = 0
    while at < 64:
        x: u64 = (a >> at) & lane_mask(width)
        if arithmetic:
            x = zx64(lane(a, at, width, 0) >> by)
        elif kind < 0xF0:
            x = x >> by
        else:
            x = (x << by) & M64
        total |= (x & lane_mask(width)) << at
        at += width
    return total


@func
def sign_bits(v: u64) -> u32:
    """PMOVMSKB: the top bit of each byte."""
    mask: u32 = 0
    for i in range(8):
        mask |= ((v >> (8 * i + 7)) & 1) << i
    return mask


@func
def shuffled_words(v: u64, order: u32) -> u64:
    """PSHUFW: each word by two bits of `order`."""
    total: u64 = 0
    for i in range(4):
        total |= ((v >> (16 * ((order >> (2 * i)) & 3))) & M16) << (16 * i)
    return total


# --- all of them ------------------------------------------------------------------------


@func
def packed_saturating(kind: u32, a: u64, b: u64) -> u64:
    if kind == 0xD8:  # PSUBUSB
        return lanes(LANE_SUB, a, b, 8, 1, 1)
    if kind == 0xD9:  # PSUBUSW
        return lanes(LANE_SUB, a, b, 16, 1, 1)
    if kind == 0xDC:  # PADDUSB
        return lanes(LANE_ADD, a, b, 8, 1, 1)
    if kind == 0xDD:  # PADDUSW
        return lanes(LANE_ADD, a, b, 16, 1, 1)
    if kind == 0xE8:  # PSUBSB
        return lanes(LANE_SUB, a, b, 8, 0, 1)
    if kind == 0xE9:  # PSUBSW
        return lanes(LANE_SUB, a, b, 16, 0, 1)
    if kind == 0xEC:  # PADDSB
        return lanes(LANE_ADD, a, b, 8, 0, 1)
    return lanes(LANE_ADD, a, b, 16, 0, 1)  # PADDSW


@func
def packed_comparing(kind: u32, a: u64, b: u64) -> u64:
    if kind == 0x64:  # PCMPGTB
        return lanes(LANE_GREATER, a, b, 8, 0, 0)
    if kind == 0x65:  # PCMPGTW
        return lanes(LANE_GREATER, a, b, 16, 0, 0)
    if kind == 0x66:  # PCMPGTD
        return lanes(LANE_GREATER, a, b, 32, 0, 0)
    if kind == 0x74:  # PCMPEQB
        return lanes(LANE_EQUAL, a, b, 8, 0, 0)
    if kind == 0x75:  # PCMPEQW
        return lanes(LANE_EQUAL, a, b, 16, 0, 0)
    if kind == 0x76:  # PCMPEQD
        return lanes(LANE_EQUAL, a, b, 32, 0, 0)
    if kind == 0xDA:  # PMINUB
        return lanes(LANE_MIN, a, b, 8, 1, 0)
    if kind == 0xDE:  # PMAXUB
        return lanes(LANE_MAX, a, b, 8, 1, 0)
    if kind == 0xEA:  # PMINSW
        return lanes(LANE_MIN, a, b, 16, 0, 0)
    return lanes(LANE_MAX, a, b, 16, 0, 0)  # PMAXSW


@func
def packed_multiplying(kind: u32, a: u64, b: u64) -> u64:
    if kind == 0xD5:  # PMULLW
        return lanes(LANE_MUL_LOW, a, b, 16, 0, 0)
    if kind == 0xE0:  # PAVGB
        return lanes(LANE_AVERAGE, a, b, 8, 1, 0)
    if kind == 0xE3:  # PAVGW
        return lanes(LANE_AVERAGE, a, b, 16, 1, 0)
    if kind == 0xE4:  # PMULHUW
        return lanes(LANE_MUL_HIGH, a, b, 16, 1, 0)
    if kind == 0xE5:  # PMULHW
        return lanes(LANE_MUL_HIGH, a, b, 16, 0, 0)
    if kind == 0xF4:  # PMULUDQ
        return ((a & M32) * (b & M32)) & M64
    return multiply_add(a, b) if kind == 0xF5 else absolute_differences(a, b)


@func
def packed_other(kind: u32, a: u64, b: u64) -> u64:
    if kind < 0x80 or kind == 0xDA or kind == 0xDE or kind == 0xEA or kind == 0xEE:
        return packed_comparing(kind, a, b)
    if kind == 0xD5 or kind == 0xE0 or kind >= 0xF4 or 0xE3 <= kind <= 0xE5:
        return packed_multiplying(kind, a, b)
    return packed_saturating(kind, a, b)


@inline
def packed(kind: u32, a: u64, b: u64) -> u64:
    """An operation on 64 bits, a being the destination; `kind` is its opcode's byte."""
    if kind == 0xDB or kind == 0x54:  # PAND, ANDPS
        return a & b
    if kind == 0xDF or kind == 0x55:  # PANDN, ANDNPS
        return (a ^ M64) & b
    if kind == 0xEB or kind == 0x56:  # POR, ORPS
        return a | b
    if kind == 0xEF or kind == 0x57:  # PXOR, XORPS
        return a ^ b
    if kind == 0xFC:  # PADDB
        return wrapped_add(a, b, HIGH8)
    if kind == 0xFD:  # PADDW
        return wrapped_add(a, b, HIGH16)
    if kind == 0xFE:  # PADDD
        return wrapped_add(a, b, HIGH32)
    if kind == 0xD4:  # PADDQ
        return (a + b) & M64
    if kind == 0xF8:  # PSUBB
        return wrapped_sub(a, b, HIGH8)
    if kind == 0xF9:  # PSUBW
        return wrapped_sub(a, b, HIGH16)
    if kind == 0xFA:  # PSUBD
        return wrapped_sub(a, b, HIGH32)
    if kind == 0xFB:  # PSUBQ
        return (a - b) & M64
    return packed_other(kind, a, b)

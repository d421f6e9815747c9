"""Singles and doubles in integers, as SSE rounds them (SDM vol. 1, 4.8, 4.9, 11.5).

A number is its bits in a u64; `wide` says whether those are 64 of a double or 32 of a single.
Inside the arithmetic it is a sign, an exponent biased as the format's own but of any size, and a
significand of 64 bits with the top one set, with `low` below it, as in softfloat.py. An operation
gives the bits of its result; what it has to report stands in c.fx, in the places of MXCSR's flags,
which are those of the x87's status word.

It differs from the x87 in this: denormal operands may count as zeros (DAZ), tiny results may become
zeros (FTZ), of two NaNs the first operand's is the result, and there is no wider format to round
twice from.

Worked example, 1.0 / 3.0 in single precision: bits 3F800000 and 40400000, quotient AAAAAAAA
AAAAAAAA, exponent 125; rounded to 24 bits AAAAAB00 00000000, packed 3EAAAAAB, with FX_PE.
"""

from __future__ import annotations

from bt.interp.dialect import M64, clz64, func, i32, inline, u32, u64
from bt.interp.softfloat import (
    FX_DE,
    FX_IE,
    FX_OE,
    FX_PE,
    FX_UE,
    KIND_DENORMAL,
    KIND_INF,
    KIND_NORMAL,
    KIND_QNAN,
    KIND_SNAN,
    KIND_ZERO,
    ROUND_DOWN,
    ROUND_NEAREST,
    ROUND_UP,
    SIG_FRACTION,
    SIG_INT,
    rounds_up,
    shift_down,
    shift_out,
)
from bt.interp.state import MXCSR_DAZ, MXCSR_FTZ, Cpu

MXCSR_MASKS = 7  # the masks lie so far above the flags

INDEFINITE32 = 0xFFC00000
INDEFINITE64 = 0xFFF8000000000000

# --- what the bits say ------------------------------------------------------------------


@inline
def fraction_bits(wide: u32) -> u32:
    return 52 if wide else 23


@inline
def exponent_top(wide: u32) -> i32:
    """The exponent of infinities and NaNs."""
    return 0x7FF if wide else 0xFF


@inline
def exponent_bias(wide: u32) -> i32:
    return 1023 if wide else 127


@inline
def sign_of(wide: u32, a: u64) -> u32:
    return (a >> (63 if wide else 31)) & 1


@inline
def signed_zero(wide: u32, sign: u32) -> u64:
    bit: u64 = sign
    return bit << (63 if wide else 31)


@inline
def infinity_of(wide: u32, sign: u32) -> u64:
    top: u64 = exponent_top(wide)
    return signed_zero(wide, sign) | top << fraction_bits(wide)


@inline
def indefinite_of(wide: u32) -> u64:
    return INDEFINITE64 if wide else INDEFINITE32


@inline
def fraction_of(wide: u32, a: u64) -> u64:
    return a & (0xFFFFFFFFFFFFF if wide else 0x7FFFFF)


@inline
def exponent_of(wide: u32, a: u64) -> i32:
    return (a >> fraction_bits(wide)) & (0x7FF if wide else 0xFF)


@inline
def quiet_bit(wide: u32) -> u64:
    bit: u64 = 1
    return bit << (51 if wide else 22)


@func
def kind_of(wide: u32, a: u64) -> u32:
    """KIND_* of a number."""
    exponent = exponent_of(wide, a)
    fraction: u64 = fraction_of(wide, a)
    if exponent == 0:
        return KIND_ZERO if fraction == 0 else KIND_DENORMAL
    if exponent != exponent_top(wide):
        return KIND_NORMAL
    if fraction == 0:
        return KIND_INF
    return KIND_QNAN if fraction & quiet_bit(wide) else KIND_SNAN


@inline
def nan_kind(kind: u32) -> u32:
    return 1 if kind >= KIND_QNAN else 0


@inline
def operand_daz(c: Cpu, wide: u32, a: u64) -> u64:
    """An operand, or with DAZ the zero that a denormal one stands for."""
    if c.mxcsr & MXCSR_DAZ and exponent_of(wide, a) == 0:
        return signed_zero(wide, sign_of(wide, a))
    return a


@inline
def significand_of(wide: u32, a: u64) -> u64:
    """Of a finite number, its top bit at bit 63 if it is a normal one."""
    fraction: u64 = (fraction_of(wide, a) << (11 if wide else 40)) & M64
    return fraction if exponent_of(wide, a) == 0 else fraction | SIG_INT


@inline
def normal_exponent(wide: u32, a: u64) -> i32:
    """Of a finite number that is not zero, once its significand is normalised."""
    exponent = exponent_of(wide, a)
    if exponent == 0:
        lead: i32 = clz64(significand_of(wide, a))
        return 1 - lead
    return exponent


@inline
def normal_significand(wide: u32, a: u64) -> u64:
    sig: u64 = significand_of(wide, a)
    return (sig << clz64(sig)) & M64


# --- NaNs and what is invalid -----------------------------------------------------------


@func
def sse_invalid(c: Cpu, wide: u32) -> u64:
    c.fx = FX_IE
    return indefinite_of(wide)


@func
def sse_nan(c: Cpu, wide: u32, a: u64, b: u64) -> u64:
    """The result where at least one operand is a NaN: the first one that is, made quiet."""
    a_kind = kind_of(wide, a)
    c.fx = FX_IE if a_kind == KIND_SNAN or kind_of(wide, b) == KIND_SNAN else 0
    return (a if nan_kind(a_kind) else b) | quiet_bit(wide)


@inline
def note_denormal_kinds(c: Cpu, a_kind: u32, b_kind: u32) -> i32:
    if a_kind == KIND_DENORMAL or b_kind == KIND_DENORMAL:
        c.fx |= FX_DE
    return 0


# --- rounding ---------------------------------------------------------------------------


@inline
def sse_rounding(c: Cpu) -> u32:
    """MXCSR.RC."""
    return (c.mxcsr >> 13) & 3


@func
def rounded(c: Cpu, bits: u32, sign: u32, sig: u64, low: u64) -> u64:
    """A significand to so many bits; 0: it carried out to 2^64. Reports PE."""
    drop: u32 = 64 - bits
    unit: u64 = 1
    unit = unit << drop
    base: u64 = sig & ~(unit - 1) & M64
    rest: u64 = ((sig << bits) & M64) | low >> drop
    if (low << bits) & M64:
        rest |= 1
    if rest == 0:
        return base
    c.fx |= FX_PE
    if rounds_up(sse_rounding(c), sign, 1 if base & unit else 0, rest):
        base = (base + unit) & M64
    return base


@func
def sse_overflow(c: Cpu, wide: u32, sign: u32) -> u64:
    """Infinity, or the largest number. (Unmasked there is no result, and PE says what it would.)"""
    mode = sse_rounding(c)
    if c.mxcsr & (FX_OE << MXCSR_MASKS):
        c.fx |= FX_PE
    c.fx |= FX_OE
    infinity = infinity_of(wide, sign)
    if mode == ROUND_NEAREST or (mode == ROUND_DOWN and sign) or (mode == ROUND_UP and not sign):
        return infinity
    return infinity - 1


@func
def sse_tiny(c: Cpu, wide: u32, sign: u32, exp: i32, sig: u64, low: u64) -> u64:
    """A result whose exponent is below the range; tininess is judged after rounding."""
    bits: u32 = fraction_bits(wide) + 1
    before: u32 = c.fx
    r: u64 = rounded(c, bits, sign, sig, low)
    tiny: u32 = 0 if exp == 0 and r == 0 else 1
    if tiny and c.mxcsr & (FX_UE << MXCSR_MASKS) == 0:
        c.fx |= FX_UE
        return signed_zero(wide, sign)
    if tiny and c.mxcsr & MXCSR_FTZ:
        c.fx |= FX_UE | FX_PE
        return signed_zero(wide, sign)
    c.fx = before
    count: u32 = 1 - exp
    rest: u64 = shift_out(sig, count)
    if low:
        rest |= 1
    if count < 64 and count > 0 and low:
        rest |= low >> count
    r = rounded(c, bits, sign, shift_down(sig, count), rest)
    if tiny and c.fx & FX_PE:
        c.fx |= FX_UE
    return signed_zero(wide, sign) | r >> (64 - bits)


@func
def sse_pack(c: Cpu, wide: u32, sign: u32, exp: i32, sig: u64, low: u64) -> u64:
    """Round and pack: the end of every operation."""
    if exp <= 0:
        return sse_tiny(c, wide, sign, exp, sig, low)
    bits: u32 = fraction_bits(wide) + 1
    r: u64 = rounded(c, bits, sign, sig, low)
    if r == 0:
        r = SIG_INT
        exp += 1
    if exp >= exponent_top(wide):
        return sse_overflow(c, wide, sign)
    exponent: u64 = exp
    fraction: u64 = (r & SIG_FRACTION) >> (64 - bits)
    return signed_zero(wide, sign) | exponent << fraction_bits(wide) | fraction

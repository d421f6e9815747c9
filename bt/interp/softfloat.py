"""Extended-precision numbers in integers: formats, classes, NaN rules, rounding.

SDM vol. 1, 4.2 (formats), 4.8 (special values, NaN rules) and 4.9 (exceptions).

A number is `se` (sign in bit 15, exponent biased by 16383 in bits 0-14) and `sig` (64 bits, the
integer bit explicit). Example: 1.0 is se=0x3FFF sig=0x8000000000000000, -3.0 is se=0xC000
sig=0xC000000000000000. Inside the arithmetic a value is *unpacked*: sign, a signed exponent that
may leave the format's range, a significand with its top bit set, and `low`, the 64 bits below
it, the last of them sticky (1 if anything at all was lost).

An operation leaves its result in c.z_se, c.z_sig and what it has to report in c.fx: exception
flags in the places of the status word, and C1 when the magnitude was rounded up. Nothing here
touches the status word itself: the instruction decides (x87_stack.py).
"""

from __future__ import annotations

from bt.interp.dialect import M64, clz64, func, i32, inline, u32, u64
from bt.interp.state import Cpu

# Exceptions, condition bits and error summary, in their places in the status word
FX_IE = 0x1  # invalid operation
FX_DE = 0x2  # denormal operand
FX_ZE = 0x4  # zero divide
FX_OE = 0x8  # overflow
FX_UE = 0x10  # underflow
FX_PE = 0x20  # precision
FX_SF = 0x40  # stack fault (with IE)
FX_ES = 0x80  # an unmasked exception is pending
FX_C0 = 0x100
FX_C1 = 0x200
FX_C2 = 0x400
FX_C3 = 0x4000
FX_BUSY = 0x8000
FX_ALL = 0x3F

# What a number is
KIND_ZERO = 0
KIND_NORMAL = 1
KIND_DENORMAL = 2  # pseudo-denormals (exponent 0, integer bit 1) too
KIND_INF = 3
KIND_QNAN = 4
KIND_SNAN = 5
KIND_BAD = 6  # unnormals, pseudo-NaNs, pseudo-infinities: invalid since the 80387

# Rounding control
ROUND_NEAREST = 0
ROUND_DOWN = 1
ROUND_UP = 2
ROUND_CHOP = 3

SIG_INT = 0x8000000000000000  # the integer bit
SIG_QUIET = 0x4000000000000000  # set in quiet NaNs
SIG_FRACTION = 0x7FFFFFFFFFFFFFFF
SIG_INDEFINITE = 0xC000000000000000
EXP_MASK = 0x7FFF
EXP_BIAS = 16383
EXP_ADJUST = 24576  # what unmasked overflow and underflow move the exponent by
SE_INDEFINITE = 0xFFFF


@func
def f80_kind(se: u32, sig: u64) -> u32:
    """Class of a number (KIND_*)."""
    exp: u32 = se & EXP_MASK
    if exp == 0:
        return KIND_ZERO if sig == 0 else KIND_DENORMAL
    if sig & SIG_INT == 0:
        return KIND_BAD
    if exp != EXP_MASK:
        return KIND_NORMAL
    if sig & SIG_FRACTION == 0:
        return KIND_INF
    return KIND_QNAN if sig & SIG_QUIET else KIND_SNAN


@inline
def f80_exp(se: u32, sig: u64) -> i32:
    """Exponent of a finite non-zero number once its significand is normalised."""
    exp: i32 = se & EXP_MASK
    if exp == 0:
        exp = 1 - clz64(sig)
    return exp


@inline
def f80_normal(sig: u64) -> u64:
    """Significand with its top bit set."""
    return (sig << clz64(sig)) & M64


@inline
def rounding(c: Cpu) -> u32:
    """RC, the rounding control."""
    return (c.fpu_cw >> 10) & 3


@inline
def precision(c: Cpu) -> u32:
    """PC, the precision control, in bits: 24, 53 or 64 (the reserved encoding counts as 64)."""
    pc = (c.fpu_cw >> 8) & 3
    if pc == 0:
        return 24
    return 53 if pc == 2 else 64


@inline
def set_z(c: Cpu, se: u32, sig: u64) -> i32:
    c.z_se = se
    c.z_sig = sig
    return 0


@func
def z_invalid(c: Cpu) -> i32:
    """Invalid operation; masked it gives the default QNaN. It silences the denormal exception."""
    c.fx = FX_IE
    return set_z(c, SE_INDEFINITE, SIG_INDEFINITE)


@func
def z_nan(c: Cpu, a_se: u32, a_sig: u64, b_se: u32, b_sig: u64) -> i32:
    """The NaN that comes of two operands, at least one a NaN (SDM vol. 1, table 4-7).

    A QNaN beats an SNaN; of two alike the larger significand wins, then the positive one.
    For an operation with one operand pass it twice.
    """
    a_kind = f80_kind(a_se, a_sig)
    b_kind = f80_kind(b_se, b_sig)
    a_nan: u32 = 1 if a_kind == KIND_QNAN or a_kind == KIND_SNAN else 0
    b_nan: u32 = 1 if b_kind == KIND_QNAN or b_kind == KIND_SNAN else 0
    c.fx = FX_IE if a_kind == KIND_SNAN or b_kind == KIND_SNAN else 0
    first: u32 = a_nan
    if a_nan and b_nan:
        if a_kind != b_kind:
            first = 1 if a_kind == KIND_QNAN else 0
        elif a_sig != b_sig:
            first = 1 if a_sig > b_sig else 0
        else:
            first = 1 if a_se < b_se else 0
    if first:
        return set_z(c, a_se, a_sig | SIG_QUIET)
    return set_z(c, b_se, b_sig | SIG_QUIET)


@inline
def rounds_up(mode: u32, sign: u32, odd: u32, rest: u64) -> u32:
    """1 if a magnitude moves away from zero when the fraction rest / 2^64 is dropped."""
    if mode == ROUND_NEAREST:
        return 1 if rest > SIG_INT or (rest == SIG_INT and odd) else 0
    if mode == ROUND_DOWN:
        return 1 if sign and rest != 0 else 0
    if mode == ROUND_UP:
        return 1 if not sign and rest != 0 else 0
    return 0


@func
def round_sig(c: Cpu, bits: u32, sign: u32, sig: u64, low: u64) -> u64:
    """Round a significand to `bits` bits; 0 means it carried out to 2^64. Reports PE and C1."""
    rest: u64 = low
    base: u64 = sig
    unit: u64 = 1
    if bits != 64:
        drop: u32 = 64 - bits
        unit = unit << drop
        base = sig & ~(unit - 1) & M64
        rest = ((sig << bits) & M64) | (low >> drop)
        if (low << bits) & M64:
            rest |= 1
    if rest == 0:
        return base
    c.fx |= FX_PE
    if rounds_up(rounding(c), sign, 1 if base & unit else 0, rest):
        c.fx |= FX_C1
        base = (base + unit) & M64
    return base


@inline
def shift_out(sig: u64, count: u32) -> u64:
    """The 64 bits below `sig >> count`, sticky."""
    if count == 0:
        return 0
    if count < 64:
        return (sig << (64 - count)) & M64
    if count == 64:
        return sig
    if count < 128:
        kept: u64 = sig >> (count - 64)
        if (sig << (128 - count)) & M64:
            kept |= 1
        return kept
    return 1 if sig else 0


@inline
def shift_down(sig: u64, count: u32) -> u64:
    return sig >> count if count < 64 else 0


@func
def round_overflow(c: Cpu, bits: u32, sign: u32, exp: i32, sig: u64) -> i32:
    """A rounded result beyond the range: infinity or the largest number, or the adjusted one."""
    mode = rounding(c)
    c.fx |= FX_OE
    se: u32 = sign << 15
    if c.fpu_cw & FX_OE == 0:
        exp -= EXP_ADJUST
        if exp < EXP_MASK:
            return set_z(c, se | (exp & EXP_MASK), sig)
        c.fx |= FX_PE | FX_C1  # only FSCALE gets so far
        return set_z(c, se | EXP_MASK, SIG_INT)
    c.fx |= FX_PE
    if mode == ROUND_NEAREST or (mode == ROUND_DOWN and sign) or (mode == ROUND_UP and not sign):
        c.fx |= FX_C1
        return set_z(c, se | EXP_MASK, SIG_INT)
    c.fx &= ~FX_C1
    largest: u64 = M64
    return set_z(c, se | (EXP_MASK - 1), (largest << (64 - bits)) & M64)


@func
def round_tiny(c: Cpu, bits: u32, sign: u32, exp: i32, sig: u64, low: u64) -> i32:
    """Round a result whose exponent is below the range (tininess is judged after rounding)."""
    tiny: u32 = 1
    se: u32 = sign << 15
    r: u64 = 0
    if exp == 0:
        before = c.fx
        r = round_sig(c, bits, sign, sig, low)
        c.fx = before
        tiny = 1 if r != 0 else 0
    if tiny and c.fpu_cw & FX_UE == 0:
        c.fx |= FX_UE
        exp += EXP_ADJUST
        if exp <= 0:
            c.fx |= FX_PE  # only FSCALE gets so far
            return set_z(c, se, 0)
        r = round_sig(c, bits, sign, sig, low)
        if r == 0:
            r = SIG_INT
            exp += 1
        return set_z(c, se | (exp & EXP_MASK), r)
    count: u32 = 1 - exp
    rest: u64 = shift_out(sig, count)
    if low:
        rest |= 1
    if count < 64 and count > 0 and low:
        rest |= low >> count
    r = round_sig(c, bits, sign, shift_down(sig, count), rest)
    if tiny and c.fx & FX_PE:
        c.fx |= FX_UE
    return set_z(c, se | (1 if r & SIG_INT else 0), r)


@func
def round_pack(c: Cpu, bits: u32, sign: u32, exp: i32, sig: u64, low: u64) -> i32:
    """Round an unpacked value to `bits` bits and pack it: the end of every operation."""
    if exp <= 0:
        return round_tiny(c, bits, sign, exp, sig, low)
    r: u64 = sig
    if low != 0 or bits != 64:
        r = round_sig(c, bits, sign, sig, low)
        if r == 0:
            r = SIG_INT
            exp += 1
    if exp >= EXP_MASK:
        return round_overflow(c, bits, sign, exp, r)
    return set_z(c, sign << 15 | exp, r)

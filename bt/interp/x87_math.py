"""Constants, FSQRT and its like, and the transcendental functions (SDM vol. 1, 8.3.5 to 8.3.10).

Special operands (zeros, infinities, NaNs, denormals) are decided here. What is left, an ordinary
function value, is worked out by transcendental.py to 128 bits and then rounded here as any other
result, by RC, to 64 bits whatever PC says.
"""

from __future__ import annotations

from bt.interp.dialect import call_transcendental, func, i32, u32, u64
from bt.interp.softfloat import (
    EXP_BIAS,
    EXP_MASK,
    FX_C1,
    FX_C2,
    FX_PE,
    FX_ZE,
    KIND_BAD,
    KIND_INF,
    KIND_ZERO,
    SIG_INT,
    f80_kind,
    round_pack,
    rounding,
    rounds_up,
    set_z,
    z_invalid,
    z_nan,
)
from bt.interp.softfloat_arith import SE_SIGN, f80_sqrt, is_nan_kind, note_denormals
from bt.interp.softfloat_step import NO_QUOTIENT, f80_extract, f80_remainder, f80_rndint, f80_scale
from bt.interp.state import Cpu
from bt.interp.x87_arith import set_conditions
from bt.interp.x87_stack import (
    X87_DONE,
    push_z,
    replace_z,
    set_st,
    settle,
    st_empty,
    st_push,
    st_se,
    st_sig,
    stack_overflow,
    stack_underflow,
)

# Functions of transcendental.evaluate()
FN_2XM1 = 0
FN_YL2X = 1
FN_YL2XP1 = 2
FN_TAN = 3
FN_ATAN = 4
FN_SIN = 5
FN_COS = 6
FN_SINCOS = 7


# --- one operand, one result -----------------------------------------------------------


@func
def transcend(c: Cpu, which: u32, a_se: u32, a_sig: u64, b_se: u32, b_sig: u64) -> i32:
    """An ordinary value of a function, rounded, in z. It counts as inexact even if it is not."""
    c.a_se = a_se
    c.a_sig = a_sig
    c.b_se = b_se
    c.b_sig = b_sig
    call_transcendental(c, which)
    c.fx |= FX_PE
    return round_pack(c, 64, c.z_sign, c.z_exp, c.z_sig, c.z_low)


@func
def f2xm1(c: Cpu, se: u32, sig: u64) -> i32:
    """2^x - 1 for |x| <= 1; beyond, where the manual promises nothing, x stays."""
    kind = f80_kind(se, sig)
    if is_nan_kind(kind):
        return z_nan(c, se, sig, se, sig)
    if kind == KIND_BAD:
        return z_invalid(c)
    if kind == KIND_INF:
        return set_z(c, SE_SIGN | EXP_BIAS if se & SE_SIGN else se, SIG_INT)
    if kind == KIND_ZERO:
        return set_z(c, se, sig)
    note_denormals(c, kind, kind)
    exp: u32 = se & EXP_MASK
    if exp > EXP_BIAS or (exp == EXP_BIAS and sig != SIG_INT):
        c.fx |= FX_PE
        return set_z(c, se, sig)
    return transcend(c, FN_2XM1, se, sig, 0, 0)


@func
def math_unary(c: Cpu, which: u32) -> i32:
    """The instructions that replace ST(0) by a function of it; numbered by ModRM (D9 F0 to FF)."""
    c.fx = 0
    if st_empty(c, 0):
        stack_underflow(c)
    elif which == 0xF0:
        f2xm1(c, st_se(c, 0), st_sig(c, 0))
    elif which == 0xFA:
        f80_sqrt(c, st_se(c, 0), st_sig(c, 0))
    else:
        f80_rndint(c, st_se(c, 0), st_sig(c, 0))
    return replace_z(c, 0, 0)


# --- logarithms and arc tangent: ST(1) = f(ST(1), ST(0)), pop --------------------------


@func
def log_sign(se: u32, sig: u64) -> i32:
    """Sign of log2(x) for positive x: -1, 0 or 1."""
    if se == EXP_BIAS and sig == SIG_INT:
        return 0
    return 1 if se >= EXP_BIAS else -1


@func
def log_special(c: Cpu, y_se: u32, y_kind: u32, x_kind: u32, order: i32) -> u32:
    """y * log where y or the log is zero or infinite (order: sign of the log). 1: it was."""
    sign: u32 = y_se & SE_SIGN
    if order < 0:
        sign = sign ^ SE_SIGN
    if y_kind == KIND_INF:
        if order == 0:
            z_invalid(c)
        else:
            set_z(c, sign | EXP_MASK, SIG_INT)
        return 1
    if x_kind == KIND_INF:
        if y_kind == KIND_ZERO:
            z_invalid(c)
        else:
            set_z(c, sign | EXP_MASK, SIG_INT)
        return 1
    if y_kind == KIND_ZERO or order == 0:
        set_z(c, sign, 0)
        return 1
    return 0


@func
def fyl2x(c: Cpu, y_se: u32, y_sig: u64, x_se: u32, x_sig: u64) -> i32:
    """y * log2(x)."""
    y_kind = f80_kind(y_se, y_sig)
    x_kind = f80_kind(x_se, x_sig)
    if y_kind == KIND_BAD or x_kind == KIND_BAD:
        return z_invalid(c)
    if is_nan_kind(y_kind) or is_nan_kind(x_kind):
        return z_nan(c, y_se, y_sig, x_se, x_sig)
    if x_kind == KIND_ZERO:
        if y_kind == KIND_ZERO:
            return z_invalid(c)
        c.fx = FX_ZE if y_kind != KIND_INF else 0
        return set_z(c, (y_se & SE_SIGN ^ SE_SIGN) | EXP_MASK, SIG_INT)
    if x_se & SE_SIGN:
        return z_invalid(c)
    note_denormals(c, y_kind, x_kind)
    if log_special(c, y_se, y_kind, x_kind, log_sign(x_se, x_sig)):
        return 0
    return transcend(c, FN_YL2X, y_se, y_sig, x_se, x_sig)


@func
def fyl2xp1(c: Cpu, y_se: u32, y_sig: u64, x_se: u32, x_sig: u64) -> i32:
    """y * log2(x + 1); for x <= -1, where the manual promises nothing, x stays."""
    y_kind = f80_kind(y_se, y_sig)
    x_kind = f80_kind(x_se, x_sig)
    if y_kind == KIND_BAD or x_kind == KIND_BAD:
        return z_invalid(c)
    if is_nan_kind(y_kind) or is_nan_kind(x_kind):
        return z_nan(c, y_se, y_sig, x_se, x_sig)
    if x_kind == KIND_INF and x_se & SE_SIGN:
        return z_invalid(c)
    note_denormals(c, y_kind, x_kind)
    order: i32 = 0
    if x_kind != KIND_ZERO:
        order = -1 if x_se & SE_SIGN else 1
    if x_kind == KIND_ZERO and y_kind != KIND_INF:
        return set_z(c, (x_se ^ y_se) & SE_SIGN, 0)
    if log_special(c, y_se, y_kind, x_kind, order):
        return 0
    if x_se >= (SE_SIGN | EXP_BIAS):
        c.fx |= FX_PE
        return set_z(c, x_se, x_sig)
    return transcend(c, FN_YL2XP1, y_se, y_sig, x_se, x_sig)


@func
def fpatan(c: Cpu, y_se: u32, y_sig: u64, x_se: u32, x_sig: u64) -> i32:
    """atan2(y, x): defined for every pair of numbers."""
    y_kind = f80_kind(y_se, y_sig)
    x_kind = f80_kind(x_se, x_sig)
    if y_kind == KIND_BAD or x_kind == KIND_BAD:
        return z_invalid(c)
    if is_nan_kind(y_kind) or is_nan_kind(x_kind):
        return z_nan(c, y_se, y_sig, x_se, x_sig)
    note_denormals(c, y_kind, x_kind)
    if x_se & SE_SIGN == 0:
        if y_kind == KIND_ZERO or (x_kind == KIND_INF and y_kind != KIND_INF):
            return set_z(c, y_se & SE_SIGN, 0)
    return transcend(c, FN_ATAN, y_se, y_sig, x_se, x_sig)


@func
def math_binary(c: Cpu, which: u32) -> i32:
    """Functions of ST(1) and ST(0) into ST(1), then pop; numbered by ModRM."""
    c.fx = 0
    if st_empty(c, 0) or st_empty(c, 1):
        stack_underflow(c)
    elif which == 0xF1:
        fyl2x(c, st_se(c, 1), st_sig(c, 1), st_se(c, 0), st_sig(c, 0))
    elif which == 0xF9:
        fyl2xp1(c, st_se(c, 1), st_sig(c, 1), st_se(c, 0), st_sig(c, 0))
    else:
        fpatan(c, st_se(c, 1), st_sig(c, 1), st_se(c, 0), st_sig(c, 0))
    return replace_z(c, 1, 1)


@func
def fscale(c: Cpu) -> i32:
    c.fx = 0
    if st_empty(c, 0) or st_empty(c, 1):
        stack_underflow(c)
    else:
        f80_scale(c, st_se(c, 0), st_sig(c, 0), st_se(c, 1), st_sig(c, 1))
    return replace_z(c, 0, 0)


@func
def fprem(c: Cpu, nearest: u32) -> i32:
    """FPREM and FPREM1: quotient bits in C0, C3, C1; C2 says that more reduction is needed."""
    bits: u32 = NO_QUOTIENT
    c.fx = 0
    if st_empty(c, 0) or st_empty(c, 1):
        stack_underflow(c)
    else:
        bits = f80_remainder(c, st_se(c, 0), st_sig(c, 0), st_se(c, 1), st_sig(c, 1), nearest)
    forbidden = settle(c)
    if forbidden or bits == NO_QUOTIENT:
        c.fpu_sw &= ~FX_C2
    else:
        set_conditions(c, bits & ~FX_C1)
        c.fpu_sw |= bits & FX_C1
    if forbidden:
        return X87_DONE
    set_st(c, 0, c.z_se, c.z_sig)
    return X87_DONE


# --- sine, cosine, tangent; two results ------------------------------------------------


@func
def pair_end(c: Cpu) -> i32:
    """y replaces ST(0), then z is pushed."""
    if settle(c):
        return X87_DONE
    set_st(c, 0, c.y_se, c.y_sig)
    st_push(c, c.z_se, c.z_sig)
    return X87_DONE


@func
def pair_missing(c: Cpu) -> u32:
    """Stack faults of the instructions that push a second result: 1 if there is one."""
    if st_empty(c, 0):
        stack_underflow(c)
    elif not st_empty(c, 7):
        stack_overflow(c)
    else:
        return 0
    c.y_se = c.z_se
    c.y_sig = c.z_sig
    return 1


@func
def fxtract(c: Cpu) -> i32:
    c.fx = 0
    if not pair_missing(c):
        f80_extract(c, st_se(c, 0), st_sig(c, 0))
    return pair_end(c)


@func
def beyond_reach(c: Cpu, se: u32, kind: u32) -> u32:
    """1 for finite angles of 2^63 and more: C2 is set and nothing else happens."""
    if kind < KIND_INF and se & EXP_MASK >= EXP_BIAS + 63:
        c.fpu_sw = (c.fpu_sw & ~FX_C1) | FX_C2
        return 1
    return 0


@func
def angle_special(c: Cpu, se: u32, sig: u64, kind: u32) -> u32:
    """NaNs, infinities: the same for all three functions. 1: z is the result."""
    if is_nan_kind(kind):
        z_nan(c, se, sig, se, sig)
        return 1
    if kind == KIND_BAD or kind == KIND_INF:
        z_invalid(c)
        return 1
    note_denormals(c, kind, kind)
    return 0


@func
def sin_or_cos(c: Cpu, which: u32) -> i32:
    """FSIN (FN_SIN) and FCOS (FN_COS)."""
    se = st_se(c, 0)
    sig = st_sig(c, 0)
    kind = f80_kind(se, sig)
    c.fx = 0
    c.fpu_sw &= ~FX_C2
    if st_empty(c, 0):
        stack_underflow(c)
    elif beyond_reach(c, se, kind):
        return X87_DONE
    elif not angle_special(c, se, sig, kind):
        if kind != KIND_ZERO:
            transcend(c, which, se, sig, 0, 0)
        elif which == FN_COS:
            set_z(c, EXP_BIAS, SIG_INT)
        else:
            set_z(c, se, sig)
    return replace_z(c, 0, 0)


@func
def y_from_z(c: Cpu) -> i32:
    c.y_se = c.z_se
    c.y_sig = c.z_sig
    return 0


@func
def sincos_values(c: Cpu, se: u32, sig: u64) -> i32:
    """Sine to y, cosine to z, of a finite non-zero angle."""
    transcend(c, FN_SINCOS, se, sig, 0, 0)
    sine_se = c.z_se
    sine_sig = c.z_sig
    c.fx &= ~FX_C1
    round_pack(c, 64, c.y_sign, c.y_exp, c.y_sig, c.y_low)
    c.y_se = sine_se
    c.y_sig = sine_sig
    return 0


@func
def tan_or_sincos(c: Cpu, which: u32) -> i32:
    """FPTAN: tangent, then 1.0 on top. FSINCOS: sine, then cosine on top."""
    se = st_se(c, 0)
    sig = st_sig(c, 0)
    kind = f80_kind(se, sig)
    c.fx = 0
    c.fpu_sw &= ~FX_C2
    if pair_missing(c):
        return pair_end(c)
    if beyond_reach(c, se, kind):
        return X87_DONE
    if angle_special(c, se, sig, kind):
        y_from_z(c)
        return pair_end(c)
    if kind == KIND_ZERO:
        c.y_se = se
        c.y_sig = sig
        set_z(c, EXP_BIAS, SIG_INT)
    elif which == FN_SINCOS:
        sincos_values(c, se, sig)
    else:
        transcend(c, FN_TAN, se, sig, 0, 0)
        y_from_z(c)
        set_z(c, EXP_BIAS, SIG_INT)
    return pair_end(c)


# --- constants -------------------------------------------------------------------------


@func
def constant_sig(which: u32) -> u64:
    """Significand of FLDL2T ... FLDLN2, chopped."""
    if which == 1:
        return 0xD49A784BCD1B8AFE  # log2(10) = 0x4000 D49A784BCD1B8AFE.492B
    if which == 2:
        return 0xB8AA3B295C17F0BB  # log2(e)  = 0x3FFF B8AA3B295C17F0BB.BE87
    if which == 3:
        return 0xC90FDAA22168C234  # pi       = 0x4000 C90FDAA22168C234.C4C6
    if which == 4:
        return 0x9A209A84FBCFF798  # log10(2) = 0x3FFD 9A209A84FBCFF798.8F89
    return 0xB17217F7D1CF79AB  # ln(2)    = 0x3FFE B17217F7D1CF79AB.C9E3


@func
def fld_constant(c: Cpu, which: u32) -> i32:
    """FLD1 FLDL2T FLDL2E FLDPI FLDLG2 FLDLN2 FLDZ (0 to 6), rounded by RC; never inexact."""
    c.fx = 0
    if which == 0:
        set_z(c, EXP_BIAS, SIG_INT)
    elif which == 6:
        set_z(c, 0, 0)
    else:
        exp: u32 = EXP_BIAS + 1
        if which == 2:
            exp = EXP_BIAS
        elif which == 4:
            exp = EXP_BIAS - 2
        elif which == 5:
            exp = EXP_BIAS - 1
        rest: u64 = 1 if which == 1 else SIG_INT | 1
        set_z(c, exp, constant_sig(which) + rounds_up(rounding(c), 0, 0, rest))
    return push_z(c)

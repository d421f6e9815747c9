"""Arithmetic, comparison and register moves of the x87 (SDM vol. 1, 8.3.3 to 8.3.6, 8.3.8).

ModRM.reg names the operation alike in D8, DA, DC and DE:

    0 FADD  1 FMUL  2 FCOM  3 FCOMP  4 FSUB  5 FSUBR  6 FDIV  7 FDIVR

always with ST(0) on the left: 4 is ST(0) - source, whatever the destination. (That is why
assemblers call DC /4 with a register FSUBR: its destination is the source.)
"""

from __future__ import annotations

from bt.interp.dialect import func, i32, u32, u64
from bt.interp.flags import condition, get_eflags, set_eflags
from bt.interp.softfloat import (
    FX_C0,
    FX_C1,
    FX_C2,
    FX_C3,
    FX_IE,
    FX_SF,
    KIND_BAD,
    KIND_DENORMAL,
    KIND_INF,
    KIND_NORMAL,
    KIND_ZERO,
    SE_INDEFINITE,
    SIG_INDEFINITE,
    f80_kind,
)
from bt.interp.softfloat_arith import SE_SIGN, f80_add, f80_compare, f80_div, f80_mul, f80_sub
from bt.interp.state import ARITH, CF, PF, ZF, Cpu
from bt.interp.x87_stack import (
    X87_DONE,
    replace_z,
    set_st,
    settle,
    st_empty,
    st_free,
    st_pop,
    st_se,
    st_sig,
    stack_underflow,
)

FP_ADD = 0
FP_MUL = 1
FP_COM = 2
FP_COMP = 3
FP_SUB = 4
FP_SUBR = 5
FP_DIV = 6
FP_DIVR = 7

FX_CONDITIONS = FX_C0 | FX_C2 | FX_C3


@func
def compute(c: Cpu, kind: u32, a_se: u32, a_sig: u64, b_se: u32, b_sig: u64) -> i32:
    if kind == FP_ADD:
        return f80_add(c, a_se, a_sig, b_se, b_sig)
    if kind == FP_MUL:
        return f80_mul(c, a_se, a_sig, b_se, b_sig)
    if kind == FP_SUB:
        return f80_sub(c, a_se, a_sig, b_se, b_sig)
    if kind == FP_SUBR:
        return f80_sub(c, b_se, b_sig, a_se, a_sig)
    if kind == FP_DIV:
        return f80_div(c, a_se, a_sig, b_se, b_sig)
    return f80_div(c, b_se, b_sig, a_se, a_sig)


@func
def arith_registers(c: Cpu, kind: u32, i: u32, target: u32, pops: u32) -> i32:
    """ST(0) op ST(i) into ST(target)."""
    c.fx = 0
    if st_empty(c, 0) or st_empty(c, i):
        stack_underflow(c)
    else:
        compute(c, kind, st_se(c, 0), st_sig(c, 0), st_se(c, i), st_sig(c, i))
    return replace_z(c, target, pops)


@func
def arith_memory(c: Cpu, kind: u32) -> i32:
    """ST(0) op the number loaded into z; its load may have reported DE."""
    if st_empty(c, 0):
        stack_underflow(c)
    else:
        compute(c, kind, st_se(c, 0), st_sig(c, 0), c.z_se, c.z_sig)
    return replace_z(c, 0, 0)


# --- comparison ------------------------------------------------------------------------


@func
def set_conditions(c: Cpu, bits: u32) -> i32:
    c.fpu_sw = (c.fpu_sw & ~FX_CONDITIONS) | bits
    return 0


@func
def compare_with(c: Cpu, se: u32, sig: u64, missing: u32, quiet: u32) -> u32:
    """Condition bits of ST(0) against a number, which may be missing (its register empty)."""
    if missing or st_empty(c, 0):
        c.fx = FX_IE | FX_SF
        return FX_CONDITIONS
    return f80_compare(c, st_se(c, 0), st_sig(c, 0), se, sig, quiet)


@func
def compare_end(c: Cpu, bits: u32, pops: u32) -> i32:
    """An unmasked exception keeps the operands on the stack, but the result is reported."""
    forbidden = settle(c)
    set_conditions(c, bits)
    if forbidden:
        return X87_DONE
    for _ in range(pops):
        st_pop(c)
    return X87_DONE


@func
def compare_registers(c: Cpu, i: u32, quiet: u32, pops: u32) -> i32:
    """FCOM, FUCOM ST(i) and their popping forms."""
    c.fx = 0
    bits = compare_with(c, st_se(c, i), st_sig(c, i), st_empty(c, i), quiet)
    return compare_end(c, bits, pops)


@func
def compare_memory(c: Cpu, pops: u32) -> i32:
    """FCOM, FICOM with the number loaded into z."""
    return compare_end(c, compare_with(c, c.z_se, c.z_sig, 0, 0), pops)


@func
def compare_zero(c: Cpu) -> i32:
    """FTST."""
    c.fx = 0
    return compare_end(c, compare_with(c, 0, 0, 0, 0), 0)


@func
def settle_keeping_c1(c: Cpu) -> u32:
    """settle() for FCOMI and FCMOV: C1 only changes, to 0, by a stack fault."""
    kept: u32 = 0 if c.fx & FX_SF else c.fpu_sw & FX_C1
    forbidden = settle(c)
    c.fpu_sw |= kept
    return forbidden


@func
def compare_flags(c: Cpu, i: u32, quiet: u32, pops: u32) -> i32:
    """FCOMI, FUCOMI: ZF, PF, CF get what C3, C2, C0 would; OF, SF, AF are cleared."""
    c.fx = 0
    bits = compare_with(c, st_se(c, i), st_sig(c, i), st_empty(c, i), quiet)
    forbidden = settle_keeping_c1(c)
    flags: u32 = ZF if bits & FX_C3 else 0
    flags |= PF if bits & FX_C2 else 0
    flags |= CF if bits & FX_C0 else 0
    set_eflags(c, (get_eflags(c) & ~ARITH) | flags)
    if pops and not forbidden:
        st_pop(c)
    return X87_DONE


@func
def fxam(c: Cpu) -> i32:
    """FXAM: the class of ST(0) in C3, C2, C0; C1 is its sign, even of an empty register."""
    bits: u32 = FX_C1 if st_se(c, 0) & SE_SIGN else 0
    kind = f80_kind(st_se(c, 0), st_sig(c, 0))
    if st_empty(c, 0):
        bits |= FX_C3 | FX_C0
    elif kind == KIND_ZERO:
        bits |= FX_C3
    elif kind == KIND_NORMAL:
        bits |= FX_C2
    elif kind == KIND_DENORMAL:
        bits |= FX_C3 | FX_C2
    elif kind == KIND_INF:
        bits |= FX_C2 | FX_C0
    elif kind != KIND_BAD:
        bits |= FX_C0
    c.fpu_sw = (c.fpu_sw & ~(FX_CONDITIONS | FX_C1)) | bits
    return X87_DONE


# --- moves between registers -----------------------------------------------------------


@func
def fxch(c: Cpu, i: u32) -> i32:
    """FXCH: an empty register counts as the default QNaN when IE is masked."""
    c.fx = 0
    if st_empty(c, 0) or st_empty(c, i):
        stack_underflow(c)
    if settle(c):
        return X87_DONE
    a_se: u32 = SE_INDEFINITE if st_empty(c, 0) else st_se(c, 0)
    a_sig: u64 = SIG_INDEFINITE if st_empty(c, 0) else st_sig(c, 0)
    b_se: u32 = SE_INDEFINITE if st_empty(c, i) else st_se(c, i)
    b_sig: u64 = SIG_INDEFINITE if st_empty(c, i) else st_sig(c, i)
    set_st(c, 0, b_se, b_sig)
    set_st(c, i, a_se, a_sig)
    return X87_DONE


@func
def fst_register(c: Cpu, i: u32, pops: u32) -> i32:
    """FST, FSTP ST(i): a plain copy, whatever is in the register."""
    c.fx = 0
    if st_empty(c, 0):
        stack_underflow(c)
    else:
        c.z_se = st_se(c, 0)
        c.z_sig = st_sig(c, 0)
    return replace_z(c, i, pops)


@func
def fstp_unchecked(c: Cpu, i: u32) -> i32:
    """D9 D8, an alias of FSTP ST(i) that pops an empty register without complaint."""
    if not st_empty(c, 0):
        set_st(c, i, st_se(c, 0), st_sig(c, 0))
    st_pop(c)
    c.fpu_sw &= ~FX_C1
    return X87_DONE


@func
def free_register(c: Cpu, i: u32, pops: u32) -> i32:
    """FFREE and FFREEP."""
    st_free(c, i)
    if pops:
        st_pop(c)
    c.fpu_sw &= ~FX_C1
    return X87_DONE


@func
def fcmov(c: Cpu, i: u32, cc: u32) -> i32:
    """FCMOVcc: an empty register is an error whether or not the condition holds."""
    c.fx = 0
    if st_empty(c, 0) or st_empty(c, i):
        stack_underflow(c)
        return replace_z(c, 0, 0)
    if condition(c, cc):
        set_st(c, 0, st_se(c, i), st_sig(c, i))
    return X87_DONE


@func
def change_sign(c: Cpu, keep: u32, flip: u32) -> i32:
    """FCHS and FABS: the sign bit alone, of anything."""
    c.fx = 0
    if st_empty(c, 0):
        stack_underflow(c)
    else:
        c.z_se = (st_se(c, 0) & keep) ^ flip
        c.z_sig = st_sig(c, 0)
    return replace_z(c, 0, 0)

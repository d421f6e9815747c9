"""The x87 instructions: opcodes D8 to DF, and FWAIT (SDM vol. 1, ch. 8; vol. 2, A-7 to A-22).

`x87` checks what all share (device not available, a pending exception), calls the function of
its opcode row, and updates the instruction and data pointers. ModRM tells forms apart: below C0
it is a memory operand and ModRM.reg selects; from C0 on the whole byte names the instruction.

Undocumented encodings that every processor since the 80387 executes are here too: DC D0 (FCOM),
DC D8 and DE D0 (FCOMP), DD C8 and DF C8 (FXCH), D9 D8 (FSTP), DF D0 and DF D8 (FSTP), DF C0
(FFREEP). The rest raises #UD, SSE3's FISTTP included.

Where manuals leave room or disagree, this is an AMD unit, checked bit by bit: comparisons report
their result even if an unmasked exception follows; FLD of a denormal m32 or m64 is done even if DE
is unmasked; FFREE clears C1, FCMOV and FCOMI leave it; transcendental results are always inexact
(PE) unless zero; F2XM1 of |x| > 1 and FYL2XP1 of x <= -1 return x.

Errors and the PC's IRQ 13: with CR0.NE = 0 an unmasked exception asserts FERR# (c.ferr) as soon
as it is raised and leaves the run loop, so that an interrupt controller can interrupt at the very
next boundary. IGNNE# is taken to be active: where no interrupt comes, waiting instructions go on.
"""

from __future__ import annotations

from bt.interp.control import leave_block
from bt.interp.dialect import NEXT, func, i32, inline, set16, u32
from bt.interp.features import ABSENT_CMOV
from bt.interp.memory import ea, fault, raise_plain
from bt.interp.softfloat import FX_C1, FX_ES
from bt.interp.softfloat_arith import SE_SIGN
from bt.interp.state import (
    CR0_EM,
    CR0_MP,
    CR0_NE,
    CR0_TS,
    CS,
    EAX,
    ST_LOOKUP,
    VEC_MF,
    VEC_NM,
    VEC_UD,
    Cpu,
    Op,
)
from bt.interp.x87_arith import (
    FP_COM,
    FP_COMP,
    arith_memory,
    arith_registers,
    change_sign,
    compare_flags,
    compare_memory,
    compare_registers,
    compare_zero,
    fcmov,
    free_register,
    fst_register,
    fstp_unchecked,
    fxam,
    fxch,
)
from bt.interp.x87_env import (
    fldcw,
    fldenv,
    frstor,
    fsave,
    fstenv,
    status_word,
    store_word,
)
from bt.interp.x87_math import (
    FN_COS,
    FN_SIN,
    FN_SINCOS,
    FN_TAN,
    fld_constant,
    fprem,
    fscale,
    fxtract,
    math_binary,
    math_unary,
    sin_or_cos,
    tan_or_sincos,
)
from bt.interp.x87_memory import (
    fbld,
    fbstp,
    fild,
    fild64,
    fist,
    fld80,
    fld_real,
    fst_real,
    fstp80,
    load_operand,
)
from bt.interp.x87_stack import (
    X87_CONTROL,
    X87_DONE,
    X87_FAULT,
    fld_register,
    fpu_clear_exceptions,
    fpu_init,
)

# Condition codes of FCMOVcc
CC_BELOW = 2
CC_EQUAL = 4
CC_BELOW_EQUAL = 6
CC_PARITY = 10


@func
def x87_undefined(c: Cpu) -> i32:
    raise_plain(c, VEC_UD)
    return X87_FAULT


@func
def x87_memory_arith(c: Cpu, op: Op, escape: u32, kind: u32) -> i32:
    """D8, DA, DC, DE with a memory operand: the eight operations."""
    if load_operand(c, op, escape) < 0:
        return X87_FAULT
    if kind == FP_COM or kind == FP_COMP:
        return compare_memory(c, kind - FP_COM)
    return arith_memory(c, kind)


@func
def x87_register_arith(c: Cpu, kind: u32, i: u32, to_i: u32, pops: u32) -> i32:
    """D8, DC, DE with a register: into ST(0), into ST(i), into ST(i) and pop."""
    if kind == FP_COM or kind == FP_COMP:
        return compare_registers(c, i, 0, 1 if pops else kind - FP_COM)
    return arith_registers(c, kind, i, i if to_i else 0, pops)


# --- D9 --------------------------------------------------------------------------------


@func
def x87_d9_memory(c: Cpu, op: Op, kind: u32) -> i32:
    if kind == 0:
        return fld_real(c, op, 0)
    if kind == 2:
        return fst_real(c, op, 0, 0)
    if kind == 3:
        return fst_real(c, op, 0, 1)
    if kind == 4:
        return fldenv(c, op)
    if kind == 5:
        return fldcw(c, op)
    if kind == 6:
        return fstenv(c, op)
    if kind == 7:
        return store_word(c, op, c.fpu_cw)
    return x87_undefined(c)


@func
def x87_rotate(c: Cpu, by: u32) -> i32:
    """FINCSTP and FDECSTP: TOP alone moves."""
    c.fpu_top = (c.fpu_top + by) & 7
    c.fpu_sw &= ~FX_C1
    return X87_DONE


@func
def x87_d9_math(c: Cpu, which: u32) -> i32:
    """D9 F0 to D9 FF."""
    if which == 0xF0 or which == 0xFA or which == 0xFC:
        return math_unary(c, which)
    if which == 0xF1 or which == 0xF3 or which == 0xF9:
        return math_binary(c, which)
    if which == 0xF5:
        return fprem(c, 1)
    if which == 0xF8:
        return fprem(c, 0)
    if which == 0xFD:
        return fscale(c)
    if which == 0xF2:
        return tan_or_sincos(c, FN_TAN)
    if which == 0xF4:
        return fxtract(c)
    if which == 0xF6:
        return x87_rotate(c, 7)
    if which == 0xF7:
        return x87_rotate(c, 1)
    if which == 0xFB:
        return tan_or_sincos(c, FN_SINCOS)
    return sin_or_cos(c, FN_SIN if which == 0xFE else FN_COS)


@func
def x87_d9_register(c: Cpu, which: u32) -> i32:
    i: u32 = which & 7
    if which < 0xC8:
        return fld_register(c, i)
    if which < 0xD0:
        return fxch(c, i)
    if which == 0xD0:
        return X87_DONE  # FNOP
    if 0xD8 <= which < 0xE0:
        return fstp_unchecked(c, i)
    if which == 0xE0:
        return change_sign(c, 0xFFFF, SE_SIGN)
    if which == 0xE1:
        return change_sign(c, 0x7FFF, 0)
    if which == 0xE4:
        return compare_zero(c)
    if which == 0xE5:
        return fxam(c)
    if 0xE8 <= which < 0xEF:
        return fld_constant(c, i)
    if which >= 0xF0:
        return x87_d9_math(c, which)
    return x87_undefined(c)


# --- DA and DB -------------------------------------------------------------------------


@func
def x87_fcmov(c: Cpu, which: u32, negate: u32) -> i32:
    """DA C0 to DF (B, E, BE, U) and DB C0 to DF (their opposites)."""
    if c.absent & ABSENT_CMOV:
        return x87_undefined(c)
    column = (which >> 3) & 3
    cc: u32 = CC_BELOW
    if column == 1:
        cc = CC_EQUAL
    elif column == 2:
        cc = CC_BELOW_EQUAL
    elif column == 3:
        cc = CC_PARITY
    return fcmov(c, which & 7, cc | negate)


@func
def x87_fcomi(c: Cpu, i: u32, quiet: u32, pops: u32) -> i32:
    """FCOMI and FUCOMI, FCOMIP and FUCOMIP: they came with FCMOV."""
    if c.absent & ABSENT_CMOV:
        return x87_undefined(c)
    return compare_flags(c, i, quiet, pops)


@func
def x87_da_register(c: Cpu, which: u32) -> i32:
    if which < 0xE0:
        return x87_fcmov(c, which, 0)
    if which == 0xE9:
        return compare_registers(c, 1, 1, 2)  # FUCOMPP
    return x87_undefined(c)


@func
def x87_db_memory(c: Cpu, op: Op, kind: u32) -> i32:
    if kind == 0:
        return fild(c, op, 2)
    if kind == 2:
        return fist(c, op, 32, 0)
    if kind == 3:
        return fist(c, op, 32, 1)
    if kind == 5:
        return fld80(c, op)
    if kind == 7:
        return fstp80(c, op)
    return x87_undefined(c)


@func
def x87_db_register(c: Cpu, which: u32) -> i32:
    if which < 0xE0:
        return x87_fcmov(c, which, 1)
    if which == 0xE2:
        fpu_clear_exceptions(c)
        return X87_CONTROL
    if which == 0xE3:
        fpu_init(c)
        return X87_CONTROL
    if which <= 0xE4:
        return X87_CONTROL  # FNENI, FNDISI, FNSETPM: of the 8087 and 80287
    if 0xE8 <= which < 0xF0:
        return x87_fcomi(c, which & 7, 1, 0)
    if 0xF0 <= which < 0xF8:
        return x87_fcomi(c, which & 7, 0, 0)
    return x87_undefined(c)


# --- DD, DE and DF ---------------------------------------------------------------------


@func
def x87_dd_memory(c: Cpu, op: Op, kind: u32) -> i32:
    if kind == 0:
        return fld_real(c, op, 4)
    if kind == 2:
        return fst_real(c, op, 1, 0)
    if kind == 3:
        return fst_real(c, op, 1, 1)
    if kind == 4:
        return frstor(c, op)
    if kind == 6:
        return fsave(c, op)
    if kind == 7:
        return store_word(c, op, status_word(c))
    return x87_undefined(c)


@func
def x87_dd_register(c: Cpu, which: u32) -> i32:
    i: u32 = which & 7
    if which < 0xC8:
        return free_register(c, i, 0)
    if which < 0xD0:
        return fxch(c, i)
    if which < 0xE0:
        return fst_register(c, i, 1 if which >= 0xD8 else 0)
    if which < 0xF0:
        return compare_registers(c, i, 1, 1 if which >= 0xE8 else 0)
    return x87_undefined(c)


@func
def x87_de_register(c: Cpu, which: u32) -> i32:
    if 0xD8 <= which < 0xE0:
        if which != 0xD9:
            return x87_undefined(c)
        return compare_registers(c, 1, 0, 2)  # FCOMPP
    return x87_register_arith(c, (which >> 3) & 7, which & 7, 1, 1)


@func
def x87_df_memory(c: Cpu, op: Op, kind: u32) -> i32:
    if kind == 0:
        return fild(c, op, 6)
    if kind == 2:
        return fist(c, op, 16, 0)
    if kind == 3:
        return fist(c, op, 16, 1)
    if kind == 4:
        return fbld(c, op)
    if kind == 5:
        return fild64(c, op)
    if kind == 6:
        return fbstp(c, op)
    if kind == 7:
        return fist(c, op, 64, 1)
    return x87_undefined(c)


@func
def x87_df_register(c: Cpu, which: u32) -> i32:
    i: u32 = which & 7
    if which < 0xC8:
        return free_register(c, i, 1)
    if which < 0xD0:
        return fxch(c, i)
    if which < 0xE0:
        return fst_register(c, i, 1)
    if which == 0xE0:
        set16(c, EAX, status_word(c))
        return X87_CONTROL
    if 0xE8 <= which < 0xF0:
        return x87_fcomi(c, i, 1, 1)
    if 0xF0 <= which < 0xF8:
        return x87_fcomi(c, i, 0, 1)
    return x87_undefined(c)


# --- all of them -----------------------------------------------------------------------


@inline
def x87_memory_row(c: Cpu, op: Op, escape: u32) -> i32:
    kind: u32 = (op.modrm >> 3) & 7
    if escape & 1 == 0:
        return x87_memory_arith(c, op, escape, kind)
    if escape == 1:
        return x87_d9_memory(c, op, kind)
    if escape == 3:
        return x87_db_memory(c, op, kind)
    if escape == 5:
        return x87_dd_memory(c, op, kind)
    return x87_df_memory(c, op, kind)


@inline
def x87_register_row(c: Cpu, op: Op, escape: u32) -> i32:
    which: u32 = op.modrm
    if escape == 0 or escape == 4:
        return x87_register_arith(c, (which >> 3) & 7, which & 7, escape, 0)
    if escape == 1:
        return x87_d9_register(c, which)
    if escape == 2:
        return x87_da_register(c, which)
    if escape == 3:
        return x87_db_register(c, which)
    if escape == 5:
        return x87_dd_register(c, which)
    if escape == 6:
        return x87_de_register(c, which)
    return x87_df_register(c, which)


@func
def x87_waits(escape: u32, modrm: u32) -> u32:
    """0 for the instructions that ignore a pending exception (SDM vol. 1, 8.3.12)."""
    kind: u32 = (modrm >> 3) & 7
    if modrm < 0xC0:
        if escape == 1 or escape == 5:
            return 0 if kind >= 6 else 1
        return 1
    if escape == 3:
        return 0 if 0xE0 <= modrm <= 0xE4 else 1
    return 0 if escape == 7 and modrm == 0xE0 else 1


@func
def x87_came_later(escape: u32, modrm: u32) -> u32:
    """1 for FCMOV, FCOMI and their kin: the feature CMOV."""
    if escape == 2 or escape == 3:
        if 0xC0 <= modrm < 0xE0:
            return 1
    return 1 if (escape == 3 or escape == 7) and 0xE8 <= modrm < 0xF8 else 0


@func
def x87_reserved(escape: u32, modrm: u32) -> u32:
    """1 for the encodings that are none: #UD comes before a pending exception."""
    kind: u32 = (modrm >> 3) & 7
    if modrm < 0xC0:
        if escape == 3:
            return 1 if kind == 1 or kind == 4 or kind == 6 else 0
        return 1 if escape & 1 and (kind == 1 or (escape == 5 and kind == 5)) else 0
    if escape == 1:
        if modrm < 0xE8:
            return 1 if 0xD1 <= modrm < 0xD8 or modrm & 0xE2 == 0xE2 else 0
        return 1 if modrm == 0xEF else 0
    if escape == 2:
        return 1 if modrm >= 0xE0 and modrm != 0xE9 else 0
    if escape == 3:
        return 1 if 0xE5 <= modrm < 0xE8 or modrm >= 0xF8 else 0
    if escape == 5:
        return 1 if modrm >= 0xF0 else 0
    if escape == 6:
        return 1 if 0xD8 <= modrm < 0xE0 and modrm != 0xD9 else 0
    return 1 if escape == 7 and (0xE1 <= modrm < 0xE8 or modrm >= 0xF8) else 0


@func
def x87_not_now(c: Cpu, op: Op, escape: u32) -> u32:
    """#NM, or #MF for a pending exception: 1 if the instruction cannot run."""
    if c.cr0 & (CR0_EM | CR0_TS):
        raise_plain(c, VEC_NM)
        return 1
    if c.absent & ABSENT_CMOV and x87_came_later(escape, op.modrm):
        return 0
    if c.cr0 & CR0_NE and x87_waits(escape, op.modrm) and not x87_reserved(escape, op.modrm):
        raise_plain(c, VEC_MF)
        return 1
    return 0


@inline
def x87_pointers(c: Cpu, op: Op, escape: u32) -> i32:
    """Where the last non-control instruction was, and its memory operand."""
    c.fpu_ip = op.eip
    c.fpu_cs = c.seg_sel[CS]
    c.fpu_op = escape << 8 | op.modrm
    if op.modrm < 0xC0:
        c.fpu_dp = ea(c, op)
        c.fpu_ds = c.seg_sel[op.seg]
    return 0


@func
def x87_error(c: Cpu, op: Op) -> i32:
    """Completed with an unmasked exception pending: FERR# if the PC is to hear of it."""
    if c.cr0 & CR0_NE or c.ferr:
        return NEXT(c, op)
    c.ferr = 1
    c.recheck = 1
    leave_block(c, op)
    c.eip = op.next_eip
    return ST_LOOKUP


@inline
def x87(c: Cpu, op: Op, escape: u32) -> i32:
    if c.cr0 & (CR0_EM | CR0_TS) or c.fpu_sw & FX_ES:
        if x87_not_now(c, op, escape):
            return fault(c, op)
    done: i32 = 0
    if op.modrm < 0xC0:
        done = x87_memory_row(c, op, escape)
    else:
        done = x87_register_row(c, op, escape)
    if done < 0:
        return fault(c, op)
    if done == X87_DONE:
        x87_pointers(c, op, escape)
    if c.fpu_sw & FX_ES:
        return x87_error(c, op)
    return NEXT(c, op)


@func
def fwait(c: Cpu, op: Op) -> i32:
    """FWAIT: wait for the x87, that is, take its pending exception."""
    if c.cr0 & CR0_MP and c.cr0 & CR0_TS:
        raise_plain(c, VEC_NM)
        return fault(c, op)
    if c.fpu_sw & FX_ES and c.cr0 & CR0_NE:
        raise_plain(c, VEC_MF)
        return fault(c, op)
    return NEXT(c, op)

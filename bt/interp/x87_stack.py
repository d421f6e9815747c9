"""The x87 register stack and how an instruction ends (SDM vol. 1, 8.1 and 8.5).

ST(i) is the physical register (TOP + i) mod 8. A bit of c.fpu_tag says whether a physical
register is in use; the two-bit tags programs see are worked out when the tag word is stored.

An instruction computes into c.z_se, c.z_sig and c.fx, then calls `settle()`: it enters c.fx in
the status word and says whether an unmasked exception forbids the result. Example, FADD ST(1)
with ST(1) empty: stack_underflow() notes IE and SF; if IE is masked, settle() returns 0 and the
default QNaN in z is stored; if not, ES is set and the registers stay as they were.
"""

from __future__ import annotations

from bt.interp.dialect import func, i32, inline, u32, u64
from bt.interp.softfloat import (
    FX_ALL,
    FX_BUSY,
    FX_C1,
    FX_DE,
    FX_ES,
    FX_IE,
    FX_SF,
    FX_ZE,
    KIND_NORMAL,
    KIND_ZERO,
    SE_INDEFINITE,
    SIG_INDEFINITE,
    f80_kind,
    set_z,
)
from bt.interp.state import Cpu

# How the parts of x87.py end
X87_FAULT = -1  # c.fault_* are set, nothing has changed
X87_CONTROL = 0  # done; the instruction and data pointers stay
X87_DONE = 1  # done; the pointers are to be updated

FX_BEFORE = FX_IE | FX_DE | FX_ZE  # found before computing: unmasked, the operands stay
FX_UNMASKED = FX_ES | FX_BUSY  # ES and its copy B

TAG_VALID = 0
TAG_ZERO = 1
TAG_SPECIAL = 2
TAG_EMPTY = 3


@inline
def st_place(c: Cpu, i: u32) -> u32:
    """Physical register of ST(i)."""
    return (c.fpu_top + i) & 7


@inline
def st_empty(c: Cpu, i: u32) -> u32:
    return ((c.fpu_tag >> st_place(c, i)) & 1) ^ 1


@inline
def st_se(c: Cpu, i: u32) -> u32:
    return c.fpr_se[st_place(c, i)]


@inline
def st_sig(c: Cpu, i: u32) -> u64:
    return c.fpr_sig[st_place(c, i)]


@inline
def set_st(c: Cpu, i: u32, se: u32, sig: u64) -> i32:
    place = st_place(c, i)
    c.fpr_se[place] = se
    c.fpr_sig[place] = sig
    c.fpu_tag |= 1 << place
    return 0


@inline
def st_free(c: Cpu, i: u32) -> i32:
    c.fpu_tag &= ~(1 << st_place(c, i))
    return 0


@inline
def st_pop(c: Cpu) -> i32:
    st_free(c, 0)
    c.fpu_top = (c.fpu_top + 1) & 7
    return 0


@inline
def st_push(c: Cpu, se: u32, sig: u64) -> i32:
    c.fpu_top = (c.fpu_top - 1) & 7
    return set_st(c, 0, se, sig)


@func
def stack_underflow(c: Cpu) -> i32:
    """An operand register is empty: the masked result is the default QNaN."""
    c.fx = FX_IE | FX_SF
    return set_z(c, SE_INDEFINITE, SIG_INDEFINITE)


@func
def stack_overflow(c: Cpu) -> i32:
    """The register to push into is in use: C1 tells it from an underflow."""
    c.fx = FX_IE | FX_SF | FX_C1
    return set_z(c, SE_INDEFINITE, SIG_INDEFINITE)


@func
def settle_exceptions(c: Cpu) -> u32:
    """settle() when there is something to report."""
    unmasked = c.fx & ~c.fpu_cw & FX_ALL
    if unmasked & FX_BEFORE:  # nothing was computed, so nothing was rounded
        c.fx &= FX_BEFORE | FX_SF | (FX_C1 if c.fx & FX_SF else 0)
    c.fpu_sw = (c.fpu_sw & ~FX_C1) | c.fx
    if unmasked:
        c.fpu_sw |= FX_UNMASKED
    return unmasked & FX_BEFORE


@inline
def settle(c: Cpu) -> u32:
    """Enter c.fx in the status word; non-zero: no result may be stored."""
    if c.fx == 0:
        c.fpu_sw &= ~FX_C1
        return 0
    return settle_exceptions(c)


@func
def update_summary(c: Cpu) -> i32:
    """ES and B after the status or control word was written."""
    if c.fpu_sw & ~c.fpu_cw & FX_ALL:
        c.fpu_sw |= FX_UNMASKED
    else:
        c.fpu_sw &= ~FX_UNMASKED
        c.ferr = 0
    return 0


@func
def push_checked(c: Cpu) -> i32:
    """Push z unless c.fx holds an unmasked exception: a denormal m32 or m64 is pushed (as the
    normal number it now is) even when DE is not masked."""
    if settle(c) & ~FX_DE:
        return X87_DONE
    st_push(c, c.z_se, c.z_sig)
    return X87_DONE


@func
def push_z(c: Cpu) -> i32:
    """Push the number in z, with what its load reported in c.fx."""
    if not st_empty(c, 7):
        stack_overflow(c)
    return push_checked(c)


@func
def fld_register(c: Cpu, i: u32) -> i32:
    """FLD ST(i). An empty source is noticed before a full stack."""
    c.fx = 0
    if st_empty(c, i):
        stack_underflow(c)
        return push_checked(c)
    set_z(c, st_se(c, i), st_sig(c, i))
    return push_z(c)


@func
def replace_z(c: Cpu, i: u32, pops: u32) -> i32:
    """End of an arithmetic instruction: z to ST(i), then pop."""
    if settle(c):
        return X87_DONE
    set_st(c, i, c.z_se, c.z_sig)
    if pops:
        st_pop(c)
    return X87_DONE


@func
def tag_of(c: Cpu, place: u32) -> u32:
    """The two-bit tag of a physical register."""
    if (c.fpu_tag >> place) & 1 == 0:
        return TAG_EMPTY
    kind = f80_kind(c.fpr_se[place], c.fpr_sig[place])
    if kind == KIND_NORMAL:
        return TAG_VALID
    return TAG_ZERO if kind == KIND_ZERO else TAG_SPECIAL


@func
def fpu_init(c: Cpu) -> i32:
    """FNINIT: the registers become empty and keep their contents."""
    c.fpu_cw = 0x37F
    c.fpu_sw = 0
    c.fpu_top = 0
    c.fpu_tag = 0
    c.fpu_ip = 0
    c.fpu_cs = 0
    c.fpu_dp = 0
    c.fpu_ds = 0
    c.fpu_op = 0
    c.ferr = 0
    return 0


@func
def fpu_reset(c: Cpu) -> i32:
    """RESET#: eight registers in use, all +0 (SDM vol. 3, table 9-1: FCW 0040, FTW 5555)."""
    fpu_init(c)
    c.fpu_cw = 0x40
    c.fpu_tag = 0xFF
    for i in range(8):
        c.fpr_sig[i] = 0
        c.fpr_se[i] = 0
    return 0


@func
def fpu_clear_exceptions(c: Cpu) -> i32:
    """FNCLEX."""
    c.fpu_sw &= ~(FX_ALL | FX_SF | FX_UNMASKED)
    c.ferr = 0
    return 0

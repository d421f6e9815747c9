"""Instructions on EFLAGS, and HLT (SDM vol. 2; privilege rules in vol. 3, 2.3 and 20.2).

| at                     | PUSHF     | POPF                         | CLI, STI    |
| ---------------------- | --------- | ---------------------------- | ----------- |
| real mode, CPL 0       | works     | all but VM, VIF, VIP         | work        |
| CPL <= IOPL            | works     | not IOPL                     | work        |
| CPL > IOPL             | works     | not IOPL; IF silently kept   | #GP(0)      |
| virtual-8086, IOPL < 3 | #GP(0)    | #GP(0)                       | #GP(0)      |

The third line is why x86 cannot be virtualized by trapping alone: POPF ignores IF, silently.
What VME and PVI make of the last two lines stands in virtual_if.py.
"""

from __future__ import annotations

from bt.interp.control import leave_block
from bt.interp.counting import hold_interrupts
from bt.interp.dialect import M16, M32, NEXT, func, get8, i32, i64, inline, set8, u32
from bt.interp.flags import cc_carry, get_eflags, set_eflags, settle_flags
from bt.interp.memory import fault, raise_error
from bt.interp.segments import set_cpl
from bt.interp.stack import pop, push
from bt.interp.state import (
    AC,
    AF,
    ARITH,
    CF,
    CR0_AM,
    DF,
    ESP,
    EXIT_HALT,
    ID,
    IF,
    IOPL,
    NT,
    PF,
    RF,
    SF,
    ST_EXIT,
    ST_LOOKUP,
    TF,
    VEC_GP,
    VM,
    ZF,
    Cpu,
    Op,
)
from bt.interp.virtual_if import (
    check_virtual_flags,
    has_virtual_if,
    in_virtual_flags,
    set_virtual_if,
    sti_virtual,
    v86_flags_check,
    virtual_flags,
)

POPF_ANY = ARITH | TF | DF | NT | AC | ID  # what POPF loads at every privilege level


@inline
def iopl_of(c: Cpu) -> u32:
    return (c.eflags & IOPL) >> 12


@func
def flags_loaded(c: Cpu, op: Op) -> i32:
    """End of an instruction that may have set IF or TF: the run loop looks if that matters now."""
    if c.cpl == 3 and c.cr0 & CR0_AM:
        set_cpl(c, c.cpl)  # AC may have changed
    if c.eflags & TF or (c.eflags & IF and c.intr):
        leave_block(c, op)
        c.eip = op.next_eip
        return ST_LOOKUP
    return NEXT(c, op)


@func
def pushf(c: Cpu, op: Op) -> i32:
    """PUSHF, PUSHFD: VM and RF are pushed as 0."""
    if v86_flags_check(c, op.size) < 0:
        return fault(c, op)
    image: u32 = virtual_flags(c) if in_virtual_flags(c) else get_eflags(c) & ~(VM | RF) & M32
    if push(c, op.size, image) < 0:
        return fault(c, op)
    return NEXT(c, op)


@func
def popf(c: Cpu, op: Op) -> i32:
    if v86_flags_check(c, op.size) < 0:
        return fault(c, op)
    before = c.regs[ESP]
    value = pop(c, op.size)
    if value < 0:
        return fault(c, op)
    if c.external and value & TF:  # single-stepping is the monitor's business
        c.regs[ESP] = before
        raise_error(c, VEC_GP, 0)
        return fault(c, op)
    if in_virtual_flags(c):
        if check_virtual_flags(c, value & M32) < 0:
            c.regs[ESP] = before
            return fault(c, op)
        set_virtual_if(c, value & IF)
    allowed: u32 = POPF_ANY
    if c.cpl <= iopl_of(c):
        allowed |= IF
    if c.cpl == 0:
        allowed |= IOPL
    if op.size == 2:
        allowed &= M16
    old: u32 = get_eflags(c)
    set_eflags(c, (old & ~(allowed | RF) & M32) | (value & allowed))
    return flags_loaded(c, op)


@func
def if_privilege(c: Cpu) -> i64:
    """CLI and STI need CPL <= IOPL, or else a virtual IF."""
    if c.cpl > iopl_of(c) and not has_virtual_if(c):
        return raise_error(c, VEC_GP, 0)
    return 0


@func
def cli(c: Cpu, op: Op) -> i32:
    if if_privilege(c) < 0:
        return fault(c, op)
    if has_virtual_if(c):
        set_virtual_if(c, 0)
    else:
        c.eflags &= ~IF & M32
    return NEXT(c, op)


@func
def sti(c: Cpu, op: Op) -> i32:
    """STI: interrupts are taken after the *next* instruction, if IF was clear."""
    if if_privilege(c) < 0:
        return fault(c, op)
    if has_virtual_if(c):
        return fault(c, op) if sti_virtual(c) < 0 else NEXT(c, op)
    if c.eflags & IF == 0:
        c.eflags |= IF
        hold_interrupts(c, op)
    return flags_loaded(c, op)


@func
def lahf(c: Cpu, op: Op) -> i32:
    set8(c, 1, get_eflags(c) & 0xFF)
    return NEXT(c, op)


@func
def sahf(c: Cpu, op: Op) -> i32:
    loaded: u32 = SF | ZF | AF | PF | CF
    set_eflags(c, (get_eflags(c) & ~loaded & M32) | (get8(c, 1) & loaded))
    return NEXT(c, op)


@func
def flag_carry(c: Cpu, op: Op, kind: u32) -> i32:
    """CLC (0), STC (1), CMC (2)."""
    settle_flags(c)
    if kind == 2:
        c.eflags ^= CF
    else:
        c.eflags = (c.eflags & ~CF & M32) | kind
    return NEXT(c, op)


@inline
def flag_direction(c: Cpu, op: Op, value: u32) -> i32:
    """CLD (0), STD (1)."""
    c.eflags = (c.eflags & ~DF & M32) | (DF if value else 0)
    return NEXT(c, op)


@func
def salc(c: Cpu, op: Op) -> i32:
    """SALC (undocumented, all Intel processors): AL = CF ? 0xFF : 0."""
    set8(c, 0, 0xFF if cc_carry(c) else 0)
    return NEXT(c, op)


@func
def hlt(c: Cpu, op: Op) -> i32:
    if c.cpl != 0:
        raise_error(c, VEC_GP, 0)
        return fault(c, op)
    leave_block(c, op)
    c.eip = op.next_eip
    c.exit_reason = EXIT_HALT
    return ST_EXIT

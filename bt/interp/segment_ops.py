"""Instructions on segment registers and selectors (SDM vol. 2; vol. 3, 5.10 and 5.11).

MOV, PUSH and POP of segment registers, LDS LES LFS LGS LSS; ARPL, and the instructions with which
a program asks whether it could use a selector: LAR, LSL, VERR, VERW. Those answer in ZF instead of
faulting.
"""

from __future__ import annotations

from bt.interp.counting import hold_interrupts
from bt.interp.descriptors import (
    TYPE_CALL16,
    TYPE_CALL32,
    TYPE_LDT,
    TYPE_TASK_GATE,
    TYPE_TSS16,
    TYPE_TSS16_BUSY,
    TYPE_TSS32,
    TYPE_TSS32_BUSY,
    desc_dpl,
    desc_limit,
    desc_type,
    descriptor_address,
    is_conforming,
    is_null_selector,
    is_readable,
    is_writable,
    protected_mode,
    read_descriptor,
)
from bt.interp.dialect import M16, M32, NEXT, func, get16, i32, i64, set16, u32
from bt.interp.flags import settle_flags
from bt.interp.memory import ea, fault, load, raise_plain, store
from bt.interp.operands import set_reg
from bt.interp.segments import load_segment
from bt.interp.stack import push, set_esp, stack_at
from bt.interp.state import CS, SS, VEC_UD, ZF, Cpu, Op


@func
def undefined_opcode(c: Cpu, op: Op) -> i32:
    raise_plain(c, VEC_UD)
    return fault(c, op)


@func
def read_word(c: Cpu, op: Op) -> i64:
    """A 16-bit E operand, register or memory; -1: faulted."""
    if op.modrm < 0xC0:
        return load(c, op.seg, ea(c, op), 2)
    return get16(c, op.rm)


@func
def write_word(c: Cpu, op: Op, value: u32) -> i64:
    """A word to an E operand: 16 bits of memory, but a 32-bit register is zero-extended."""
    if op.modrm < 0xC0:
        return store(c, op.seg, ea(c, op), 2, value)
    return set_reg(c, op.rm, op.size, value)


@func
def replace_word(c: Cpu, op: Op, value: u32) -> i64:
    """A word to an E operand of 16 bits: the upper half of a register stays."""
    if op.modrm < 0xC0:
        return store(c, op.seg, ea(c, op), 2, value)
    set16(c, op.rm, value)
    return 0


# --- moving segment registers ----------------------------------------------------------


@func
def push_seg(c: Cpu, op: Op, seg: u32) -> i32:
    if push(c, op.size, c.seg_sel[seg]) < 0:
        return fault(c, op)
    return NEXT(c, op)


@func
def loaded_segment(c: Cpu, op: Op, seg: u32) -> i32:
    """End of MOV and POP to a segment register: loading SS holds off interrupts and debug
    exceptions, so that the stack pointer can follow (SDM vol. 3, 6.8.3)."""
    if seg == SS:
        hold_interrupts(c, op)
        c.ss_loaded_at = c.shadow_at
        c.singlestep = 0
    return NEXT(c, op)


@func
def pop_seg(c: Cpu, op: Op, seg: u32) -> i32:
    """POP seg. A new SS may have another width: the stack pointer moves by the old one."""
    selector = load(c, SS, stack_at(c, 0), op.size)
    if selector < 0:
        return fault(c, op)
    if seg != SS:
        if load_segment(c, seg, selector & M16) < 0:
            return fault(c, op)
        set_esp(c, stack_at(c, op.size))
        return NEXT(c, op)
    after = stack_at(c, op.size)
    mask = c.sp_mask
    if load_segment(c, SS, selector & M16) < 0:
        return fault(c, op)
    c.regs[4] = (c.regs[4] & ~mask & M32) | after
    return loaded_segment(c, op, SS)


@func
def mov_es(c: Cpu, op: Op) -> i32:
    """MOV r/m, Sreg."""
    if op.reg > 5:
        return undefined_opcode(c, op)
    if write_word(c, op, c.seg_sel[op.reg]) < 0:
        return fault(c, op)
    return NEXT(c, op)


@func
def mov_se(c: Cpu, op: Op) -> i32:
    """MOV Sreg, r/m16."""
    if op.reg > 5 or op.reg == CS:
        return undefined_opcode(c, op)
    selector = read_word(c, op)
    if selector < 0 or load_segment(c, op.reg, selector & M16) < 0:
        return fault(c, op)
    return loaded_segment(c, op, op.reg)


@func
def load_far_pointer(c: Cpu, op: Op, seg: u32) -> i32:
    """LDS, LES, LFS, LGS, LSS: offset into the register, selector into the segment register."""
    if op.modrm >= 0xC0:
        return undefined_opcode(c, op)
    at = ea(c, op)
    offset = load(c, op.seg, at, op.size)
    if offset < 0:
        return fault(c, op)
    selector = load(c, op.seg, (at + op.size) & op.amask, 2)
    if selector < 0 or load_segment(c, seg, selector & M16) < 0:
        return fault(c, op)
    set_reg(c, op.reg, op.size, offset & M32)
    return NEXT(c, op)


# --- asking about selectors ------------------------------------------------------------


@func
def set_zero_flag(c: Cpu, value: u32) -> i32:
    settle_flags(c)
    c.eflags = (c.eflags & ~ZF & M32) | (ZF if value else 0)
    return 0


@func
def arpl(c: Cpu, op: Op) -> i32:
    """ARPL: raise the RPL of the first selector to that of the second."""
    if not protected_mode(c):
        return undefined_opcode(c, op)
    selector = read_word(c, op)
    if selector < 0:
        return fault(c, op)
    rpl: u32 = c.regs[op.reg] & 3
    raised: u32 = 1 if selector & 3 < rpl else 0
    if raised and replace_word(c, op, (selector & 0xFFFC) | rpl) < 0:
        return fault(c, op)
    set_zero_flag(c, raised)
    return NEXT(c, op)


@func
def visible_descriptor(c: Cpu, selector: u32) -> i64:
    """Fetch a selector's descriptor for LAR, LSL, VERR, VERW.

    1: in c.desc_lo, c.desc_hi; 0: there is none, or CPL and RPL do not let it be seen; -1: #PF.
    """
    if is_null_selector(selector):
        return 0
    la = descriptor_address(c, selector)
    if la < 0:
        return 0
    if read_descriptor(c, la & M32) < 0:
        return -1
    if is_conforming(c.desc_hi):
        return 1
    dpl = desc_dpl(c.desc_hi)
    return 1 if c.cpl <= dpl and selector & 3 <= dpl else 0


@func
def is_system_segment(kind: u32) -> u32:
    """A TSS or an LDT: what LSL accepts besides code and data."""
    if kind == TYPE_TSS16 or kind == TYPE_TSS16_BUSY or kind == TYPE_LDT:
        return 1
    return 1 if kind == TYPE_TSS32 or kind == TYPE_TSS32_BUSY else 0


@func
def has_access_rights(kind: u32) -> u32:
    """What LAR accepts: code, data, TSS, LDT, call and task gates."""
    if kind >= 0x10 or is_system_segment(kind):
        return 1
    return 1 if kind == TYPE_CALL16 or kind == TYPE_CALL32 or kind == TYPE_TASK_GATE else 0


@func
def lar(c: Cpu, op: Op) -> i32:
    """LAR: access rights of a selector, ZF=1; or ZF=0 and no result."""
    if not protected_mode(c):
        return undefined_opcode(c, op)
    selector = read_word(c, op)
    if selector < 0:
        return fault(c, op)
    seen = visible_descriptor(c, selector & M16)
    if seen < 0:
        return fault(c, op)
    found: u32 = 1 if seen and has_access_rights(desc_type(c.desc_hi)) else 0
    if found:
        set_reg(c, op.reg, op.size, c.desc_hi & (0x00FFFF00 if op.size == 4 else 0xFF00))
    set_zero_flag(c, found)
    return NEXT(c, op)


@func
def lsl(c: Cpu, op: Op) -> i32:
    """LSL: limit of a selector in bytes, ZF=1; or ZF=0 and no result."""
    if not protected_mode(c):
        return undefined_opcode(c, op)
    selector = read_word(c, op)
    if selector < 0:
        return fault(c, op)
    seen = visible_descriptor(c, selector & M16)
    if seen < 0:
        return fault(c, op)
    kind = desc_type(c.desc_hi)
    found: u32 = 1 if seen and (kind >= 0x10 or is_system_segment(kind)) else 0
    if found:
        limit = desc_limit(c.desc_lo, c.desc_hi)
        set_reg(c, op.reg, op.size, limit if op.size == 4 else limit & M16)
    set_zero_flag(c, found)
    return NEXT(c, op)


@func
def ver(c: Cpu, op: Op, write: u32) -> i32:
    """VERR (0), VERW (1): ZF says whether the selector could be read, written."""
    if not protected_mode(c):
        return undefined_opcode(c, op)
    selector = read_word(c, op)
    if selector < 0:
        return fault(c, op)
    seen = visible_descriptor(c, selector & M16)
    if seen < 0:
        return fault(c, op)
    fits = is_writable(c.desc_hi) if write else is_readable(c.desc_hi)
    set_zero_flag(c, 1 if seen and fits else 0)
    return NEXT(c, op)

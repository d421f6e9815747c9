"""Control registers: MOV to and from CR0, CR2, CR3 and CR4, LMSW, SMSW (SDM vol. 3, 2.5).

What a change of them does to the TLB (SDM vol. 3, 4.10.4):

| change                       | flushes                   |
| ---------------------------- | ------------------------- |
| CR0.PE, CR0.PG, CR0.WP       | everything                |
| CR3                          | all but global pages      |
| CR4.PSE, CR4.PGE, CR4.PAE    | everything                |

With PAE, some of these changes also load the four pointer entries (pae.py), and fault with nothing
changed if they cannot be (SDM vol. 3, 4.4.1).
"""

from __future__ import annotations

from bt.interp.debug_regs import debug_changed
from bt.interp.dialect import M16, M32, NEXT, func, i32, i64, u32
from bt.interp.memory import ea, fault, raise_error, store
from bt.interp.operands import set_reg
from bt.interp.pae import load_pointers, pae_paging
from bt.interp.paging import flush_tlb
from bt.interp.segment_ops import read_word, undefined_opcode
from bt.interp.state import (
    CR0_CD,
    CR0_EM,
    CR0_ET,
    CR0_MP,
    CR0_NW,
    CR0_PE,
    CR0_PG,
    CR0_TS,
    CR0_VALID,
    CR0_WP,
    CR4_DE,
    CR4_PAE,
    CR4_PGE,
    CR4_PSE,
    VEC_GP,
    Cpu,
    Op,
)
from bt.interp.system import look_up_next, ring0_only

CR0_TRANSLATION = CR0_PE | CR0_PG | CR0_WP
CR4_TRANSLATION = CR4_PSE | CR4_PGE | CR4_PAE
CR0_POINTERS = CR0_CD | CR0_NW | CR0_PG  # a change of one of them loads the pointer entries


@func
def set_cr0(c: Cpu, value: u32) -> i64:
    """Load CR0; -1: not done. Undefined bits read as 0, ET as 1."""
    new: u32 = (value & CR0_VALID) | CR0_ET
    if new & CR0_PG and new & CR0_PE == 0:
        return raise_error(c, VEC_GP, 0)
    if new & CR0_NW and new & CR0_CD == 0:
        return raise_error(c, VEC_GP, 0)
    changed: u32 = new ^ c.cr0
    if new & CR0_PG and c.cr4 & CR4_PAE and changed & CR0_POINTERS:
        if load_pointers(c, c.cr3) < 0:
            return -1
    c.cr0 = new
    if changed & CR0_TRANSLATION:
        flush_tlb(c, 0)
    return 0


@func
def set_cr3(c: Cpu, value: u32) -> i64:
    """Load CR3; -1: not done."""
    if pae_paging(c) and load_pointers(c, value) < 0:
        return -1
    c.cr3 = value
    flush_tlb(c, 1 if c.cr4 & CR4_PGE else 0)
    return 0


@func
def set_cr4(c: Cpu, value: u32) -> i64:
    """Load CR4; -1: not done. Bits whose feature the model lacks are reserved."""
    if value & ~c.cr4_valid & M32:
        return raise_error(c, VEC_GP, 0)
    changed: u32 = value ^ c.cr4
    if value & CR4_PAE and c.cr0 & CR0_PG and changed & CR4_TRANSLATION:
        if load_pointers(c, c.cr3) < 0:
            return -1
    c.cr4 = value
    if changed & CR4_DE:
        debug_changed(c)
    if changed & CR4_TRANSLATION:
        flush_tlb(c, 0)
    return 0


@func
def mov_rc(c: Cpu, op: Op) -> i32:
    """MOV r32, CRn."""
    value: u32 = 0
    if op.reg == 0:
        value = c.cr0
    elif op.reg == 2:
        value = c.cr2
    elif op.reg == 3:
        value = c.cr3
    elif op.reg == 4:
        value = c.cr4
    else:
        return undefined_opcode(c, op)
    if ring0_only(c) < 0:
        return fault(c, op)
    c.regs[op.rm] = value
    return NEXT(c, op)


@func
def mov_cr(c: Cpu, op: Op) -> i32:
    """MOV CRn, r32."""
    if op.reg == 1 or op.reg > 4:
        return undefined_opcode(c, op)
    if ring0_only(c) < 0:
        return fault(c, op)
    value: u32 = c.regs[op.rm]
    status: i64 = 0
    if op.reg == 0:
        status = set_cr0(c, value)
    elif op.reg == 2:
        c.cr2 = value
    elif op.reg == 3:
        status = set_cr3(c, value)
    else:
        status = set_cr4(c, value)
    if status < 0:
        return fault(c, op)
    return look_up_next(c, op)


@func
def smsw(c: Cpu, op: Op) -> i32:
    """SMSW: the low word of CR0; a 32-bit register gets all of it."""
    if op.modrm >= 0xC0:
        set_reg(c, op.rm, op.size, c.cr0 if op.size == 4 else c.cr0 & M16)
    elif store(c, op.seg, ea(c, op), 2, c.cr0 & M16) < 0:
        return fault(c, op)
    return NEXT(c, op)


@func
def lmsw(c: Cpu, op: Op) -> i32:
    """LMSW: PE, MP, EM, TS; PE can be set but not cleared."""
    if ring0_only(c) < 0:
        return fault(c, op)
    value = read_word(c, op)
    if value < 0:
        return fault(c, op)
    low: u32 = CR0_MP | CR0_EM | CR0_TS
    set_cr0(c, (c.cr0 & ~low & M32) | (value & (low | CR0_PE)))
    return look_up_next(c, op)

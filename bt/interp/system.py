"""System registers: descriptor tables, LDTR and TR, cache and TLB control (SDM vol. 3, 2.4, 2.8).

SGDT, SIDT, SLDT, STR and SMSW are *not* privileged: ring 3 can see the processor's secrets. That
is what Robin and Irvine counted among the critical instructions.
"""

from __future__ import annotations

from bt.interp.control import leave_block
from bt.interp.counting import icount_at
from bt.interp.descriptors import (
    DESC_P,
    TYPE_LDT,
    desc_attr,
    desc_base,
    desc_limit,
    desc_type,
    fetch_descriptor,
    is_null_selector,
    protected_mode,
    selector_error,
)
from bt.interp.dialect import M16, M32, M64, NEXT, func, i32, i64, u32, u64
from bt.interp.memory import check_whole, ea, fault, load, raise_error, store
from bt.interp.paging import flush_page
from bt.interp.segment_ops import read_word, undefined_opcode, write_word
from bt.interp.state import (
    ATTR_UNUSABLE,
    CR0_TS,
    CR4_PCE,
    CR4_TSD,
    EAX,
    ECX,
    EDX,
    LDTR,
    ST_LOOKUP,
    TR,
    VEC_GP,
    VEC_NP,
    Cpu,
    Op,
)
from bt.interp.tasks import BUSY, available_tss, mark_busy
from bt.interp.vmware import is_pseudo_counter, pseudo_counter

PERFCTR0 = 0  # the two performance counters' places in c.msr_misc (msr.py)


@func
def ring0_only(c: Cpu) -> i64:
    """#GP(0) outside ring 0 (virtual-8086 mode is ring 3)."""
    if c.cpl != 0:
        return raise_error(c, VEC_GP, 0)
    return 0


@func
def look_up_next(c: Cpu, op: Op) -> i32:
    """Completed, but what the next instruction is may have changed with paging or mode."""
    leave_block(c, op)
    c.eip = op.next_eip
    return ST_LOOKUP


# --- GDTR and IDTR: a 6-byte operand, limit then base ----------------------------------


@func
def store_table(c: Cpu, op: Op, base: u32, limit: u32) -> i32:
    if op.modrm >= 0xC0:
        return undefined_opcode(c, op)
    at = ea(c, op)
    if check_whole(c, op.seg, at, 6, 4) < 0:
        return fault(c, op)
    checked = c.align_check
    c.align_check = 0  # the base lies two bytes into an operand that is aligned as a whole
    status = store(c, op.seg, at, 2, limit)  # first, as in the manual: nothing if that faults
    if status == 0:
        status = store(c, op.seg, (at + 2) & op.amask, 4, base)
    c.align_check = checked
    if status < 0:
        return fault(c, op)
    return NEXT(c, op)


@func
def sgdt(c: Cpu, op: Op) -> i32:
    return store_table(c, op, c.gdtr_base, c.gdtr_limit)


@func
def sidt(c: Cpu, op: Op) -> i32:
    return store_table(c, op, c.idtr_base, c.idtr_limit)


@func
def load_table(c: Cpu, op: Op, idt: u32) -> i32:
    """LGDT (0), LIDT (1): with 16-bit operand size the base has 24 bits, as on the 286."""
    if op.modrm >= 0xC0:
        return undefined_opcode(c, op)
    if ring0_only(c) < 0:
        return fault(c, op)
    at = ea(c, op)
    limit = load(c, op.seg, at, 2)
    if limit < 0:
        return fault(c, op)
    base = load(c, op.seg, (at + 2) & op.amask, 4)
    if base < 0:
        return fault(c, op)
    if op.size == 2:
        base &= 0xFFFFFF
    if idt:
        c.idtr_base = base & M32
        c.idtr_limit = limit & M16
    else:
        c.gdtr_base = base & M32
        c.gdtr_limit = limit & M16
    return NEXT(c, op)


@func
def lgdt(c: Cpu, op: Op) -> i32:
    return load_table(c, op, 0)


@func
def lidt(c: Cpu, op: Op) -> i32:
    return load_table(c, op, 1)


# --- LDTR and TR -----------------------------------------------------------------------


@func
def store_selector(c: Cpu, op: Op, seg: u32) -> i32:
    if not protected_mode(c):
        return undefined_opcode(c, op)
    if write_word(c, op, c.seg_sel[seg]) < 0:
        return fault(c, op)
    return NEXT(c, op)


@func
def sldt(c: Cpu, op: Op) -> i32:
    return store_selector(c, op, LDTR)


@func
def str_e(c: Cpu, op: Op) -> i32:
    return store_selector(c, op, TR)


@func
def load_ldtr(c: Cpu, selector: u32) -> i64:
    """A null selector empties LDTR: then every LDT selector is beyond its table."""
    if is_null_selector(selector):
        c.seg_sel[LDTR] = selector
        c.seg_attr[LDTR] |= ATTR_UNUSABLE
        return 0
    if selector & 4:
        return selector_error(c, VEC_GP, selector)
    if fetch_descriptor(c, selector) < 0:
        return -1
    if desc_type(c.desc_hi) != TYPE_LDT:
        return selector_error(c, VEC_GP, selector)
    if c.desc_hi & DESC_P == 0:
        return selector_error(c, VEC_NP, selector)
    c.seg_sel[LDTR] = selector
    c.seg_base[LDTR] = desc_base(c.desc_lo, c.desc_hi)
    c.seg_limit[LDTR] = desc_limit(c.desc_lo, c.desc_hi)
    c.seg_attr[LDTR] = desc_attr(c.desc_hi)
    return 0


@func
def load_tr(c: Cpu, selector: u32) -> i64:
    """LTR marks the TSS busy but does not switch tasks."""
    if is_null_selector(selector):
        return raise_error(c, VEC_GP, 0)
    if available_tss(c, selector) < 0 or mark_busy(c, selector, 1) < 0:
        return -1
    c.seg_sel[TR] = selector
    c.seg_base[TR] = desc_base(c.desc_lo, c.desc_hi)
    c.seg_limit[TR] = desc_limit(c.desc_lo, c.desc_hi)
    c.seg_attr[TR] = desc_attr(c.desc_hi) | BUSY
    return 0


@func
def lldt(c: Cpu, op: Op) -> i32:
    if not protected_mode(c):
        return undefined_opcode(c, op)
    if ring0_only(c) < 0:
        return fault(c, op)
    selector = read_word(c, op)
    if selector < 0 or load_ldtr(c, selector & M16) < 0:
        return fault(c, op)
    return NEXT(c, op)


@func
def ltr(c: Cpu, op: Op) -> i32:
    if not protected_mode(c):
        return undefined_opcode(c, op)
    if ring0_only(c) < 0:
        return fault(c, op)
    selector = read_word(c, op)
    if selector < 0 or load_tr(c, selector & M16) < 0:
        return fault(c, op)
    return NEXT(c, op)


# --- caches, TLB, time -----------------------------------------------------------------


@func
def invlpg(c: Cpu, op: Op) -> i32:
    """INVLPG: the page that holds the operand's address leaves the TLB."""
    if op.modrm >= 0xC0:
        return undefined_opcode(c, op)
    if ring0_only(c) < 0:
        return fault(c, op)
    flush_page(c, (ea(c, op) + c.seg_base[op.seg]) & M32)
    return look_up_next(c, op)


@func
def clts(c: Cpu, op: Op) -> i32:
    if ring0_only(c) < 0:
        return fault(c, op)
    c.cr0 &= ~CR0_TS & M32
    return NEXT(c, op)


@func
def wbinvd(c: Cpu, op: Op) -> i32:
    """WBINVD, INVD: there is no cache to write back."""
    if ring0_only(c) < 0:
        return fault(c, op)
    return NEXT(c, op)


@func
def ud2(c: Cpu, op: Op) -> i32:
    return undefined_opcode(c, op)


@func
def tsc_at(c: Cpu, op: Op) -> u64:
    """The time-stamp counter as an instruction reads it: one tick per instruction."""
    return (icount_at(c, op) + c.tsc_offset) & M64


@func
def rdtsc(c: Cpu, op: Op) -> i32:
    if c.cpl != 0 and c.cr4 & CR4_TSD:
        raise_error(c, VEC_GP, 0)
        return fault(c, op)
    now: u64 = tsc_at(c, op)
    c.regs[EAX] = now & M32
    c.regs[EDX] = (now >> 32) & M32
    return NEXT(c, op)


@func
def rdpmc(c: Cpu, op: Op) -> i32:
    """RDPMC: the two counters hold what WRMSR put there; they do not count.

    A processor that serves a monitor has none: those that are meant are the guest's.
    """
    index = c.regs[ECX]
    if c.external:
        raise_error(c, VEC_GP, 0)
        return fault(c, op)
    if is_pseudo_counter(c, index):
        c.eip = op.eip  # whoever serves it may ask where
        now: u64 = pseudo_counter(c, index, icount_at(c, op))
        c.regs[EAX] = now & M32
        c.regs[EDX] = (now >> 32) & M32
        return NEXT(c, op)
    if (c.cpl != 0 and c.cr4 & CR4_PCE == 0) or index > 1:
        raise_error(c, VEC_GP, 0)
        return fault(c, op)
    value: u64 = c.msr_misc[PERFCTR0 + index]
    c.regs[EAX] = value & M32
    c.regs[EDX] = (value >> 32) & 0xFF
    return NEXT(c, op)

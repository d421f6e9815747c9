"""Counting instructions: what time it is at an op, and interrupt shadows (SDM vol. 3, 6.8.3).

Instructions are paid for a block at a time, so `c.budget` is already debited for the whole of
the running block; `op.left` says how many of those are still to come, this one included.
"""

from __future__ import annotations

from bt.interp.dialect import M64, func, i32, u64
from bt.interp.state import (
    ATTR_DB,
    CR0_PG,
    CR4_PAE,
    CS,
    RECORD_PAE,
    RECORD_PAGING,
    RECORD_WIDE,
    Cpu,
    Op,
)


@func
def icount_at(c: Cpu, op: Op) -> u64:
    """Instructions completed before op."""
    now: u64 = (c.icount_end - c.budget - op.left) & M64
    return now


@func
def record_root(c: Cpu) -> u64:
    """Base of CS and page tables of the code that runs, for a trace (Memory.record_roots)."""
    root: u64 = c.seg_base[CS]
    root = root << 32 | (c.cr3 & 0xFFFFFFE0)
    if c.cr0 & CR0_PG:
        root |= RECORD_PAGING
    if c.cr4 & CR4_PAE:
        root |= RECORD_PAE
    if c.seg_attr[CS] & ATTR_DB:
        root |= RECORD_WIDE
    return root


@func
def hold_interrupts(c: Cpu, op: Op) -> i32:
    """No interrupt between this instruction and the next one (STI, MOV SS, POP SS)."""
    c.shadow_at = (icount_at(c, op) + op.counted) & M64
    return 0

"""Segment descriptors: where they are, what their fields mean (SDM vol. 3, 3.4.2 and 3.4.5).

A descriptor is two dwords, here always called lo and hi:

    lo  31..16 base 15..0   15..0 limit 15..0
    hi  31..24 base 31..24  G D - AVL  19..16 limit 19..16  P DPL S  11..8 type  7..0 base 23..16

Example: lo=0x0000FFFF hi=0x00CF9B00 is the flat 4 GiB ring 0 code segment: base 0, limit 0xFFFFF
in pages (G), D=1, present, DPL 0, S=1, type 0xB (code, readable, accessed).
"""

from __future__ import annotations

from bt.interp.dialect import M32, func, i64, inline, u32
from bt.interp.memory import raise_error, sup_read, sup_write
from bt.interp.state import (
    ATTR_P,
    ATTR_UNUSABLE,
    CR0_PE,
    LDTR,
    VEC_GP,
    VM,
    Cpu,
)

# In the second dword
DESC_A = 0x100  # accessed
DESC_RW = 0x200  # data: writable; code: readable
DESC_DC = 0x400  # data: expand-down; code: conforming
DESC_CODE = 0x800
DESC_S = 0x1000  # code or data, not a system descriptor
DESC_P = 0x8000
DESC_DB = 0x400000
DESC_G = 0x800000

# System descriptor types (hi >> 8 & 0x1F, S = 0)
TYPE_TSS16 = 1
TYPE_LDT = 2
TYPE_TSS16_BUSY = 3
TYPE_CALL16 = 4
TYPE_TASK_GATE = 5
TYPE_INT16 = 6
TYPE_TRAP16 = 7
TYPE_TSS32 = 9
TYPE_TSS32_BUSY = 11
TYPE_CALL32 = 12
TYPE_INT32 = 14
TYPE_TRAP32 = 15


@inline
def real_mode(c: Cpu) -> u32:
    return 1 if c.cr0 & CR0_PE == 0 else 0


@inline
def v86_mode(c: Cpu) -> u32:
    return 1 if c.eflags & VM else 0


@inline
def protected_mode(c: Cpu) -> u32:
    """Protected mode proper: selectors name descriptors."""
    return 1 if c.cr0 & CR0_PE and c.eflags & VM == 0 else 0


@inline
def is_null_selector(selector: u32) -> u32:
    return 1 if selector & 0xFFFC == 0 else 0


@inline
def desc_attr(hi: u32) -> u32:
    """As kept in Cpu.seg_attr."""
    return (hi >> 8) & 0xF0FF


@inline
def desc_type(hi: u32) -> u32:
    """Type with the S bit above it: TYPE_x for system descriptors, 0x10 and up for segments."""
    return (hi >> 8) & 0x1F


@inline
def desc_dpl(hi: u32) -> u32:
    return (hi >> 13) & 3


@inline
def desc_base(lo: u32, hi: u32) -> u32:
    return (lo >> 16) | ((hi & 0xFF) << 16) | (hi & 0xFF000000)


@inline
def desc_limit(lo: u32, hi: u32) -> u32:
    """Limit in bytes, the granularity bit applied."""
    limit: u32 = (lo & 0xFFFF) | (hi & 0xF0000)
    if hi & DESC_G:
        limit = (limit << 12) | 0xFFF
    return limit


@inline
def is_code(hi: u32) -> u32:
    return 1 if hi & (DESC_S | DESC_CODE) == DESC_S | DESC_CODE else 0


@inline
def is_conforming(hi: u32) -> u32:
    """Conforming code segment."""
    return 1 if hi & (DESC_S | DESC_CODE | DESC_DC) == DESC_S | DESC_CODE | DESC_DC else 0


@inline
def is_writable(hi: u32) -> u32:
    """Writable data segment."""
    return 1 if hi & (DESC_S | DESC_CODE | DESC_RW) == DESC_S | DESC_RW else 0


@inline
def is_readable(hi: u32) -> u32:
    """Data segment, or readable code segment."""
    return 1 if hi & DESC_S and hi & (DESC_CODE | DESC_RW) != DESC_CODE else 0


@func
def selector_error(c: Cpu, vector: u32, selector: u32) -> i64:
    """Note an exception that names a selector in its error code (SDM vol. 3, 6.13)."""
    return raise_error(c, vector, (selector & 0xFFFC) | c.ext)


@func
def descriptor_address(c: Cpu, selector: u32) -> i64:
    """Linear address of a selector's descriptor; -1 (no exception noted) beyond its table."""
    last: u32 = (selector | 7) & 0xFFFF
    base: u32 = c.gdtr_base
    if selector & 4:
        if c.seg_attr[LDTR] & (ATTR_P | ATTR_UNUSABLE) != ATTR_P or last > c.seg_limit[LDTR]:
            return -1
        base = c.seg_base[LDTR]
    elif last > c.gdtr_limit:
        return -1
    return (base + (selector & 0xFFF8)) & M32


@func
def read_descriptor(c: Cpu, la: u32) -> i64:
    """Descriptor at a linear address into c.desc_lo, c.desc_hi; -1: page fault."""
    lo = sup_read(c, la, 4)
    if lo < 0:
        return -1
    hi = sup_read(c, (la + 4) & M32, 4)
    if hi < 0:
        return -1
    c.desc_lo = lo & M32
    c.desc_hi = hi & M32
    return 0


@func
def fetch_or_raise(c: Cpu, selector: u32, vector: u32) -> i64:
    """Fetch a selector's descriptor; beyond its table it is `vector` with the selector."""
    la = descriptor_address(c, selector)
    if la < 0:
        return selector_error(c, vector, selector)
    return read_descriptor(c, la & M32)


@func
def fetch_descriptor(c: Cpu, selector: u32) -> i64:
    """Fetch a selector's descriptor into c.desc_lo, c.desc_hi; -1: #GP(selector) or #PF noted."""
    return fetch_or_raise(c, selector, VEC_GP)


@func
def mark_accessed(c: Cpu, selector: u32, hi: u32) -> i64:
    """Set the accessed bit of a code or data descriptor in memory, if it is not set yet."""
    if hi & DESC_A:
        return 0
    la = descriptor_address(c, selector)
    return sup_write(c, (la + 5) & M32, 1, ((hi | DESC_A) >> 8) & 0xFF)

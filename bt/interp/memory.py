"""Loads and stores: segmentation, the TLB, slow paths, self-modifying code (SDM vol. 3, 5.3).

A load takes a segment register and an offset. The fast path is inline: offset within the
segment, TLB entry there, access inside one page. Everything else (limits, page walks, page
crossings, device memory, writes to pages that hold decoded code) is behind one call.

A load returns the value, or -1 when the access faulted; then c.fault_* say how. A store returns
0 or -1. So every body reads alike:

    value = load32(c, DS, offset)
    if value < 0:
        return fault(c, op)
"""

from __future__ import annotations

from bt.interp.dialect import (
    M16,
    M32,
    func,
    i32,
    i64,
    inline,
    ld8,
    ld16,
    ld32,
    st8,
    st16,
    st32,
    u32,
    u64,
)
from bt.interp.paging import translate
from bt.interp.physical import read_place, refuse_traced, write_place
from bt.interp.state import (
    ACC_READ,
    ACC_USER,
    ACC_WRITE,
    ATTR_CODE,
    ATTR_DB,
    ATTR_DC,
    ATTR_P,
    ATTR_RW,
    ATTR_UNUSABLE,
    SS,
    ST_FAULT,
    VEC_AC,
    VEC_GP,
    VEC_SS,
    Cpu,
    Op,
)


@inline
def ea(c: Cpu, op: Op) -> u32:
    """Offset of the memory operand: (base + index * scale + disp) in the address size."""
    offset: u32 = c.regs[op.base] + (c.regs[op.index] << op.scale) + op.disp
    return offset & op.amask


@func
def raise_error(c: Cpu, vector: u32, error: u32) -> i64:
    """Note an exception with an error code; returns -1 for `return raise_error(...)`."""
    c.fault_vector = vector
    c.fault_error = error
    c.fault_has_error = 1
    return -1


@func
def raise_plain(c: Cpu, vector: u32) -> i64:
    """Note an exception without an error code; returns -1."""
    c.fault_vector = vector
    c.fault_error = 0
    c.fault_has_error = 0
    return -1


@inline
def fault(c: Cpu, op: Op) -> i32:
    """End an instruction that faulted: state as before it, EIP at it."""
    c.eip = op.eip
    c.budget += op.left
    return ST_FAULT


@func
def segment_allows(c: Cpu, seg: u32, offset: u32, size: u32, write: u32) -> i64:
    """Full segment check (SDM vol. 3, 5.3 to 5.5): 0, or -1 with #GP(0) or #SS(0) noted."""
    attr = c.seg_attr[seg]
    limit = c.seg_limit[seg]
    last: u64 = offset
    last += size - 1
    ok: u32 = 1
    if attr & ATTR_UNUSABLE or not attr & ATTR_P:
        ok = 0
    elif attr & ATTR_CODE:
        if write or not attr & ATTR_RW:
            ok = 0
    elif write and not attr & ATTR_RW:
        ok = 0
    if ok:
        if attr & ATTR_DC and not attr & ATTR_CODE:  # expand-down: valid above the limit
            top: u64 = M32 if attr & ATTR_DB else M16
            if offset <= limit or last > top:
                ok = 0
        elif last > limit:
            ok = 0
    if ok:
        return 0
    return raise_error(c, VEC_SS if seg == SS else VEC_GP, 0)


@func
def misaligned(c: Cpu, la: u32, size: u32) -> u32:
    """Alignment checking (SDM vol. 3, 6.15, interrupt 17): notes #AC(0) and returns 1."""
    if c.align_check and la & (size - 1):
        raise_error(c, VEC_AC, 0)
        return 1
    return 0


@func
def check_whole(c: Cpu, seg: u32, offset: u32, size: u32, align: u32) -> i64:
    """Before an operand that is accessed in parts: its alignment is that of the whole.

    Segment limits are checked first, as they are for any access; -1: faulted.
    """
    if c.align_check == 0:
        return 0
    if segment_allows(c, seg, offset, size, 0) < 0:
        return -1
    return -1 if misaligned(c, (offset + c.seg_base[seg]) & M32, align) else 0


@inline
def user_access(c: Cpu) -> u32:
    return ACC_USER if c.cpl == 3 else 0


@func
def read_linear(c: Cpu, la: u32, size: u32, access: u32) -> i64:
    """Read 1, 2 or 4 bytes at a linear address (wrapping at 4 GiB); fills the TLB."""
    if (la & 0xFFF) + size <= 0x1000:
        place = translate(c, la, access, size)
        if place < 0:
            return -1
        return read_place(c, place, size)
    head: u32 = 0x1000 - (la & 0xFFF)
    first = translate(c, la, access, head)
    if first < 0:
        return -1
    second = translate(c, (la + head) & M32, access, size - head)
    if second < 0:
        return -1
    value: u32 = 0
    for i in range(size):
        at: u64 = first + i if i < head else second + (i - head)
        value |= (read_place(c, at, 1) & 0xFF) << (8 * i)
    return value


@func
def write_linear(c: Cpu, la: u32, size: u32, value: u32, access: u32) -> i64:
    """Write 1, 2 or 4 bytes at a linear address; both pages are checked before any byte moves."""
    if (la & 0xFFF) + size <= 0x1000:
        place = translate(c, la, access | ACC_WRITE, size)
        if place < 0:
            return -1
        return write_place(c, place, size, value)
    head: u32 = 0x1000 - (la & 0xFFF)
    first = translate(c, la, access | ACC_WRITE, head)
    if first < 0:
        return -1
    second = translate(c, (la + head) & M32, access | ACC_WRITE, size - head)
    if second < 0:
        return -1
    if refuse_traced(c, first, head) < 0 or refuse_traced(c, second, size - head) < 0:
        return -1
    for i in range(size):
        at: u64 = first + i if i < head else second + (i - head)
        write_place(c, at, 1, (value >> (8 * i)) & 0xFF)
    return 0


@func
def load_slow(c: Cpu, seg: u32, offset: u32, size: u32) -> i64:
    if segment_allows(c, seg, offset, size, 0) < 0:
        return -1
    la: u32 = (offset + c.seg_base[seg]) & M32
    if misaligned(c, la, size):
        return -1
    return read_linear(c, la, size, user_access(c))


@func
def store_slow(c: Cpu, seg: u32, offset: u32, size: u32, value: u32) -> i64:
    if segment_allows(c, seg, offset, size, 1) < 0:
        return -1
    la: u32 = (offset + c.seg_base[seg]) & M32
    if misaligned(c, la, size):
        return -1
    return write_linear(c, la, size, value, user_access(c))


@inline
def host_of(entry: u64, la: u32) -> u64:
    """Host address of a linear address from its TLB entry."""
    return (entry + la) & 0xFFFFFFFFFFFFFFFF


@inline
def load(c: Cpu, seg: u32, offset: u32, size: u32) -> i64:
    """Read 1, 2 or 4 bytes, zero-extended; -1: faulted."""
    end: u64 = offset
    end += size
    if end <= c.seg_rend[seg]:
        la: u32 = (offset + c.seg_base[seg]) & M32
        entry = c.tlb_r[la >> 12]
        if entry != 0 and (size == 1 or (la & 0xFFF) <= 0x1000 - size):
            if size == 4:
                return ld32(c, host_of(entry, la))
            if size == 2:
                return ld16(c, host_of(entry, la))
            return ld8(c, host_of(entry, la))
    return load_slow(c, seg, offset, size)


@inline
def store(c: Cpu, seg: u32, offset: u32, size: u32, value: u32) -> i64:
    """Write the low 1, 2 or 4 bytes of value; -1: faulted."""
    end: u64 = offset
    end += size
    if end <= c.seg_wend[seg]:
        la: u32 = (offset + c.seg_base[seg]) & M32
        entry = c.tlb_w[la >> 12]
        if entry != 0 and (size == 1 or (la & 0xFFF) <= 0x1000 - size):
            if size == 4:
                st32(c, host_of(entry, la), value)
            elif size == 2:
                st16(c, host_of(entry, la), value)
            else:
                st8(c, host_of(entry, la), value)
            return 0
    return store_slow(c, seg, offset, size, value)


@func
def rmw_slow(c: Cpu, seg: u32, offset: u32, size: u32) -> i64:
    """Begin a read-modify-write off the fast path: check for writing, then read."""
    c.rmw_host = 0
    if segment_allows(c, seg, offset, size, 1) < 0:
        return -1
    la: u32 = (offset + c.seg_base[seg]) & M32
    c.rmw_linear = la
    if misaligned(c, la, size):
        return -1
    access = user_access(c) | ACC_WRITE
    if translate(c, la, access, size) < 0:
        return -1
    if (la & 0xFFF) + size > 0x1000:
        if translate(c, (la + size - 1) & 0xFFFFF000, access, (la + size) & 0xFFF) < 0:
            return -1
    return read_linear(c, la, size, user_access(c))


@inline
def rmw_begin(c: Cpu, seg: u32, offset: u32, size: u32) -> i64:
    """Read an operand that will be written back by rmw_end(); -1: faulted (as a write)."""
    end: u64 = offset
    end += size
    if end <= c.seg_wend[seg] and end <= c.seg_rend[seg]:
        la: u32 = (offset + c.seg_base[seg]) & M32
        entry = c.tlb_w[la >> 12]
        if entry != 0 and (size == 1 or (la & 0xFFF) <= 0x1000 - size):
            host = host_of(entry, la)
            c.rmw_host = host
            if size == 4:
                return ld32(c, host)
            if size == 2:
                return ld16(c, host)
            return ld8(c, host)
    return rmw_slow(c, seg, offset, size)


@inline
def rmw_end(c: Cpu, size: u32, value: u32) -> i64:
    """Write the result of a read-modify-write. It can only fail on a traced byte (external)."""
    host = c.rmw_host
    if host != 0:
        if size == 4:
            st32(c, host, value)
        elif size == 2:
            st16(c, host, value)
        else:
            st8(c, host, value)
        return 0
    return write_linear(c, c.rmw_linear, size, value, user_access(c))


@func
def sup_read(c: Cpu, la: u32, size: u32) -> i64:
    """Implicit supervisor read (descriptor tables, TSS): no segment, privilege 0."""
    entry = c.sup_space.r[la >> 12]
    if entry != 0 and (la & 0xFFF) + size <= 0x1000:
        host = host_of(entry, la)
        if size == 4:
            return ld32(c, host)
        if size == 2:
            return ld16(c, host)
        return ld8(c, host)
    return read_linear(c, la, size, ACC_READ)


@func
def sup_write(c: Cpu, la: u32, size: u32, value: u32) -> i64:
    """Implicit supervisor write (accessed and busy bits, task switches, gate stacks)."""
    return write_linear(c, la, size, value, ACC_READ)

"""Bits: BT BTS BTR BTC, BSF BSR, SHLD SHRD (SDM vol. 1, 7.3.6 and 7.3.7; vol. 2).

A bit *string* in memory reaches beyond the operand its address names: in `bt [ebx], ecx` ECX is a
signed bit number, and the dword that is read lies ECX >> 5 dwords from EBX. Example: ECX = -1 is
bit 31 of the dword at EBX - 4. An immediate bit number, and any one into a register, is taken
modulo the operand's width.

Undefined flags: BT leaves all but CF alone, as the processors of both makers do. BSF and BSR give
those of a logical operation on the source, which costs nothing.
"""

from __future__ import annotations

from bt.interp.dialect import M32, NEXT, clz64, ctz32, func, i32, i64, inline, sx16, sx32, u32, u64
from bt.interp.flags import CC_LOGIC, CC_MUL, CC_SHL, set_cc, settle_flags, size_sign
from bt.interp.memory import ea, fault, load, rmw_begin
from bt.interp.operands import begin_e, end_e, get_reg, read_e, set_reg
from bt.interp.state import CF, ECX, OF, Cpu, Op

# The bit operations, in the order of their opcodes
BIT_TEST = 0
BIT_SET = 1
BIT_RESET = 2
BIT_COMPLEMENT = 3


@inline
def bit_result(kind: u32, value: u32, bit: u32) -> u32:
    if kind == BIT_SET:
        return value | bit
    if kind == BIT_RESET:
        return value & ~bit & M32
    return value ^ bit


@inline
def bit_finish(c: Cpu, op: Op, kind: u32, size: u32, mem: u32, value: u32, number: u32) -> i32:
    """Write the changed operand back (not BT), then CF = the bit as it was."""
    bit: u32 = 1 << number
    if kind != BIT_TEST and end_e(c, op, size, mem, bit_result(kind, value, bit)) < 0:
        return fault(c, op)
    settle_flags(c)
    c.eflags = (c.eflags & ~CF & M32) | (CF if value & bit else 0)
    return NEXT(c, op)


@inline
def bit_string_at(c: Cpu, op: Op, size: u32) -> u32:
    """Offset of the word or dword that holds bit number G of the string at E."""
    step: u32 = 0
    if size == 4:
        step = ((sx32(c.regs[op.reg]) >> 5) << 2) & M32
    else:
        step = ((sx16(c.regs[op.reg]) >> 4) << 1) & M32
    return (ea(c, op) + step) & op.amask


@inline
def bt_eg(c: Cpu, op: Op, kind: u32, size: u32, mem: u32) -> i32:
    """BT, BTS, BTR, BTC with the bit number in a register."""
    v: i64 = 0
    if not mem:
        v = get_reg(c, op.rm, size)
    elif kind == BIT_TEST:
        v = load(c, op.seg, bit_string_at(c, op, size), size)
    else:
        v = rmw_begin(c, op.seg, bit_string_at(c, op, size), size)
    if v < 0:
        return fault(c, op)
    return bit_finish(c, op, kind, size, mem, v & M32, c.regs[op.reg] & (size * 8 - 1))


@inline
def bt_ei(c: Cpu, op: Op, kind: u32, size: u32, mem: u32) -> i32:
    """BT, BTS, BTR, BTC with an immediate bit number, which stays inside the operand."""
    v = read_e(c, op, size, mem) if kind == BIT_TEST else begin_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    return bit_finish(c, op, kind, size, mem, v & M32, op.imm & (size * 8 - 1))


@inline
def bsf(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    """Number of the lowest set bit. A zero source sets ZF and leaves the destination alone."""
    v = read_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    source: u32 = v & M32
    set_cc(c, CC_LOGIC, size, 0, source)
    if source != 0:
        set_reg(c, op.reg, size, ctz32(source))
    return NEXT(c, op)


@inline
def bsr(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    """Number of the highest set bit. A zero source sets ZF and leaves the destination alone."""
    v = read_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    source: u32 = v & M32
    set_cc(c, CC_LOGIC, size, 0, source)
    if source != 0:
        set_reg(c, op.reg, size, 63 - clz64(source))
    return NEXT(c, op)


@inline
def double_left(a: u32, b: u32, size: u32, count: u32) -> u32:
    """The top of a:b << count. Past 16 bits a word operand takes in its own top again."""
    wide: u64 = a
    if size == 4:
        wide = (wide << 32) | b
        return ((wide << count) >> 32) & M32
    wide = (wide << 32) | (b << 16) | a
    return ((wide << count) >> 32) & 0xFFFF


@inline
def double_right(a: u32, b: u32, size: u32, count: u32) -> u32:
    """The bottom of b:a >> count. Past 16 bits a word operand takes in its own bottom again."""
    wide: u64 = b
    if size == 4:
        wide = (wide << 32) | a
        return (wide >> count) & M32
    wide = a
    wide = (wide << 32) | (b << 16) | a
    return (wide >> count) & 0xFFFF


@func
def shrd_flags(c: Cpu, size: u32, before: u32, r: u32) -> i32:
    """CF = the last bit shifted out; OF = the two top bits of the result differ."""
    carry: u32 = before & 1
    over: u32 = 1 if (r ^ (r << 1)) & size_sign(size) else 0
    set_cc(c, CC_MUL, size, carry, r)  # CF = OF = carry, the rest from the result
    if over != carry:
        settle_flags(c)
        c.eflags = c.eflags ^ OF
    return 0


@inline
def shld(c: Cpu, op: Op, by_cl: u32, size: u32, mem: u32) -> i32:
    """Shift E left and fill it from the top of G. A count of 0 changes nothing at all."""
    v = begin_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    count: u32 = (c.regs[ECX] if by_cl else op.imm) & 31
    if count == 0:
        return NEXT(c, op)
    a: u32 = v & M32
    b: u32 = get_reg(c, op.reg, size)
    r: u32 = double_left(a, b, size, count)
    if end_e(c, op, size, mem, r) < 0:
        return fault(c, op)
    set_cc(c, CC_SHL, size, double_left(a, b, size, count - 1), r)
    return NEXT(c, op)


@inline
def shrd(c: Cpu, op: Op, by_cl: u32, size: u32, mem: u32) -> i32:
    """Shift E right and fill it from the bottom of G. A count of 0 changes nothing at all."""
    v = begin_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    count: u32 = (c.regs[ECX] if by_cl else op.imm) & 31
    if count == 0:
        return NEXT(c, op)
    a: u32 = v & M32
    b: u32 = get_reg(c, op.reg, size)
    r: u32 = double_right(a, b, size, count)
    if end_e(c, op, size, mem, r) < 0:
        return fault(c, op)
    shrd_flags(c, size, double_right(a, b, size, count - 1), r)
    return NEXT(c, op)

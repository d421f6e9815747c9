"""Moves and arithmetic: MOV, LEA, ADD ... CMP, TEST, INC, DEC, NOT, NEG, SETcc, CMOVcc, shifts.

One small body per instruction; the handler table (table.py, handlers.py) stamps each into one
variant per operand size and per register or memory operand. SDM vol. 2.
"""

from __future__ import annotations

from bt.interp.dialect import M16, M32, NEXT, func, i32, inline, sx8, sx16, sx32, u32, u64
from bt.interp.flags import (
    CC_ADC,
    CC_ADD,
    CC_DEC,
    CC_INC,
    CC_LOGIC,
    CC_SAR,
    CC_SBB,
    CC_SHL,
    CC_SHR,
    CC_SUB,
    cc_carry,
    condition,
    set_cc,
    settle_flags,
    sign_extend,
    size_mask,
    size_sign,
)
from bt.interp.memory import ea, fault
from bt.interp.operands import begin_e, end_e, get_reg, read_e, set_reg, write_e
from bt.interp.state import CF, EAX, ECX, OF, Cpu, Op

# The eight binary operations, in opcode order
ALU_ADD = 0
ALU_OR = 1
ALU_ADC = 2
ALU_SBB = 3
ALU_AND = 4
ALU_SUB = 5
ALU_XOR = 6
ALU_CMP = 7

# Shifts and rotates, in ModRM.reg order (6 is an alias of 4)
SH_ROL = 0
SH_ROR = 1
SH_RCL = 2
SH_RCR = 3
SH_SHL = 4
SH_SHR = 5
SH_SAR = 7


@inline
def alu(c: Cpu, kind: u32, size: u32, a: u32, b: u32) -> u32:
    """a OP b: the result, flags noted."""
    mask = size_mask(size)
    r: u32 = 0
    if kind == ALU_ADD:
        r = (a + b) & mask
        set_cc(c, CC_ADD, size, b, r)
    elif kind == ALU_SUB or kind == ALU_CMP:
        r = (a - b) & mask
        set_cc(c, CC_SUB, size, b, r)
    elif kind == ALU_ADC:
        carry = cc_carry(c)
        r = (a + b + carry) & mask
        set_cc(c, CC_ADC if carry else CC_ADD, size, b, r)
    elif kind == ALU_SBB:
        borrow = cc_carry(c)
        r = (a - b - borrow) & mask
        set_cc(c, CC_SBB if borrow else CC_SUB, size, b, r)
    else:
        if kind == ALU_OR:
            r = a | b
        elif kind == ALU_AND:
            r = a & b
        else:
            r = a ^ b
        set_cc(c, CC_LOGIC, size, 0, r)
    return r


@inline
def alu_eg(c: Cpu, op: Op, kind: u32, size: u32, mem: u32) -> i32:
    """E = E op G."""
    if kind == ALU_CMP:
        v = read_e(c, op, size, mem)
    else:
        v = begin_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    if mem and kind != ALU_CMP:
        return alu_store(c, op, kind, size, v, get_reg(c, op.reg, size))
    r = alu(c, kind, size, v, get_reg(c, op.reg, size))
    if kind != ALU_CMP:
        set_reg(c, op.rm, size, r)
    return NEXT(c, op)


@inline
def alu_store(c: Cpu, op: Op, kind: u32, size: u32, a: u32, b: u32) -> i32:
    """The end of a read-modify-write: a traced write must leave the flags as they were."""
    old_op = c.cc_op
    old_b = c.cc_b
    old_r = c.cc_r
    r = alu(c, kind, size, a, b)
    if end_e(c, op, size, 1, r) < 0:
        c.cc_op = old_op
        c.cc_b = old_b
        c.cc_r = old_r
        return fault(c, op)
    return NEXT(c, op)


@inline
def alu_ge(c: Cpu, op: Op, kind: u32, size: u32, mem: u32) -> i32:
    """G = G op E."""
    v = read_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    r = alu(c, kind, size, get_reg(c, op.reg, size), v)
    if kind != ALU_CMP:
        set_reg(c, op.reg, size, r)
    return NEXT(c, op)


@inline
def alu_ei(c: Cpu, op: Op, kind: u32, size: u32, mem: u32) -> i32:
    """E = E op immediate."""
    if kind == ALU_CMP:
        v = read_e(c, op, size, mem)
    else:
        v = begin_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    if mem and kind != ALU_CMP:
        return alu_store(c, op, kind, size, v, op.imm)
    r = alu(c, kind, size, v, op.imm)
    if kind != ALU_CMP:
        set_reg(c, op.rm, size, r)
    return NEXT(c, op)


@inline
def test_eg(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    v = read_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    set_cc(c, CC_LOGIC, size, 0, v & get_reg(c, op.reg, size))
    return NEXT(c, op)


@inline
def test_ei(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    v = read_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    set_cc(c, CC_LOGIC, size, 0, v & op.imm)
    return NEXT(c, op)


@inline
def incdec_e(c: Cpu, op: Op, down: u32, size: u32, mem: u32) -> i32:
    """INC and DEC: all flags but CF."""
    v = begin_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    r: u32 = (v - 1 if down else v + 1) & size_mask(size)
    if end_e(c, op, size, mem, r) < 0:
        return fault(c, op)
    set_cc(c, CC_DEC if down else CC_INC, size, cc_carry(c), r)
    return NEXT(c, op)


@inline
def not_e(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    v = begin_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    if end_e(c, op, size, mem, ~v & size_mask(size)) < 0:
        return fault(c, op)
    return NEXT(c, op)


@inline
def neg_e(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    v = begin_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    r: u32 = -v & size_mask(size)
    if end_e(c, op, size, mem, r) < 0:
        return fault(c, op)
    set_cc(c, CC_SUB, size, v, r)  # 0 - v
    return NEXT(c, op)


@inline
def mov_eg(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    if write_e(c, op, size, mem, get_reg(c, op.reg, size)) < 0:
        return fault(c, op)
    return NEXT(c, op)


@inline
def mov_ge(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    v = read_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    set_reg(c, op.reg, size, v)
    return NEXT(c, op)


@inline
def mov_ei(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    if write_e(c, op, size, mem, op.imm) < 0:
        return fault(c, op)
    return NEXT(c, op)


@inline
def lea_g(c: Cpu, op: Op, size: u32) -> i32:
    set_reg(c, op.reg, size, ea(c, op) & size_mask(size))
    return NEXT(c, op)


@inline
def xchg_eg(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    v = begin_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    if end_e(c, op, size, mem, get_reg(c, op.reg, size)) < 0:
        return fault(c, op)
    set_reg(c, op.reg, size, v)
    return NEXT(c, op)


@inline
def movx_ge(c: Cpu, op: Op, signed: u32, source: u32, size: u32, mem: u32) -> i32:
    """MOVZX and MOVSX from source bytes."""
    v = read_e(c, op, source, mem)
    if v < 0:
        return fault(c, op)
    r: u32 = sign_extend(source, v) if signed else v
    set_reg(c, op.reg, size, r & size_mask(size))
    return NEXT(c, op)


@inline
def cmov_ge(c: Cpu, op: Op, cc: u32, size: u32, mem: u32) -> i32:
    """CMOVcc: the load happens whether or not the move does."""
    v = read_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    if condition(c, cc):
        set_reg(c, op.reg, size, v)
    return NEXT(c, op)


@inline
def set_e(c: Cpu, op: Op, cc: u32, mem: u32) -> i32:
    """SETcc."""
    if write_e(c, op, 1, mem, condition(c, cc)) < 0:
        return fault(c, op)
    return NEXT(c, op)


@func
def rotate(c: Cpu, kind: u32, size: u32, a: u32, count: u32) -> u32:
    """ROL, ROR, RCL, RCR by a non-zero count already masked to 5 bits. Only CF and OF change."""
    bits: u32 = size * 8
    mask: u64 = size_mask(size)
    wide: u64 = a
    r: u32 = 0
    settle_flags(c)
    carry: u32 = c.eflags & CF
    n: u32 = count
    if kind == SH_ROL:
        n = count & (bits - 1)
        r = ((wide << n) | (wide >> ((bits - n) & 31 if n else 0))) & mask
        if n == 0:
            r = a
        carry = r & 1
    elif kind == SH_ROR:
        n = count & (bits - 1)
        r = ((wide >> n) | (wide << (bits - n))) & mask if n else a
        carry = 1 if r & size_sign(size) else 0
    elif kind == SH_RCL:
        for _ in range(count % (bits + 1)):
            top: u32 = 1 if wide & size_sign(size) else 0
            wide = ((wide << 1) | carry) & mask
            carry = top
        r = wide
    else:
        for _ in range(count % (bits + 1)):
            low: u32 = wide & 1
            wide = (wide >> 1) | (size_sign(size) if carry else 0)
            carry = low
        r = wide
    top_bit: u32 = 1 if r & size_sign(size) else 0
    over: u32 = 0
    if kind == SH_ROL or kind == SH_RCL:
        over = top_bit ^ carry
    else:
        over = top_bit ^ (1 if r & (size_sign(size) >> 1) else 0)
    if (kind == SH_RCL or kind == SH_RCR) and count % (bits + 1) == 0:
        over = 1 if c.eflags & OF else 0
    c.eflags = (c.eflags & ~(CF | OF) & M32) | carry | (OF if over else 0)
    return r


@inline
def shift(c: Cpu, kind: u32, size: u32, a: u32, count: u32) -> u32:
    """A shift or rotate by a non-zero count (masked to 5 bits): the result, flags noted."""
    mask = size_mask(size)
    wide: u64 = a
    before: u32 = 0
    r: u32 = 0
    if kind == SH_SHL:
        before = (wide << (count - 1)) & mask
        r = (wide << count) & mask
        set_cc(c, CC_SHL, size, before, r)
        return r
    if kind == SH_SHR:
        before = (wide >> (count - 1)) & mask
        r = (wide >> count) & mask
        set_cc(c, CC_SHR, size, before, r)
        return r
    if kind == SH_SAR:
        signed = sx32(sign_extend(size, a))
        before = (signed >> (count - 1)) & mask
        r = (signed >> count) & mask
        set_cc(c, CC_SAR, size, before, r)
        return r
    return rotate(c, kind, size, a, count)


@inline
def shift_e(c: Cpu, op: Op, kind: u32, by_cl: u32, size: u32, mem: u32) -> i32:
    """Shift E by the immediate or CL, both modulo 32; a count of 0 changes nothing at all."""
    v = begin_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    count: u32 = (c.regs[ECX] if by_cl else op.imm) & 31
    if count == 0:
        return NEXT(c, op)
    if mem:
        return shift_store(c, op, kind, size, v, count)
    set_reg(c, op.rm, size, shift(c, kind, size, v, count))
    return NEXT(c, op)


@func
def shift_store(c: Cpu, op: Op, kind: u32, size: u32, a: u32, count: u32) -> i32:
    """Shift a memory operand; a traced write must leave the flags as they were."""
    old_op = c.cc_op
    old_b = c.cc_b
    old_r = c.cc_r
    old_eflags = c.eflags
    r = shift(c, kind, size, a, count)
    if end_e(c, op, size, 1, r) < 0:
        c.cc_op = old_op
        c.cc_b = old_b
        c.cc_r = old_r
        c.eflags = old_eflags
        return fault(c, op)
    return NEXT(c, op)


@inline
def convert_acc(c: Cpu, op: Op, size: u32) -> i32:
    """CBW (size 2: AX = sign of AL) and CWDE (size 4: EAX = sign of AX)."""
    if size == 4:
        c.regs[EAX] = sx16(c.regs[EAX]) & M32
    else:
        set_reg(c, EAX, 2, sx8(c.regs[EAX]) & M16)
    return NEXT(c, op)


@inline
def convert_double(c: Cpu, op: Op, size: u32) -> i32:
    """CWD and CDQ: (E)DX = sign of (E)AX."""
    top: u32 = size_mask(size) if c.regs[EAX] & size_sign(size) else 0
    set_reg(c, 2, size, top)
    return NEXT(c, op)


@inline
def nop(c: Cpu, op: Op) -> i32:
    return NEXT(c, op)

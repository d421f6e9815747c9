"""MUL, IMUL, DIV, IDIV (SDM vol. 1, 7.3.2; vol. 2).

The one-operand forms work on the accumulator pair: AX for bytes, DX:AX, EDX:EAX. Example:
`mul ecx` with EAX = ECX = 0x10000 gives EDX:EAX = 1:0, and CF = OF = 1 because EDX matters.
A quotient that does not fit raises #DE with nothing changed. SF, ZF, AF and PF are undefined after
a multiplication: here they describe the low half of the product. DIV leaves all flags alone.
"""

from __future__ import annotations

from bt.interp.dialect import (
    M8,
    M16,
    M32,
    NEXT,
    func,
    i32,
    i64,
    inline,
    sdiv64,
    srem64,
    sx8,
    sx16,
    sx32,
    sx64,
    u32,
    u64,
    udiv64,
    urem64,
)
from bt.interp.flags import CC_MUL, set_cc, size_mask
from bt.interp.memory import fault, raise_plain
from bt.interp.operands import get_reg, read_e, set_reg
from bt.interp.state import EAX, EDX, VEC_DE, Cpu, Op


@inline
def sign_value(size: u32, value: u32) -> i64:
    """An operand of size bytes as a signed number."""
    if size == 4:
        return sx32(value)
    if size == 2:
        return sx16(value)
    return sx8(value)


@inline
def set_pair(c: Cpu, size: u32, low: u32, high: u32) -> i32:
    """Set AL and AH, AX and DX, or EAX and EDX: product halves, or quotient and remainder."""
    if size == 1:
        set_reg(c, EAX, 2, ((high & M8) << 8) | (low & M8))
    else:
        set_reg(c, EAX, size, low)
        set_reg(c, EDX, size, high)
    return 0


@inline
def get_pair(c: Cpu, size: u32) -> u64:
    """AX, DX:AX or EDX:EAX: the dividend."""
    wide: u64 = 0
    if size == 1:
        wide = c.regs[EAX] & M16
        return wide
    wide = get_reg(c, EDX, size)
    return (wide << (8 * size)) | get_reg(c, EAX, size)


@inline
def mul_e(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    v = read_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    a: u64 = get_reg(c, EAX, size)
    b: u64 = v
    product: u64 = a * b
    low: u32 = product & size_mask(size)
    high: u32 = (product >> (8 * size)) & M32
    set_pair(c, size, low, high)
    set_cc(c, CC_MUL, size, 1 if high != 0 else 0, low)
    return NEXT(c, op)


@inline
def imul_e(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    v = read_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    product: i64 = sign_value(size, get_reg(c, EAX, size)) * sign_value(size, v & M32)
    low: u32 = product & size_mask(size)
    high: u32 = (product >> (8 * size)) & M32
    set_pair(c, size, low, high)
    set_cc(c, CC_MUL, size, 1 if product != sign_value(size, low) else 0, low)
    return NEXT(c, op)


@inline
def imul_into_g(c: Cpu, op: Op, size: u32, a: u32, b: u32) -> i32:
    """G = a * b, cut to the operand size; CF = OF = something was lost."""
    product: i64 = sign_value(size, a) * sign_value(size, b)
    low: u32 = product & size_mask(size)
    set_reg(c, op.reg, size, low)
    set_cc(c, CC_MUL, size, 1 if product != sign_value(size, low) else 0, low)
    return NEXT(c, op)


@inline
def imul_ge(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    v = read_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    return imul_into_g(c, op, size, get_reg(c, op.reg, size), v & M32)


@inline
def imul_gei(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    v = read_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    return imul_into_g(c, op, size, v & M32, op.imm)


@func
def divide_error(c: Cpu, op: Op) -> i32:
    raise_plain(c, VEC_DE)
    return fault(c, op)


@inline
def div_e(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    v = read_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    divisor: u64 = v
    if divisor == 0:
        return divide_error(c, op)
    dividend = get_pair(c, size)
    quotient: u64 = udiv64(dividend, divisor)
    if quotient > size_mask(size):
        return divide_error(c, op)
    set_pair(c, size, quotient & M32, urem64(dividend, divisor) & M32)
    return NEXT(c, op)


@func
def idiv_fits(dividend: i64, divisor: i64, size: u32) -> u32:
    """Whether the quotient exists and fits; never divides the one pair that traps in C, too."""
    if divisor == 0:
        return 0
    limit: i64 = 1
    limit = limit << (8 * size - 1)
    if divisor == -1:  # the most negative number has no negative
        return 1 if dividend > -limit and dividend <= limit else 0
    quotient: i64 = sdiv64(dividend, divisor)
    return 1 if quotient >= -limit and quotient < limit else 0


@inline
def idiv_e(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    """IDIV truncates toward zero; the remainder has the sign of the dividend."""
    v = read_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    divisor: i64 = sign_value(size, v & M32)
    dividend: i64 = 0
    if size == 4:
        dividend = sx64(get_pair(c, size))
    elif size == 2:
        dividend = sx32(get_pair(c, size) & M32)
    else:
        dividend = sx16(get_pair(c, size) & M32)
    if not idiv_fits(dividend, divisor, size):
        return divide_error(c, op)
    quotient: i64 = sdiv64(dividend, divisor)
    set_pair(c, size, quotient & M32, srem64(dividend, divisor) & M32)
    return NEXT(c, op)

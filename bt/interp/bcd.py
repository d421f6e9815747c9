"""Decimal arithmetic: DAA DAS AAA AAS AAM AAD (SDM vol. 1, 7.3.3; vol. 2).

Packed digits: after `add al, bl` of 0x27 + 0x35 = 0x5C, DAA makes AL = 0x62. Unpacked: AAM splits
AL = 38 into AH = 3, AL = 8, and AAD puts them together again; the base is the immediate, nearly
always 10, and AAM with base 0 is a division by zero.

Undefined flags: OF (and CF, AF of AAM and AAD) become 0; SF, ZF, PF always describe AL.
"""

from __future__ import annotations

from bt.interp.dialect import M8, M16, NEXT, func, get8, i32, set8, set16, u32
from bt.interp.flags import CC_LOGIC, cc_adjust, cc_carry, set_cc, settle_flags
from bt.interp.memory import fault, raise_plain
from bt.interp.state import AF, CF, EAX, VEC_DE, Cpu, Op

AL = 0  # byte registers in get8() numbering
AH = 1


@func
def decimal_flags(c: Cpu, carry: u32, adjust: u32) -> i32:
    """SF, ZF, PF from AL, and CF, AF as given."""
    set_cc(c, CC_LOGIC, 1, 0, get8(c, AL))
    settle_flags(c)
    c.eflags = c.eflags | (CF if carry else 0) | (AF if adjust else 0)
    return 0


@func
def daa(c: Cpu, op: Op) -> i32:
    """Decimal adjust AL after an addition of packed digits."""
    old: u32 = get8(c, AL)
    carry: u32 = 1 if old > 0x99 or cc_carry(c) else 0
    adjust: u32 = 1 if old & 0xF > 9 or cc_adjust(c) else 0
    set8(c, AL, (old + (6 if adjust else 0) + (0x60 if carry else 0)) & M8)
    decimal_flags(c, carry, adjust)
    return NEXT(c, op)


@func
def das(c: Cpu, op: Op) -> i32:
    """Decimal adjust AL after a subtraction of packed digits."""
    old: u32 = get8(c, AL)
    high: u32 = 1 if old > 0x99 or cc_carry(c) else 0
    adjust: u32 = 1 if old & 0xF > 9 or cc_adjust(c) else 0
    borrow: u32 = 1 if high or (adjust and old < 6) else 0
    set8(c, AL, (old - (6 if adjust else 0) - (0x60 if high else 0)) & M8)
    decimal_flags(c, borrow, adjust)
    return NEXT(c, op)


@func
def aaa(c: Cpu, op: Op) -> i32:
    """Adjust AL after an addition of two digits, the carry goes to AH."""
    adjust: u32 = 1 if get8(c, AL) & 0xF > 9 or cc_adjust(c) else 0
    if adjust:
        set16(c, EAX, (c.regs[EAX] + 0x106) & M16)
    set8(c, AL, get8(c, AL) & 0xF)
    decimal_flags(c, adjust, adjust)
    return NEXT(c, op)


@func
def aas(c: Cpu, op: Op) -> i32:
    """Adjust AL after a subtraction of two digits, the borrow comes from AH."""
    adjust: u32 = 1 if get8(c, AL) & 0xF > 9 or cc_adjust(c) else 0
    if adjust:
        set16(c, EAX, (c.regs[EAX] - 0x106) & M16)
    set8(c, AL, get8(c, AL) & 0xF)
    decimal_flags(c, adjust, adjust)
    return NEXT(c, op)


@func
def aam(c: Cpu, op: Op) -> i32:
    """AH = AL / base, AL = AL mod base."""
    base: u32 = op.imm & M8
    if base == 0:
        raise_plain(c, VEC_DE)
        return fault(c, op)
    value: u32 = get8(c, AL)
    set8(c, AH, value // base)
    set8(c, AL, value % base)
    decimal_flags(c, 0, 0)
    return NEXT(c, op)


@func
def aad(c: Cpu, op: Op) -> i32:
    """AL = AH * base + AL, AH = 0."""
    value: u32 = get8(c, AH) * (op.imm & M8) + get8(c, AL)
    set16(c, EAX, value & M8)
    decimal_flags(c, 0, 0)
    return NEXT(c, op)

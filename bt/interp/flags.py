"""Lazy arithmetic flags (SDM vol. 1, 3.4.3).

Most flags are overwritten before anyone reads them. So an instruction only notes what it did:

    cc_op = kind * 8 + operand size in bytes
    cc_r  = result, sign-extended to 32 bits   -> ZF is cc_r == 0, SF its top bit, PF its low byte
    cc_b  = source operand (or what the table below says)

and CF, OF, AF are worked out when someone asks. Example: after `add al, bl` with AL=0xF0, BL=0x20
cc_op = CC_ADD*8+1, cc_b = 0x20, cc_r = 0x10; CF = (r < b) = 1.

| kind     | cc_b holds            | CF                |
| -------- | --------------------- | ----------------- |
| CC_ADD   | source                | r < b             |
| CC_ADC   | source, carry-in 1    | r <= b            |
| CC_SUB   | source                | a < b, a = r + b  |
| CC_SBB   | source, borrow-in 1   | a <= b            |
| CC_LOGIC | -                     | 0                 |
| CC_INC   | CF kept from before   | b                 |
| CC_DEC   | CF kept from before   | b                 |
| CC_SHL   | a << (count-1)        | top bit of b      |
| CC_SHR   | a >> (count-1)        | bit 0 of b        |
| CC_SAR   | a >> (count-1)        | bit 0 of b        |
| CC_MUL   | CF = OF               | b                 |

CC_EFLAGS: the six flags are in c.eflags themselves.
"""

from __future__ import annotations

from bt.interp.dialect import M8, M16, M32, func, i32, inline, sx8, sx16, u32
from bt.interp.state import AF, ARITH, CF, EFLAGS_FIXED, OF, PF, SF, ZF, Cpu

CC_EFLAGS = 0
CC_LOGIC = 1
CC_ADD = 2
CC_SUB = 3
CC_ADC = 4
CC_SBB = 5
CC_INC = 6
CC_DEC = 7
CC_SHL = 8
CC_SHR = 9
CC_SAR = 10
CC_MUL = 11


@inline
def size_mask(size: u32) -> u32:
    if size == 4:
        return M32
    if size == 2:
        return M16
    return M8


@inline
def size_sign(size: u32) -> u32:
    """The sign bit of an operand of size bytes."""
    if size == 4:
        return 0x80000000
    if size == 2:
        return 0x8000
    return 0x80


@inline
def sign_extend(size: u32, value: u32) -> u32:
    """To 32 bits, as a u32 pattern."""
    if size == 4:
        return value
    if size == 2:
        return sx16(value) & M32
    return sx8(value) & M32


@inline
def set_cc(c: Cpu, kind: u32, size: u32, b: u32, result: u32) -> i32:
    c.cc_op = kind * 8 + size
    c.cc_b = b
    c.cc_r = sign_extend(size, result)
    return 0


@func
def carry_of(c: Cpu) -> u32:
    """CF as 0 or 1, whatever computed it."""
    kind = c.cc_op >> 3
    if kind == CC_EFLAGS:
        return c.eflags & CF
    mask = size_mask(c.cc_op & 7)
    r: u32 = c.cc_r & mask
    b: u32 = c.cc_b & mask
    if kind == CC_SUB:
        return 1 if ((r + b) & mask) < b else 0
    if kind == CC_ADD:
        return 1 if r < b else 0
    if kind == CC_LOGIC:
        return 0
    if kind == CC_ADC:
        return 1 if r <= b else 0
    if kind == CC_SBB:
        return 1 if ((r + b + 1) & mask) <= b else 0
    if kind == CC_SHL:
        return 1 if b & size_sign(c.cc_op & 7) else 0
    return b & 1  # INC, DEC, SHR, SAR, MUL


@inline
def cc_carry(c: Cpu) -> u32:
    """CF as 0 or 1: here at once behind a comparison of doublewords, the commonest case."""
    if c.cc_op == CC_SUB * 8 + 4:
        return 1 if (c.cc_r + c.cc_b) & M32 < c.cc_b else 0
    return carry_of(c)


@func
def cc_overflow(c: Cpu) -> u32:
    """OF as 0 or 1."""
    kind = c.cc_op >> 3
    if kind == CC_EFLAGS:
        return 1 if c.eflags & OF else 0
    size: u32 = c.cc_op & 7
    mask = size_mask(size)
    sign = size_sign(size)
    r: u32 = c.cc_r & mask
    b: u32 = c.cc_b & mask
    a: u32 = 0
    if kind == CC_SUB or kind == CC_SBB:
        a = (r + b + (1 if kind == CC_SBB else 0)) & mask
        return 1 if (a ^ b) & (a ^ r) & sign else 0
    if kind == CC_ADD or kind == CC_ADC:
        a = (r - b - (1 if kind == CC_ADC else 0)) & mask
        return 1 if (a ^ r) & (b ^ r) & sign else 0
    if kind == CC_INC:
        return 1 if r == sign else 0
    if kind == CC_DEC:
        return 1 if r == sign - 1 else 0
    if kind == CC_SHL:
        return 1 if (b ^ r) & sign else 0
    if kind == CC_SHR:
        return 1 if b & sign else 0
    if kind == CC_MUL:
        return b & 1
    return 0  # LOGIC, SAR


@func
def cc_adjust(c: Cpu) -> u32:
    """AF as 0 or 1 (0 where the SDM leaves it undefined)."""
    kind = c.cc_op >> 3
    if kind == CC_EFLAGS:
        return 1 if c.eflags & AF else 0
    r = c.cc_r
    b = c.cc_b
    if kind == CC_ADD:
        return 1 if ((r - b) ^ b ^ r) & AF else 0
    if kind == CC_SUB:
        return 1 if ((r + b) ^ b ^ r) & AF else 0
    if kind == CC_ADC:
        return 1 if ((r - b - 1) ^ b ^ r) & AF else 0
    if kind == CC_SBB:
        return 1 if ((r + b + 1) ^ b ^ r) & AF else 0
    if kind == CC_INC:
        return 1 if r & 0xF == 0 else 0
    if kind == CC_DEC:
        return 1 if r & 0xF == 0xF else 0
    return 0


@inline
def cc_parity(c: Cpu) -> u32:
    """PF as 0 or 1: even number of ones in the result's low byte."""
    if c.cc_op == CC_EFLAGS:
        return 1 if c.eflags & PF else 0
    low: u32 = (c.cc_r ^ (c.cc_r >> 4)) & 0xF
    return (0x9669 >> low) & 1


@inline
def cc_zero(c: Cpu) -> u32:
    if c.cc_op == CC_EFLAGS:
        return 1 if c.eflags & ZF else 0
    return 1 if c.cc_r == 0 else 0


@inline
def cc_sign(c: Cpu) -> u32:
    if c.cc_op == CC_EFLAGS:
        return 1 if c.eflags & SF else 0
    return c.cc_r >> 31


@func
def add_sub_flags(c: Cpu, subtract: u32) -> u32:
    """CF, AF and OF of an ADD or SUB, the commonest kinds, without asking three times."""
    size: u32 = c.cc_op & 7
    mask = size_mask(size)
    sign = size_sign(size)
    r: u32 = c.cc_r & mask
    b: u32 = c.cc_b & mask
    a: u32 = (r + b if subtract else r - b) & mask
    found: u32 = (a ^ b ^ r) & AF
    if subtract:
        found |= (1 if a < b else 0) | (OF if (a ^ b) & (a ^ r) & sign else 0)
    else:
        found |= (1 if r < b else 0) | (OF if (a ^ r) & (b ^ r) & sign else 0)
    return found


@func
def get_eflags(c: Cpu) -> u32:
    """All of EFLAGS, the lazy ones worked out."""
    kind = c.cc_op >> 3
    if kind == CC_EFLAGS:
        return c.eflags | EFLAGS_FIXED
    arith: u32 = cc_parity(c) << 2 | (ZF if c.cc_r == 0 else 0) | (c.cc_r >> 31) << 7
    if kind == CC_SUB or kind == CC_ADD:
        arith |= add_sub_flags(c, 1 if kind == CC_SUB else 0)
    elif kind != CC_LOGIC:
        arith |= cc_carry(c) | cc_adjust(c) << 4 | cc_overflow(c) << 11
    return (c.eflags & ~ARITH & M32) | arith | EFLAGS_FIXED


@func
def set_eflags(c: Cpu, value: u32) -> i32:
    """Replace all of EFLAGS (no privilege rules here)."""
    c.eflags = value | EFLAGS_FIXED
    c.cc_op = CC_EFLAGS
    return 0


@func
def settle_flags(c: Cpu) -> i32:
    """Work the lazy flags out into c.eflags, for instructions that change single flags."""
    return set_eflags(c, get_eflags(c))


@inline
def condition(c: Cpu, cc: u32) -> u32:
    """Condition code 0-15 as in Jcc (SDM vol. 1, appendix B): non-zero if it holds."""
    value: u32 = 0
    test = cc >> 1
    if test == 0:
        value = cc_overflow(c)
    elif test == 1:
        value = cc_carry(c)
    elif test == 2:
        value = cc_zero(c)
    elif test == 3:
        value = cc_zero(c) | cc_carry(c)
    elif test == 4:
        value = cc_sign(c)
    elif test == 5:
        value = cc_parity(c)
    elif test == 6:
        value = cc_sign(c) ^ cc_overflow(c)
    else:
        value = cc_zero(c) | (cc_sign(c) ^ cc_overflow(c))
    return value ^ (cc & 1)

"""The stack: PUSH, POP, PUSHA, POPA, ENTER, LEAVE (SDM vol. 1, ch. 6).

The stack pointer is ESP or SP by the B bit of SS (c.sp_mask). It only changes once the memory
access has succeeded, so a fault leaves it alone and the instruction can be restarted.
"""

from __future__ import annotations

from bt.interp.dialect import M32, NEXT, i32, i64, inline, u32
from bt.interp.memory import fault, load, store
from bt.interp.operands import read_e, set_reg, write_e
from bt.interp.state import ESP, SS, Cpu, Op


@inline
def stack_at(c: Cpu, delta: u32) -> u32:
    """Offset in SS of ESP + delta (delta a u32 pattern), in the stack's width."""
    return (c.regs[ESP] + delta) & c.sp_mask


@inline
def set_esp(c: Cpu, offset: u32) -> i64:
    """Move the stack pointer: all of ESP, or only SP on a 16-bit stack."""
    c.regs[ESP] = (c.regs[ESP] & ~c.sp_mask & M32) | (offset & c.sp_mask)
    return 0


@inline
def push(c: Cpu, size: u32, value: u32) -> i64:
    """Push 2 or 4 bytes; -1: faulted, nothing changed."""
    at = stack_at(c, -size & M32)
    if store(c, SS, at, size, value) < 0:
        return -1
    set_esp(c, at)
    return 0


@inline
def pop(c: Cpu, size: u32) -> i64:
    """Pop 2 or 4 bytes; -1: faulted, nothing changed."""
    v = load(c, SS, stack_at(c, 0), size)
    if v >= 0:
        set_esp(c, stack_at(c, size))
    return v


@inline
def push_e(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    v = read_e(c, op, size, mem)
    if v < 0:
        return fault(c, op)
    if push(c, size, v) < 0:
        return fault(c, op)
    return NEXT(c, op)


@inline
def push_i(c: Cpu, op: Op, size: u32) -> i32:
    if push(c, size, op.imm) < 0:
        return fault(c, op)
    return NEXT(c, op)


@inline
def pop_z(c: Cpu, op: Op, size: u32) -> i32:
    v = pop(c, size)
    if v < 0:
        return fault(c, op)
    set_reg(c, op.rm, size, v)
    return NEXT(c, op)


@inline
def pop_e(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    """POP to memory: an address that uses ESP sees it already incremented."""
    old = c.regs[ESP]
    v = pop(c, size)
    if v < 0:
        return fault(c, op)
    if write_e(c, op, size, mem, v) < 0:
        c.regs[ESP] = old
        return fault(c, op)
    return NEXT(c, op)

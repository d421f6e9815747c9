"""Operands: how an instruction body reads and writes what ModRM names.

`mem` says at stamping time whether the E operand is memory (1) or a register (0), `size` how
many bytes it has; both are constants in every compiled handler, so the branches fold away.

    value = read_e(c, op, size, mem)      # i64; -1: faulted
    value = begin_e(c, op, size, mem)     # the same, but it will be written back:
    if end_e(c, op, size, mem, result) < 0: ...
"""

from __future__ import annotations

from bt.interp.dialect import get8, get16, i64, inline, set8, set16, u32
from bt.interp.memory import ea, load, rmw_begin, rmw_end, store
from bt.interp.state import Cpu, Op


@inline
def get_reg(c: Cpu, i: u32, size: u32) -> u32:
    """Register i (byte registers in get8 numbering), zero-extended."""
    if size == 4:
        return c.regs[i]
    if size == 2:
        return get16(c, i)
    return get8(c, i)


@inline
def set_reg(c: Cpu, i: u32, size: u32, value: u32) -> i64:
    if size == 4:
        c.regs[i] = value
    elif size == 2:
        set16(c, i, value)
    else:
        set8(c, i, value)
    return 0


@inline
def read_e(c: Cpu, op: Op, size: u32, mem: u32) -> i64:
    if mem:
        return load(c, op.seg, ea(c, op), size)
    return get_reg(c, op.rm, size)


@inline
def write_e(c: Cpu, op: Op, size: u32, mem: u32, value: u32) -> i64:
    if mem:
        return store(c, op.seg, ea(c, op), size, value)
    return set_reg(c, op.rm, size, value)


@inline
def begin_e(c: Cpu, op: Op, size: u32, mem: u32) -> i64:
    if mem:
        return rmw_begin(c, op.seg, ea(c, op), size)
    return get_reg(c, op.rm, size)


@inline
def end_e(c: Cpu, op: Op, size: u32, mem: u32, value: u32) -> i64:
    if mem:
        return rmw_end(c, size, value)
    return set_reg(c, op.rm, size, value)

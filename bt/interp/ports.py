"""IN and OUT, and who may use them (SDM vol. 1, ch. 19 "Input/Output"; vol. 3, 20.2.5).

At CPL <= IOPL every port is open. Otherwise, and always in virtual-8086 mode, the I/O permission
bitmap of a 32-bit TSS decides: one bit per port, 1 = forbidden. It starts at the offset held by
the word at byte 102 of the TSS; the processor always reads two bytes of it, so that an access of
several ports never needs a third.

The callback that serves the port may ask where and when: c.eip is the instruction, c.io_icount
the number of instructions completed before it. When it wants the loop it sets c.recheck, and the
processor leaves as soon as the instruction has completed.
"""

from __future__ import annotations

from bt.interp.control import leave_block
from bt.interp.counting import icount_at
from bt.interp.debug_regs import ARMED_IO
from bt.interp.descriptors import real_mode, v86_mode
from bt.interp.dialect import (
    M16,
    M32,
    NEXT,
    call_backdoor,
    call_read_port,
    call_write_port,
    func,
    i32,
    i64,
    u32,
)
from bt.interp.memory import fault, raise_error, sup_read
from bt.interp.operands import get_reg, set_reg
from bt.interp.state import (
    ATTR_P,
    ATTR_UNUSABLE,
    BACKDOOR_OPEN,
    EAX,
    EDX,
    EXIT_IO,
    IOPL,
    RUN_ALONE,
    RUN_BLOCK,
    ST_EXIT,
    TR,
    VEC_GP,
    Cpu,
    Op,
)
from bt.interp.vmware import BACKDOOR_HIGH_PORT, BACKDOOR_PORT, is_backdoor, leave_for_host

TSS_IOMAP_BASE = 102
TR_USABLE32 = ATTR_UNUSABLE | ATTR_P | 0x1D  # present, not null, type 9 or 11 (busy bit aside)


@func
def io_bitmap_allows(c: Cpu, port: u32, size: u32) -> i64:
    """Ask the TSS; -1: #GP(0), or the page fault of reading it.

    A processor that serves a monitor has no TSS of its own: its ports are closed, unless the
    monitor has opened them for translated code of the guest's ring 0 (ports_open).
    """
    if (
        c.external
        or c.seg_attr[TR] & TR_USABLE32 != ATTR_P | 9
        or c.seg_limit[TR] < TSS_IOMAP_BASE + 1
    ):
        return raise_error(c, VEC_GP, 0)
    base = sup_read(c, (c.seg_base[TR] + TSS_IOMAP_BASE) & M32, 2)
    if base < 0:
        return -1
    at: u32 = base + (port >> 3)
    if at + 1 > c.seg_limit[TR]:
        return raise_error(c, VEC_GP, 0)
    bits = sup_read(c, (c.seg_base[TR] + at) & M32, 2)
    if bits < 0:
        return -1
    if (bits >> (port & 7)) & ((1 << size) - 1):
        return raise_error(c, VEC_GP, 0)
    return 0


@func
def io_allowed(c: Cpu, port: u32, size: u32) -> i64:
    """May the current program use these `size` ports? 0, or -1 with the exception noted."""
    if is_backdoor(c, port):
        if c.external:  # also while ports are open: the call needs the guest's own registers
            return raise_error(c, VEC_GP, 0)
        if c.backdoor == BACKDOOR_OPEN:
            return 0
    if c.ports_open:
        return 0
    if real_mode(c) or (c.cpl <= (c.eflags & IOPL) >> 12 and not v86_mode(c)):
        return 0
    return io_bitmap_allows(c, port, size)


@func
def io_breakpoint(c: Cpu, port: u32, size: u32) -> i32:
    """Collect the debug registers that watch any of these ports (SDM vol. 3, 17.2.4 and 17.3.1)."""
    for i in range(4):
        if c.dr[7] & (3 << (2 * i)) and (c.dr[7] >> (16 + 4 * i)) & 3 == 2:
            span: u32 = (c.dr[7] >> (18 + 4 * i)) & 3
            start: u32 = c.dr[i] & ~span & M32
            if start < port + size and port <= start + span:
                c.dr_hits |= 1 << i
    return 0


@func
def io_begins(c: Cpu, op: Op) -> i32:
    """A device will be asked: where and when it is."""
    c.running = RUN_ALONE
    c.eip = op.eip
    c.io_icount = icount_at(c, op)
    c.io_left = op.left if op.rep else op.left - op.counted  # a REP comes again itself
    c.io_begun = 1 if op.need > op.left else 0
    return 0


@func
def io_access(c: Cpu, op: Op, port: u32, size: u32) -> i32:
    """The access will happen: where and when it does, and who watches."""
    io_begins(c, op)
    if c.dr_armed & ARMED_IO:
        io_breakpoint(c, port, size)
    return 0


@func
def io_done(c: Cpu, op: Op) -> i32:
    """A port access has completed: go on, unless a device asked for the loop."""
    c.running = RUN_BLOCK
    if c.recheck == 0:
        return NEXT(c, op)
    leave_block(c, op)
    c.eip = op.next_eip
    c.exit_reason = EXIT_IO
    return ST_EXIT


@func
def backdoor_access(c: Cpu, op: Op, out: u32) -> i32:
    """A call of VMware's: the monitor reads and sets the registers, EAX too."""
    if call_backdoor(c, BACKDOOR_PORT, op.size, out, 0) == 1:
        return leave_for_host(c, op)
    return io_done(c, op)


@func
def backdoor_answered(c: Cpu, op: Op) -> i32:
    """The host application has served the call, and set registers: DX too, which named the port."""
    c.call_answered = 0
    io_access(c, op, BACKDOOR_PORT, op.size)
    return io_done(c, op)


@func
def element_in(c: Cpu, port: u32, size: u32) -> u32:
    """What INS reads."""
    if port == BACKDOOR_HIGH_PORT and c.backdoor:
        return call_backdoor(c, port, size, 0, 0) & M32
    return call_read_port(c, port, size) & M32


@func
def element_out(c: Cpu, port: u32, size: u32, value: u32) -> i32:
    """What OUTS writes."""
    if port == BACKDOOR_HIGH_PORT and c.backdoor:
        call_backdoor(c, port, size, 1, value)
    else:
        call_write_port(c, port, size, value)
    return 0


@func
def port_in(c: Cpu, op: Op, port: u32) -> i32:
    if c.call_answered:
        return backdoor_answered(c, op)
    if io_allowed(c, port, op.size) < 0:
        return fault(c, op)
    io_access(c, op, port, op.size)
    if port == BACKDOOR_PORT and c.backdoor:
        return backdoor_access(c, op, 0)
    value: u32 = call_read_port(c, port, op.size) & M32
    set_reg(c, EAX, op.size, value)
    return io_done(c, op)


@func
def port_out(c: Cpu, op: Op, port: u32) -> i32:
    if c.call_answered:
        return backdoor_answered(c, op)
    if io_allowed(c, port, op.size) < 0:
        return fault(c, op)
    io_access(c, op, port, op.size)
    if port == BACKDOOR_PORT and c.backdoor:
        return backdoor_access(c, op, 1)
    call_write_port(c, port, op.size, get_reg(c, EAX, op.size))
    return io_done(c, op)


@func
def in_imm(c: Cpu, op: Op) -> i32:
    return port_in(c, op, op.imm & 0xFF)


@func
def in_dx(c: Cpu, op: Op) -> i32:
    return port_in(c, op, c.regs[EDX] & M16)


@func
def out_imm(c: Cpu, op: Op) -> i32:
    return port_out(c, op, op.imm & 0xFF)


@func
def out_dx(c: Cpu, op: Op) -> i32:
    return port_out(c, op, c.regs[EDX] & M16)

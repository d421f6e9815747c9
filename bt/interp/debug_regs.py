"""Debug registers: MOV to and from DR0-DR7, and what is armed (SDM vol. 3, 17.2).

c.dr_armed tells the rest of the processor what to look for: bit 0 if an execution breakpoint is
enabled, bit 1 if a data breakpoint is, bit 2 if an I/O breakpoint is,
bit 3 if the embedder watches addresses (watchpoints.py). With bit 1 set no TLB entry
has a fast path (paging.py), so arming and disarming data breakpoints empties the TLB.

I/O breakpoints (R/W = 2) exist only with CR4.DE set. Without it that encoding is undefined (the
386 and 486 had none); here it then matches nothing.
"""

from __future__ import annotations

from bt.interp.control import leave_block
from bt.interp.descriptors import v86_mode
from bt.interp.dialect import M32, NEXT, func, i32, u32
from bt.interp.memory import fault, raise_error, raise_plain
from bt.interp.paging import flush_tlb
from bt.interp.state import ARMED_WATCHPOINT, CR4_DE, RF, ST_LOOKUP, VEC_DB, VEC_GP, VEC_UD, Cpu, Op

DR6_FIXED = 0xFFFF0FF0
DR6_WRITABLE = 0x0000E00F
DR6_BD = 0x2000  # debug register access with GD set
DR6_BT = 0x8000  # task switch
DR7_FIXED = 0x400
DR7_WRITABLE = 0xFFFF2BFF
DR7_GD = 0x2000
ARMED_CODE = 1
ARMED_DATA = 2
ARMED_IO = 4
DR7_LOCAL = 0x155  # L0-L3, LE: cleared by a task switch


@func
def debug_changed(c: Cpu) -> i32:
    """Recompute c.dr_armed from DR7 and CR4.DE."""
    armed: u32 = 0
    for i in range(4):
        if c.dr[7] & (3 << (2 * i)):
            kind = (c.dr[7] >> (16 + 4 * i)) & 3
            if kind == 0:
                armed |= ARMED_CODE
            elif kind != 2:
                armed |= ARMED_DATA
            elif c.cr4 & CR4_DE:
                armed |= ARMED_IO
    if c.wp_total:
        armed |= ARMED_WATCHPOINT
    changed: u32 = (armed ^ c.dr_armed) & ARMED_DATA
    c.dr_armed = armed
    if changed:
        flush_tlb(c, 0)
    return 0


@func
def debug_reg(c: Cpu, op: Op) -> i32:
    """The register named by an op, DR4 and DR5 being aliases of DR6 and DR7.

    -1 with the exception noted: #UD with CR4.DE, #GP outside ring 0, #DB with DR7.GD.
    """
    number: i32 = op.reg & 7
    if number == 4 or number == 5:
        if c.cr4 & CR4_DE:
            raise_plain(c, VEC_UD)
            return -1
        number += 2
    if c.cpl != 0 or v86_mode(c):
        raise_error(c, VEC_GP, 0)
        return -1
    if c.dr[7] & DR7_GD:
        c.dr[6] |= DR6_BD
        c.eflags |= RF  # of the faults that are #DB only the code breakpoint pushes RF as it is
        raise_plain(c, VEC_DB)
        return -1
    return number


@func
def mov_rd(c: Cpu, op: Op) -> i32:
    """MOV r32, DRn."""
    number = debug_reg(c, op)
    if number < 0:
        return fault(c, op)
    c.regs[op.rm] = c.dr[number]
    return NEXT(c, op)


@func
def mov_dr(c: Cpu, op: Op) -> i32:
    """MOV DRn, r32."""
    number = debug_reg(c, op)
    if number < 0:
        return fault(c, op)
    value: u32 = c.regs[op.rm]
    if number == 6:
        value = (value & DR6_WRITABLE) | DR6_FIXED
    elif number == 7:
        value = (value & DR7_WRITABLE) | DR7_FIXED
    c.dr[number] = value & M32
    debug_changed(c)
    leave_block(c, op)
    c.eip = op.next_eip
    return ST_LOOKUP

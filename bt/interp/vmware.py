"""VMware's guest interfaces as the processor sees them: backdoor, pseudo counters, hypercalls.

VMware made three kinds of instruction mean something else in its guests. The monitor behind `c.bus`
knows what; here stands when.

    IN, OUT at port 5658        a call: the monitor reads and sets the caller's registers
    REP INSB, OUTSB at 5659     the bytes of a message, one access each
    RDPMC with ECX 1000x        time: of the host, real, apparent
    VMCALL, VMMCALL             a hypercall

While the backdoor is open it is so at every CPL, whatever IOPL and the I/O bitmap say. An engine
has no part in it: there these instructions fault, and the ideal processor runs them.

A call that the host application shall serve leaves run() *at* the instruction, with EXIT_VMWARE.
Whoever serves it sets registers, then answer_call() runs the instruction once more: now it only
completes. So everything between two instructions (single steps, breakpoints, counting) is as
after any other one. Or answer_call() delivers an exception, at the instruction.
"""

from __future__ import annotations

from bt.interp.dialect import M64, NEXT, call_counter, func, i32, i64, u32, u64
from bt.interp.memory import fault, raise_error, raise_plain
from bt.interp.state import (
    BACKDOOR_OPEN,
    EXIT_VMWARE,
    ST_EXIT,
    VEC_AC,
    VEC_DF,
    VEC_PF,
    VEC_TS,
    VEC_UD,
    Cpu,
    Op,
)

BACKDOOR_PORT = 0x5658
BACKDOOR_HIGH_PORT = 0x5659
PSEUDO_COUNTERS = 0x10000  # the first of four


@func
def is_backdoor(c: Cpu, port: u32) -> u32:
    """Is this port the backdoor's, and is there one?"""
    return 1 if c.backdoor and (port == BACKDOOR_PORT or port == BACKDOOR_HIGH_PORT) else 0


@func
def leave_for_host(c: Cpu, op: Op) -> i32:
    """Leave run() at this instruction, which has changed nothing yet."""
    c.eip = op.eip
    c.budget += op.left
    c.exit_reason = EXIT_VMWARE
    return ST_EXIT


@func
def is_pseudo_counter(c: Cpu, index: u32) -> u32:
    """Does RDPMC with this index read one of VMware's, open to this caller?"""
    return 1 if c.backdoor == BACKDOOR_OPEN and index | 3 == PSEUDO_COUNTERS | 3 else 0


@func
def pseudo_counter(c: Cpu, index: u32, count: u64) -> u64:
    """Its value; `count` instructions have completed."""
    c.io_icount = count
    value: i64 = call_counter(c, index)
    return value & M64


@func
def fault_instead(c: Cpu, vector: u32, error: u32, address: u32) -> i64:
    """Note the exception that the host application asked for; -1."""
    if vector == VEC_PF:
        c.cr2 = address
    if vector == VEC_DF or vector == VEC_AC or (vector >= VEC_TS and vector <= VEC_PF):
        return raise_error(c, vector, error)
    return raise_plain(c, vector)


@func
def hypercall(c: Cpu, op: Op, modrm: u32) -> i32:
    """VMCALL, VMMCALL: #UD where they are off, and on an engine.

    Their opcodes are register forms of SGDT and LIDT, whose other register forms are undefined.
    """
    if op.modrm != modrm or c.hypercalls == 0 or c.external:
        raise_plain(c, VEC_UD)
        return fault(c, op)
    if c.call_answered:
        c.call_answered = 0
        return NEXT(c, op)
    return leave_for_host(c, op)

"""Stack frames: PUSHA, POPA, ENTER, LEAVE (SDM vol. 1, 6.2 and 6.6; vol. 2).

ENTER size, level builds the frame of a nested procedure. Level 2, 32 bits:

    push ebp                 <- the new EBP will point here
    push [ebp - 4]           the enclosing procedure's frame pointer, from the caller's display
    push new EBP             the last entry of the new display
    sub esp, size

All of them move registers only after the last access has succeeded, so a fault restarts them. What
was written before the fault lies below the stack pointer and is written again. A display that
overlaps the new frame is the exception, which `reach_frame` is for.
"""

from __future__ import annotations

from bt.interp.dialect import M16, M32, NEXT, func, i32, i64, inline, u32
from bt.interp.memory import fault, load, store
from bt.interp.operands import get_reg, set_reg
from bt.interp.probe import probe_write
from bt.interp.stack import push, set_esp, stack_at
from bt.interp.state import EAX, EBP, EBX, ECX, EDI, EDX, ESI, ESP, SS, Cpu, Op


@func
def pusha(c: Cpu, op: Op) -> i32:
    """Push EAX ECX EDX EBX, ESP as it was, EBP ESI EDI."""
    size: u32 = op.size
    for i in range(8):
        at: u32 = stack_at(c, -(i + 1) * size & M32)
        if store(c, SS, at, size, get_reg(c, i, size)) < 0:
            return fault(c, op)
    set_esp(c, stack_at(c, -8 * size & M32))
    return NEXT(c, op)


@inline
def popa_slot(c: Cpu, size: u32, reg: u32) -> i64:
    """What PUSHA stored for a register; EDI lies lowest."""
    return load(c, SS, stack_at(c, (7 - reg) * size), size)


@func
def popa(c: Cpu, op: Op) -> i32:
    """Pop EDI ESI EBP, skip the stored ESP, pop EBX EDX ECX EAX."""
    size: u32 = op.size
    edi = popa_slot(c, size, EDI)
    esi = popa_slot(c, size, ESI) if edi >= 0 else edi
    ebp = popa_slot(c, size, EBP) if esi >= 0 else esi
    ebx = popa_slot(c, size, EBX) if ebp >= 0 else ebp
    edx = popa_slot(c, size, EDX) if ebx >= 0 else ebx
    ecx = popa_slot(c, size, ECX) if edx >= 0 else edx
    eax = popa_slot(c, size, EAX) if ecx >= 0 else ecx
    if eax < 0:
        return fault(c, op)
    set_reg(c, EDI, size, edi)
    set_reg(c, ESI, size, esi)
    set_reg(c, EBP, size, ebp)
    set_reg(c, EBX, size, ebx)
    set_reg(c, EDX, size, edx)
    set_reg(c, ECX, size, ecx)
    set_reg(c, EAX, size, eax)
    set_esp(c, stack_at(c, 8 * size))
    return NEXT(c, op)


@func
def copy_display(c: Cpu, size: u32, entries: u32) -> i64:
    """Push the enclosing procedures' frame pointers from the display below EBP."""
    for i in range(entries):
        at: u32 = (c.regs[EBP] - (i + 1) * size) & c.sp_mask
        v = load(c, SS, at, size)
        if v < 0:
            return -1
        if push(c, size, v & M32) < 0:
            return -1
    return 0


@func
def build_frame(c: Cpu, size: u32, level: u32, room: u32) -> i64:
    """ENTER up to the last access: returns the frame pointer, ESP is moved; -1: faulted."""
    if push(c, size, c.regs[EBP]) < 0:
        return -1
    frame: u32 = c.regs[ESP]
    if level > 0:
        if copy_display(c, size, level - 1) < 0:
            return -1
        if push(c, size, frame) < 0:
            return -1
    set_esp(c, stack_at(c, -room & M32))
    if probe_write(c, SS, stack_at(c, 0), size) < 0:
        return -1
    return frame


@inline
def display_in_frame(c: Cpu, size: u32, level: u32) -> u32:
    """Does ENTER read the display where it writes the frame?"""
    if level < 2:
        return 0
    above: u32 = (c.regs[EBP] - c.regs[ESP] + (level + 1) * size) & c.sp_mask
    return 1 if above != 0 and above < 2 * level * size else 0


@func
def reach_frame(c: Cpu, size: u32, level: u32, room: u32) -> i64:
    """All accesses of ENTER, with nothing written: -1 if one of them faults.

    A fault is mostly the business of somebody who brings the page and restarts the instruction: a
    guest's pager, or the monitor, unseen. With a display that lies where the new frame goes, the
    restart would read what the first attempt wrote. (Some processors do that. Where the two lie
    apart, what has been written stays, as on all.)
    """
    hits = c.dr_hits
    seen = c.wp_hit
    found: i64 = 0
    for i in range(level - 1):
        if found >= 0:
            found = load(c, SS, (c.regs[EBP] - (i + 1) * size) & c.sp_mask, size)
    c.dr_hits = hits
    c.wp_hit = seen
    for k in range(level + 1):
        if found >= 0:
            found = probe_write(c, SS, stack_at(c, -(k + 1) * size & M32), size)
    if found >= 0:
        found = probe_write(c, SS, stack_at(c, -((level + 1) * size + room) & M32), size)
    return found


@func
def enter(c: Cpu, op: Op) -> i32:
    """Make a stack frame; EBP changes in the operand size, ESP in the stack's."""
    esp = c.regs[ESP]
    level: u32 = op.sel & 31
    if display_in_frame(c, op.size, level):
        if reach_frame(c, op.size, level, op.imm & M16) < 0:
            return fault(c, op)
    frame = build_frame(c, op.size, level, op.imm & M16)
    if frame < 0:
        c.regs[ESP] = esp
        return fault(c, op)
    set_reg(c, EBP, op.size, frame & M32)
    return NEXT(c, op)


@inline
def leave(c: Cpu, op: Op, size: u32) -> i32:
    """ESP = EBP, then pop EBP."""
    at: u32 = c.regs[EBP] & c.sp_mask
    v = load(c, SS, at, size)
    if v < 0:
        return fault(c, op)
    set_esp(c, at + size)
    set_reg(c, EBP, size, v & M32)
    return NEXT(c, op)

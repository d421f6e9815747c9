"""Interrupts and exceptions: from a vector to its handler (SDM vol. 3, 6.10 to 6.15, 20.1.4, 20.3).

deliver() vectors one event through the IVT (real mode) or the IDT, by interrupt gate, trap gate
or task gate. raise_exception() is what the run loop calls for a fault: it delivers it and turns
exceptions during delivery into double faults and shutdown (table 6-5).

A 32-bit gate from ring 3 builds this frame on the ring 0 stack:

    [GS FS DS ES]  SS  ESP  EFLAGS  CS  EIP  [error code]      the first four from V86 mode only

c.eip is the return address when deliver() is called: the instruction for a fault, the next one
for a trap or INT n. Nothing has changed if it returns -1 (memory below the stack excepted), with
the new exception in c.fault_*. It returns LATE (-2) for an exception that already belongs to the
task a task gate led to, and ARRIVED (-3) for one that comes after all of the delivery, before that
task's first instruction. EXT, bit 0 of error codes that name a selector, is set while anything
but INT n, INT3 and INTO is delivered.
"""

from __future__ import annotations

from bt.interp.control import leave_block
from bt.interp.debug_regs import DR7_GD
from bt.interp.descriptors import (
    DESC_P,
    TYPE_INT16,
    TYPE_INT32,
    TYPE_TASK_GATE,
    TYPE_TRAP16,
    TYPE_TRAP32,
    desc_dpl,
    desc_limit,
    desc_type,
    fetch_descriptor,
    is_code,
    is_conforming,
    is_null_selector,
    mark_accessed,
    read_descriptor,
    real_mode,
    selector_error,
    v86_mode,
)
from bt.interp.dialect import M16, M32, M64, NEXT, func, i32, i64, sx16, sx32, u32
from bt.interp.flags import cc_overflow, get_eflags
from bt.interp.gate_frames import (
    frame_commit_inner,
    frame_from_tss,
    frame_here,
    frame_push,
    mark_frame_accessed,
)
from bt.interp.memory import ea, fault, load, raise_error, raise_plain, sup_read
from bt.interp.segments import load_real_segment, set_cpl, set_null_segment, set_segment
from bt.interp.state import (
    AC,
    CR4_VME,
    CS,
    DS,
    ES,
    ESP,
    EXIT_SHUTDOWN,
    EXIT_SOFTINT,
    FS,
    GS,
    IF,
    IOPL,
    NT,
    RF,
    SS,
    ST_EXIT,
    ST_FAULT,
    ST_LOOKUP,
    TF,
    VEC_BP,
    VEC_BR,
    VEC_DB,
    VEC_DE,
    VEC_DF,
    VEC_GP,
    VEC_NP,
    VEC_OF,
    VEC_PF,
    VEC_TS,
    VEC_UD,
    VM,
    Cpu,
    Op,
)
from bt.interp.tasks import ARRIVED, TASK_INT, available_tss, task_switch
from bt.interp.virtual_if import int_8086, redirected

# What is delivered (`kind`)
EVENT_HARDWARE = 0  # an external interrupt, NMI
EVENT_EXCEPTION = 1
EVENT_INT_N = 2  # INT n: the gate's DPL is checked
EVENT_TRAP = 3  # INT3, INTO: likewise
EVENT_INT1 = 4

#: Exceptions in a row without an instruction. Each has to find another task that is not busy.
ENDLESS = 256


@func
def deliver_real(c: Cpu, vector: u32) -> i64:
    """Real-address mode: FLAGS, CS, IP on the stack, CS:IP from the vector table."""
    if vector * 4 + 3 > c.idtr_limit:
        return raise_error(c, VEC_GP, 0)
    entry = sup_read(c, (c.idtr_base + vector * 4) & M32, 4)
    if entry < 0:
        return -1
    frame_here(c)
    if frame_push(c, 2, get_eflags(c) & M16) < 0:
        return -1
    if frame_push(c, 2, c.seg_sel[CS]) < 0 or frame_push(c, 2, c.eip & M16) < 0:
        return -1
    c.regs[ESP] = c.frame_esp
    c.eflags &= ~(IF | TF | AC | RF) & M32
    load_real_segment(c, CS, (entry >> 16) & M16)
    c.eip = entry & M16
    return 0


@func
def push_interrupted(c: Cpu, size: u32, image: u32, inner: u32) -> i64:
    """The frame without error code, in the gate's width (size 2 or 4)."""
    if inner:
        if v86_mode(c):
            if frame_push(c, size, c.seg_sel[GS]) < 0 or frame_push(c, size, c.seg_sel[FS]) < 0:
                return -1
            if frame_push(c, size, c.seg_sel[DS]) < 0 or frame_push(c, size, c.seg_sel[ES]) < 0:
                return -1
        if frame_push(c, size, c.seg_sel[SS]) < 0 or frame_push(c, size, c.regs[ESP]) < 0:
            return -1
    if frame_push(c, size, image) < 0 or frame_push(c, size, c.seg_sel[CS]) < 0:
        return -1
    return frame_push(c, size, c.eip)


@func
def check_handler(c: Cpu, selector: u32) -> i64:
    """May a gate lead to this code segment? Its descriptor goes to c.desc_lo, c.desc_hi."""
    if is_null_selector(selector):
        return selector_error(c, VEC_GP, 0)
    if fetch_descriptor(c, selector) < 0:
        return -1
    hi = c.desc_hi
    if not is_code(hi) or desc_dpl(hi) > c.cpl:
        return selector_error(c, VEC_GP, selector)
    if v86_mode(c) and (is_conforming(hi) or desc_dpl(hi) != 0):
        return selector_error(c, VEC_GP, selector)
    if hi & DESC_P == 0:
        return selector_error(c, VEC_NP, selector)
    return 0


@func
def enter_handler(c: Cpu, gate_lo: u32, gate_hi: u32, image: u32, error: i64) -> i64:
    """Through an interrupt or trap gate; error is the error code, -1 for none."""
    kind = desc_type(gate_hi)
    size: u32 = 4 if kind & 8 else 2
    selector: u32 = gate_lo >> 16
    offset: u32 = gate_lo & M16
    if size == 4:
        offset |= gate_hi & 0xFFFF0000
    if check_handler(c, selector) < 0:
        return -1
    lo: u32 = c.desc_lo
    hi: u32 = c.desc_hi
    inner: u32 = 1 if desc_dpl(hi) < c.cpl and not is_conforming(hi) else 0
    cpl: u32 = desc_dpl(hi) if inner else c.cpl
    if inner:
        if frame_from_tss(c, cpl) < 0:
            return -1
    else:
        frame_here(c)
    if push_interrupted(c, size, image, inner) < 0:
        return -1
    if error >= 0 and frame_push(c, size, error & M32) < 0:
        return -1
    if offset > desc_limit(lo, hi):
        return raise_error(c, VEC_GP, c.ext)
    if inner and mark_frame_accessed(c) < 0:
        return -1
    if mark_accessed(c, selector, hi) < 0:
        return -1
    if v86_mode(c):
        set_null_segment(c, ES, 0)
        set_null_segment(c, DS, 0)
        set_null_segment(c, FS, 0)
        set_null_segment(c, GS, 0)
    if inner:
        frame_commit_inner(c)
    else:
        c.regs[ESP] = c.frame_esp
    set_segment(c, CS, (selector & 0xFFFC) | cpl, lo, hi)
    set_cpl(c, cpl)
    c.eip = offset
    c.eflags &= ~(TF | NT | RF | VM) & M32
    if kind == TYPE_INT32 or kind == TYPE_INT16:
        c.eflags &= ~IF & M32
    return 0


@func
def enter_task_gate(c: Cpu, selector: u32, image: u32, error: i64) -> i64:
    """Through a task gate: a task switch; the error code goes on the new task's stack."""
    if available_tss(c, selector) < 0:
        return -1
    return task_switch(c, selector, TASK_INT, image, error)


@func
def deliver_protected(c: Cpu, vector: u32, error: i64, kind: u32) -> i64:
    idt_error: u32 = vector * 8 + 2 + c.ext
    if vector * 8 + 7 > c.idtr_limit:
        return raise_error(c, VEC_GP, idt_error)
    if read_descriptor(c, (c.idtr_base + vector * 8) & M32) < 0:
        return -1
    lo: u32 = c.desc_lo
    hi: u32 = c.desc_hi
    gate = desc_type(hi)
    known: u32 = 1 if gate == TYPE_INT32 or gate == TYPE_TRAP32 or gate == TYPE_TASK_GATE else 0
    if not known and gate != TYPE_INT16 and gate != TYPE_TRAP16:
        return raise_error(c, VEC_GP, idt_error)
    if (kind == EVENT_INT_N or kind == EVENT_TRAP) and desc_dpl(hi) < c.cpl:
        return raise_error(c, VEC_GP, idt_error)
    if hi & DESC_P == 0:
        return raise_error(c, VEC_NP, idt_error)
    image = get_eflags(c)
    if kind == EVENT_EXCEPTION and vector != VEC_DB:  # faults are restarted past a breakpoint
        image |= RF
    if kind == EVENT_HARDWARE and c.rep_at == (c.icount_end - c.budget) & M64:
        image |= RF  # and so is a repeated string instruction
    if gate == TYPE_TASK_GATE:
        return enter_task_gate(c, lo >> 16, image, error)
    return enter_handler(c, lo, hi, image, error)


@func
def deliver(c: Cpu, vector: u32, error: u32, has_error: u32, kind: u32) -> i64:
    """Vector an event (EVENT_x) to its handler: 0, -1 (nothing changed), LATE or ARRIVED."""
    status: i64 = 0
    c.ext = 0 if kind == EVENT_INT_N or kind == EVENT_TRAP else 1
    if real_mode(c):
        status = deliver_real(c, vector)
    else:
        code: i64 = error
        status = deliver_protected(c, vector, code if has_error else -1, kind)
    c.ext = 0
    if status == 0:  # what was in force before the next instruction is not before the handler
        c.shadow_at = M64
        c.ss_loaded_at = M64
        c.rep_at = M64
    arrived: u32 = 1 if status == 0 or status == ARRIVED else 0
    if arrived and vector == VEC_DB and kind != EVENT_INT_N:
        c.dr[7] &= ~DR7_GD & M32
    return status


@func
def exception_class(vector: u32) -> u32:
    """0 benign, 1 contributory, 2 page fault (SDM vol. 3, table 6-4)."""
    if vector == VEC_PF:
        return 2
    if vector == VEC_DE or (vector >= VEC_TS and vector <= VEC_GP):
        return 1
    return 0


@func
def becomes_double(first: u32, second: u32) -> u32:
    """Do two exceptions, the second while the first was delivered, make a double fault?"""
    a = exception_class(first)
    b = exception_class(second)
    return 1 if (a == 1 and b == 1) or (a == 2 and b != 0) else 0


@func
def raise_exception(c: Cpu) -> i64:
    """Deliver the exception in c.fault_*: 0, or -1 with EXIT_SHUTDOWN after a triple fault.

    Or when it never ends, as for a task with T set that handles #DB and is never busy, because its
    descriptor is in ROM: a processor would do nothing else until its reset.
    """
    for _ in range(ENDLESS):
        vector = c.fault_vector
        status = deliver(c, vector, c.fault_error, c.fault_has_error, EVENT_EXCEPTION)
        if status == 0:
            return 0
        if status == ARRIVED:
            continue  # delivered; the next one is the handler's own
        if vector == VEC_DF and exception_class(c.fault_vector) != 0:
            c.exit_reason = EXIT_SHUTDOWN
            return -1
        if becomes_double(vector, c.fault_vector):
            raise_error(c, VEC_DF, 0)
    c.exit_reason = EXIT_SHUTDOWN
    return -1


@func
def software_event(c: Cpu, op: Op, vector: u32, kind: u32) -> i32:
    """INT n, INT3, INTO, INT1: vector with the next instruction as return address."""
    if c.external:
        c.eip = op.eip
        c.budget += op.left
        c.exit_reason = EXIT_SOFTINT
        c.exit_arg = vector
        return ST_EXIT
    c.eip = op.next_eip
    status = deliver(c, vector, 0, 0, kind)
    if status == -1:
        return fault(c, op)
    leave_block(c, op)
    c.singlestep = 0  # TF is clear in the handler: no single-step trap at its first instruction
    return ST_LOOKUP if status == 0 else ST_FAULT


@func
def int_redirected(c: Cpu, op: Op) -> i32:
    """INT n of an 8086 program to its own handler (VME)."""
    if int_8086(c, op.imm & 0xFF, op.next_eip) < 0:
        return fault(c, op)
    leave_block(c, op)
    c.singlestep = 0
    return ST_LOOKUP


@func
def int_n(c: Cpu, op: Op) -> i32:
    if v86_mode(c):
        if c.cr4 & CR4_VME:
            to_8086 = redirected(c, op.imm & 0xFF)
            if to_8086 < 0:
                return fault(c, op)
            if to_8086:
                return int_redirected(c, op)
        if c.eflags & IOPL != IOPL:
            raise_error(c, VEC_GP, 0)
            return fault(c, op)
    return software_event(c, op, op.imm & 0xFF, EVENT_INT_N)


@func
def int3(c: Cpu, op: Op) -> i32:
    return software_event(c, op, VEC_BP, EVENT_TRAP)


@func
def int1(c: Cpu, op: Op) -> i32:
    """ICEBP: a debug exception without DR6 bits and without a privilege check of the gate."""
    return software_event(c, op, VEC_DB, EVENT_INT1)


@func
def into(c: Cpu, op: Op) -> i32:
    if not cc_overflow(c):
        return NEXT(c, op)
    return software_event(c, op, VEC_OF, EVENT_TRAP)


@func
def bound(c: Cpu, op: Op) -> i32:
    """BOUND: #BR unless lower <= index <= upper, all signed."""
    if op.modrm >= 0xC0:
        raise_plain(c, VEC_UD)
        return fault(c, op)
    at = ea(c, op)
    low = load(c, op.seg, at, op.size)
    if low < 0:
        return fault(c, op)
    high = load(c, op.seg, (at + op.size) & op.amask, op.size)
    if high < 0:
        return fault(c, op)
    outside: u32 = 0
    if op.size == 4:
        index32 = sx32(c.regs[op.reg])
        outside = 1 if index32 < sx32(low & M32) or index32 > sx32(high & M32) else 0
    else:
        index16 = sx16(c.regs[op.reg])
        outside = 1 if index16 < sx16(low & M16) or index16 > sx16(high & M16) else 0
    if outside:
        raise_plain(c, VEC_BR)
        return fault(c, op)
    return NEXT(c, op)

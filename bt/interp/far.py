"""Far JMP, CALL and RET: other code segments, call gates, tasks (SDM vol. 3, 5.8 and 7.3; vol. 2).

In protected mode the selector of a far JMP or CALL may name

* a code segment: same privilege level (conforming code may be more privileged, CPL stays);
* a call gate, which names the code segment and offset; CALL, unlike JMP, may enter a more
  privileged segment, on that level's stack from the TSS, with parameters copied over:

      old stack:  p2 p1          new stack:  SS ESP p2 p1 CS EIP

* a task gate or a TSS: a task switch (tasks.py).
"""

from __future__ import annotations

from bt.interp.control import leave_block
from bt.interp.descriptors import (
    DESC_P,
    TYPE_CALL16,
    TYPE_CALL32,
    TYPE_TASK_GATE,
    TYPE_TSS16,
    TYPE_TSS32,
    desc_dpl,
    desc_limit,
    desc_type,
    fetch_descriptor,
    is_code,
    is_conforming,
    is_null_selector,
    mark_accessed,
    protected_mode,
    selector_error,
)
from bt.interp.dialect import M16, M32, func, i32, i64, u32
from bt.interp.flags import get_eflags
from bt.interp.gate_frames import (
    frame_commit_inner,
    frame_from_tss,
    frame_here,
    frame_push,
    mark_frame_accessed,
)
from bt.interp.iret import check_return_cs, return_outward
from bt.interp.memory import ea, fault, load, raise_error
from bt.interp.segment_ops import undefined_opcode
from bt.interp.segments import load_real_or_v86, set_cpl, set_segment, uncompressed
from bt.interp.stack import set_esp, stack_at
from bt.interp.state import (
    CS,
    ESP,
    SS,
    ST_FAULT,
    ST_LOOKUP,
    VEC_GP,
    VEC_NP,
    Cpu,
    Op,
)
from bt.interp.tasks import NO_ERROR_CODE, TASK_CALL, TASK_JMP, available_tss, task_switch


@func
def check_code_target(c: Cpu, selector: u32, rpl: u32) -> i64:
    """The code segment in c.desc_* as target without change of CPL; rpl 0 through a gate."""
    hi = c.desc_hi
    dpl = desc_dpl(hi)
    if not is_code(hi) or dpl > c.cpl:
        return selector_error(c, VEC_GP, selector)
    if not is_conforming(hi) and (dpl != c.cpl or rpl > c.cpl):
        return selector_error(c, VEC_GP, selector)
    if hi & DESC_P == 0:
        return selector_error(c, VEC_NP, selector)
    return 0


@func
def push_return(c: Cpu, size: u32, eip: u32) -> i64:
    """CS and EIP of the caller on the frame's stack."""
    if frame_push(c, size, c.seg_sel[CS]) < 0:
        return -1
    return frame_push(c, size, eip)


@func
def enter_code(c: Cpu, selector: u32, offset: u32, call: u32, size: u32) -> i64:
    """To the (checked) code segment in c.desc_lo, c.desc_hi, at the same privilege level."""
    if offset > desc_limit(c.desc_lo, c.desc_hi):
        return raise_error(c, VEC_GP, 0)
    if call:
        frame_here(c)
        if push_return(c, size, c.eip) < 0:
            return -1
    if mark_accessed(c, selector, c.desc_hi) < 0:
        return -1
    if call:
        c.regs[ESP] = c.frame_esp
    set_segment(c, CS, (selector & 0xFFFC) | c.cpl, c.desc_lo, c.desc_hi)
    c.eip = offset
    return 0


@func
def copy_parameters(c: Cpu, count: u32, size: u32) -> i64:
    """The last `count` words of the caller's stack onto the frame's, in the same order."""
    for i in range(count):
        value = load(c, SS, stack_at(c, (count - 1 - i) * size), size)
        if value < 0 or frame_push(c, size, value & M32) < 0:
            return -1
    return 0


@func
def enter_inner(c: Cpu, selector: u32, offset: u32, count: u32, size: u32) -> i64:
    """CALL through a gate to a more privileged segment, in c.desc_lo, c.desc_hi."""
    lo: u32 = c.desc_lo
    hi: u32 = c.desc_hi
    cpl = desc_dpl(hi)
    if frame_from_tss(c, cpl) < 0:
        return -1
    if offset > desc_limit(lo, hi):
        return raise_error(c, VEC_GP, 0)
    if frame_push(c, size, c.seg_sel[SS]) < 0 or frame_push(c, size, c.regs[ESP]) < 0:
        return -1
    if copy_parameters(c, count, size) < 0 or push_return(c, size, c.eip) < 0:
        return -1
    if mark_frame_accessed(c) < 0 or mark_accessed(c, selector, hi) < 0:
        return -1
    frame_commit_inner(c)
    set_segment(c, CS, (selector & 0xFFFC) | cpl, lo, hi)
    set_cpl(c, cpl)
    c.eip = offset
    return 0


@func
def through_call_gate(c: Cpu, lo: u32, hi: u32, call: u32) -> i64:
    """JMP or CALL through the (checked) call gate lo, hi."""
    size: u32 = 4 if desc_type(hi) == TYPE_CALL32 else 2
    selector: u32 = lo >> 16
    offset: u32 = lo & M16
    if size == 4:
        offset |= hi & 0xFFFF0000
    if is_null_selector(selector):
        return selector_error(c, VEC_GP, 0)
    if fetch_descriptor(c, selector) < 0:
        return -1
    target = c.desc_hi
    inner: u32 = 1 if call and is_code(target) and desc_dpl(target) < c.cpl else 0
    if inner and not is_conforming(target):
        if target & DESC_P == 0:
            return selector_error(c, VEC_NP, selector)
        return enter_inner(c, selector, offset, hi & 0x1F, size)
    if check_code_target(c, selector, 0) < 0:
        return -1
    return enter_code(c, selector, offset, call, size)


@func
def far_protected(c: Cpu, selector: u32, offset: u32, call: u32, size: u32) -> i64:
    """What the selector of a far JMP or CALL names decides."""
    if is_null_selector(selector):
        return raise_error(c, VEC_GP, 0)
    if fetch_descriptor(c, selector) < 0:
        return -1
    lo: u32 = c.desc_lo
    hi: u32 = c.desc_hi
    kind = desc_type(hi)
    rpl: u32 = selector & 3
    source: u32 = TASK_CALL if call else TASK_JMP
    if is_code(hi):
        if check_code_target(c, selector, rpl) < 0:
            return -1
        return enter_code(c, selector, offset, call, size)
    if desc_dpl(hi) < c.cpl or desc_dpl(hi) < rpl:
        return selector_error(c, VEC_GP, selector)
    if kind == TYPE_TSS16 or kind == TYPE_TSS32:
        if available_tss(c, selector) < 0:
            return -1
        return task_switch(c, selector, source, get_eflags(c), NO_ERROR_CODE)
    if kind != TYPE_CALL16 and kind != TYPE_CALL32 and kind != TYPE_TASK_GATE:
        return selector_error(c, VEC_GP, selector)
    if hi & DESC_P == 0:
        return selector_error(c, VEC_NP, selector)
    if kind != TYPE_TASK_GATE:
        return through_call_gate(c, lo, hi, call)
    if available_tss(c, lo >> 16) < 0:
        return -1
    return task_switch(c, lo >> 16, source, get_eflags(c), NO_ERROR_CODE)


@func
def far_simple(c: Cpu, selector: u32, offset: u32, call: u32, size: u32) -> i64:
    """Real and virtual-8086 mode."""
    if offset > c.seg_limit[CS]:
        return raise_error(c, VEC_GP, 0)
    if call:
        frame_here(c)
        if push_return(c, size, c.eip) < 0:
            return -1
        c.regs[ESP] = c.frame_esp
    load_real_or_v86(c, CS, selector)
    c.eip = offset
    return 0


@func
def far_end(c: Cpu, op: Op, status: i64) -> i32:
    """-1 undoes the instruction; an exception after a task switch belongs to the new task."""
    if status == -1:
        return fault(c, op)
    leave_block(c, op)
    return ST_LOOKUP if status == 0 else ST_FAULT


@func
def far_transfer(c: Cpu, op: Op, selector: u32, offset: u32, call: u32) -> i32:
    c.eip = op.next_eip  # the return address
    if protected_mode(c):
        meant = uncompressed(c, selector)
        if meant < 0:
            return fault(c, op)
        return far_end(c, op, far_protected(c, meant & M16, offset, call, op.size))
    return far_end(c, op, far_simple(c, selector, offset, call, op.size))


@func
def far_transfer_m(c: Cpu, op: Op, call: u32) -> i32:
    """The pointer is in memory: offset, then selector."""
    if op.modrm >= 0xC0:
        return undefined_opcode(c, op)
    at = ea(c, op)
    offset = load(c, op.seg, at, op.size)
    if offset < 0:
        return fault(c, op)
    selector = load(c, op.seg, (at + op.size) & op.amask, 2)
    if selector < 0:
        return fault(c, op)
    return far_transfer(c, op, selector & M16, offset & M32, call)


@func
def jmp_far(c: Cpu, op: Op) -> i32:
    return far_transfer(c, op, op.sel, op.imm, 0)


@func
def jmp_far_m(c: Cpu, op: Op) -> i32:
    return far_transfer_m(c, op, 0)


@func
def call_far(c: Cpu, op: Op) -> i32:
    return far_transfer(c, op, op.sel, op.imm, 1)


@func
def call_far_m(c: Cpu, op: Op) -> i32:
    return far_transfer_m(c, op, 1)


@func
def ret_far_any(c: Cpu, size: u32, release: u32) -> i64:
    """RET far, in every mode; `release` bytes of parameters go from both stacks."""
    eip = load(c, SS, stack_at(c, 0), size)
    if eip < 0:
        return -1
    selector = load(c, SS, stack_at(c, size), size)
    if selector < 0:
        return -1
    meant = uncompressed(c, selector & M16) if protected_mode(c) else selector
    if meant < 0:
        return -1
    cs: u32 = meant & M16
    if not protected_mode(c):
        if eip > c.seg_limit[CS]:
            return raise_error(c, VEC_GP, 0)
        load_real_or_v86(c, CS, cs)
    else:
        if check_return_cs(c, cs) < 0:
            return -1
        if cs & 3 > c.cpl:
            return return_outward(c, eip & M32, cs, 2, size, release, 0, 0)
        if eip > desc_limit(c.desc_lo, c.desc_hi):
            return raise_error(c, VEC_GP, 0)
        if mark_accessed(c, cs, c.desc_hi) < 0:
            return -1
        set_segment(c, CS, cs, c.desc_lo, c.desc_hi)
    set_esp(c, stack_at(c, 2 * size + release))
    c.eip = eip & M32
    return 0


@func
def ret_far(c: Cpu, op: Op) -> i32:
    return far_end(c, op, ret_far_any(c, op.size, op.imm & M16))

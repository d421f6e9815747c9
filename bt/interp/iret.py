"""IRET: return from an interrupt, in every mode (SDM vol. 2, IRET; vol. 3, 6.12.1, 20.2.2).

What is popped says where to: EIP, CS and EFLAGS always; SS and ESP too when the CS popped is for
an outer privilege level; from ring 0 with VM in the popped EFLAGS also ES, DS, FS and GS. With NT
set IRET pops nothing and returns to the task that the TSS links to. Nothing is changed until all
checks have passed: the frame is read in place.

Which flags are loaded depends on the privilege *before* the return: IOPL only at CPL 0, IF only
at CPL <= IOPL.
"""

from __future__ import annotations

from bt.interp.control import leave_block
from bt.interp.descriptors import (
    DESC_P,
    desc_dpl,
    desc_limit,
    fetch_descriptor,
    is_code,
    is_conforming,
    is_null_selector,
    mark_accessed,
    real_mode,
    selector_error,
    v86_mode,
)
from bt.interp.dialect import M16, M32, func, i32, i64, u32
from bt.interp.flags import get_eflags, set_eflags
from bt.interp.memory import fault, load, raise_error
from bt.interp.segments import (
    check_stack_segment,
    drop_privileged_segments,
    load_real_or_v86,
    load_v86_segment,
    set_cpl,
    set_segment,
    uncompressed,
)
from bt.interp.stack import set_esp, stack_at
from bt.interp.state import (
    AC,
    ARITH,
    CS,
    DF,
    DS,
    ES,
    ESP,
    FS,
    GS,
    ID,
    IF,
    IOPL,
    NT,
    RF,
    SS,
    ST_FAULT,
    ST_LOOKUP,
    TF,
    VEC_GP,
    VEC_NP,
    VIF,
    VIP,
    VM,
    Cpu,
    Op,
)
from bt.interp.tasks import task_return
from bt.interp.virtual_if import (
    check_virtual_flags,
    in_virtual_flags,
    interrupt_waits,
    set_virtual_if,
    v86_flags_check,
)

EFLAGS_ANY_CPL = ARITH | TF | DF | NT | RF | AC | ID  # what IRET loads at every privilege level


@func
def popped(c: Cpu, index: u32, size: u32) -> i64:
    """Word number `index` of the frame on the stack, left in place; -1: faulted."""
    return load(c, SS, stack_at(c, index * size), size)


@func
def load_iret_flags(c: Cpu, image: u32, size: u32, allowed: u32) -> i32:
    """Load the `allowed` flags from the image: all 32 bits, or FLAGS only."""
    mask: u32 = allowed if size == 4 else allowed & M16
    set_eflags(c, (get_eflags(c) & ~mask & M32) | (image & mask))
    set_cpl(c, c.cpl)  # AC may have changed
    return 0


@func
def iret_flag_mask(c: Cpu) -> u32:
    """The flags IRET may load at this privilege."""
    mask: u32 = EFLAGS_ANY_CPL
    if c.cpl <= (c.eflags & IOPL) >> 12:
        mask |= IF
    if c.cpl == 0:
        mask |= IOPL | VIF | VIP
    return mask


@func
def iret_simple(c: Cpu, size: u32, allowed: u32) -> i64:
    """Real and virtual-8086 mode. Without IF among the allowed flags, IF is the virtual one."""
    eip = popped(c, 0, size)
    if eip < 0:
        return -1
    cs = popped(c, 1, size)
    if cs < 0:
        return -1
    image = popped(c, 2, size)
    if image < 0:
        return -1
    if eip > c.seg_limit[CS]:
        return raise_error(c, VEC_GP, 0)
    if allowed & IF == 0:
        if check_virtual_flags(c, image & M32) < 0:
            return -1
        set_virtual_if(c, image & IF)
    set_esp(c, stack_at(c, 3 * size))
    load_real_or_v86(c, CS, cs & M16)
    load_iret_flags(c, image & M32, size, allowed)
    c.eip = eip & M32
    return 0


@func
def iret_to_v86(c: Cpu, eip: u32, cs: u32, image: u32) -> i64:
    """From ring 0 into virtual-8086 mode: a frame of nine doublewords."""
    esp = popped(c, 3, 4)
    if esp < 0:
        return -1
    for i in range(4, 9):
        if popped(c, i, 4) < 0:
            return -1
    ss = popped(c, 4, 4)
    es = popped(c, 5, 4)
    ds = popped(c, 6, 4)
    fs = popped(c, 7, 4)
    gs = popped(c, 8, 4)
    load_iret_flags(c, image, 4, EFLAGS_ANY_CPL | IF | IOPL | VIF | VIP | VM)
    load_v86_segment(c, CS, cs & M16)
    load_v86_segment(c, SS, ss & M16)
    load_v86_segment(c, ES, es & M16)
    load_v86_segment(c, DS, ds & M16)
    load_v86_segment(c, FS, fs & M16)
    load_v86_segment(c, GS, gs & M16)
    c.regs[ESP] = esp & M32
    c.eip = eip & M16
    set_cpl(c, 3)
    return 0


@func
def check_return_cs(c: Cpu, selector: u32) -> i64:
    """Code segment of an IRET or far RET frame; its descriptor goes to c.desc_lo, c.desc_hi."""
    if is_null_selector(selector):
        return selector_error(c, VEC_GP, 0)
    if fetch_descriptor(c, selector) < 0:
        return -1
    hi = c.desc_hi
    rpl: u32 = selector & 3
    if not is_code(hi) or rpl < c.cpl:
        return selector_error(c, VEC_GP, selector)
    if desc_dpl(hi) > rpl or (desc_dpl(hi) != rpl and not is_conforming(hi)):
        return selector_error(c, VEC_GP, selector)
    if hi & DESC_P == 0:
        return selector_error(c, VEC_NP, selector)
    return 0


@func
def return_outward(
    c: Cpu, eip: u32, cs: u32, at: u32, size: u32, release: u32, allowed: u32, image: u32
) -> i64:
    """To an outer level: SS:ESP are popped from word `at`, after `release` bytes of parameters.

    The code segment's descriptor is in c.desc_lo, c.desc_hi. Shared by IRET and far RET (which
    has allowed = 0: no flags).
    """
    lo: u32 = c.desc_lo
    hi: u32 = c.desc_hi
    esp = load(c, SS, stack_at(c, at * size + release), size)
    if esp < 0:
        return -1
    ss = load(c, SS, stack_at(c, (at + 1) * size + release), size)
    if ss < 0:
        return -1
    if check_stack_segment(c, ss & M16, cs & 3, VEC_GP) < 0:
        return -1
    if eip > desc_limit(lo, hi):
        return raise_error(c, VEC_GP, 0)
    if mark_accessed(c, cs, hi) < 0 or mark_accessed(c, ss & M16, c.desc_hi) < 0:
        return -1
    if allowed:
        load_iret_flags(c, image, size, allowed)
    set_segment(c, CS, cs, lo, hi)
    set_segment(c, SS, ss & M16, c.desc_lo, c.desc_hi)
    set_esp(c, (esp + release) & M32)
    set_cpl(c, cs & 3)
    drop_privileged_segments(c)
    c.eip = eip
    return 0


@func
def iret_protected(c: Cpu, size: u32) -> i64:
    eip = popped(c, 0, size)
    if eip < 0:
        return -1
    selector = popped(c, 1, size)
    if selector < 0:
        return -1
    image = popped(c, 2, size)
    if image < 0:
        return -1
    if size == 4 and image & VM and c.cpl == 0:
        return iret_to_v86(c, eip & M32, selector & M16, image & M32)
    meant = uncompressed(c, selector & M16)
    if meant < 0:
        return -1
    cs: u32 = meant & M16
    if check_return_cs(c, cs) < 0:
        return -1
    allowed = iret_flag_mask(c)
    if cs & 3 > c.cpl:
        return return_outward(c, eip & M32, cs, 3, size, 0, allowed, image & M32)
    if eip > desc_limit(c.desc_lo, c.desc_hi):
        return raise_error(c, VEC_GP, 0)
    if mark_accessed(c, cs, c.desc_hi) < 0:
        return -1
    set_esp(c, stack_at(c, 3 * size))
    set_segment(c, CS, cs, c.desc_lo, c.desc_hi)
    load_iret_flags(c, image & M32, size, allowed)
    c.eip = eip & M32
    return 0


@func
def iret_any(c: Cpu, op: Op) -> i64:
    """The case distinction. However it ends, NMI is no longer blocked (SDM vol. 3, 6.7.1)."""
    if c.nmi_blocked:
        c.nmi_blocked = 0
        c.recheck |= c.nmi_pending
    if real_mode(c):
        return iret_simple(c, op.size, EFLAGS_ANY_CPL | IF | IOPL)
    if v86_mode(c):
        if v86_flags_check(c, op.size) < 0:
            return -1
        loaded: u32 = EFLAGS_ANY_CPL if in_virtual_flags(c) else EFLAGS_ANY_CPL | IF
        return iret_simple(c, op.size, loaded)
    if c.eflags & NT:
        if c.external:  # it has no task, and must not look for one in the guest's memory
            return raise_error(c, VEC_GP, 0)
        c.eip = op.next_eip
        return task_return(c, get_eflags(c))
    return iret_protected(c, op.size)


@func
def iret(c: Cpu, op: Op) -> i32:
    status = iret_any(c, op)
    if status == -1:
        return fault(c, op)
    leave_block(c, op)
    if status == 0 and interrupt_waits(c) < 0:
        return ST_FAULT  # before the instruction returned to
    return ST_LOOKUP if status == 0 else ST_FAULT

"""Hardware task switching (SDM vol. 3, ch. 7).

A task switch saves the registers in the current TSS and loads all of them from another. It comes
from JMP, CALL, an interrupt or exception through a task gate, or IRET with NT set; they differ in
three bits (table 7-2):

| source   | new TSS busy | old TSS busy | NT in new task | NT saved for old | back link |
| -------- | ------------ | ------------ | -------------- | ---------------- | --------- |
| JMP      | set          | cleared      | from its TSS   | kept             | kept      |
| CALL/INT | set          | stays set    | set            | kept             | old TR    |
| IRET     | stays set    | cleared      | from its TSS   | cleared          | kept      |

task_switch() returns 0; -1 when it failed before anything changed; LATE (-2) when the exception
belongs to the new task: its selectors are bad, or its stack has no room for the error code; and
ARRIVED (-3) when the switch is complete, error code included, and the new task has an exception of
its own before its first instruction: its T bit asks for #DB, or a virtual interrupt waits. In the
last two cases c.eip is already the new task's.
"""

from __future__ import annotations

from bt.interp.debug_regs import DR6_BT, DR6_FIXED, DR7_LOCAL, debug_changed
from bt.interp.descriptors import (
    DESC_P,
    TYPE_LDT,
    TYPE_TSS16,
    TYPE_TSS32,
    desc_attr,
    desc_base,
    desc_dpl,
    desc_limit,
    desc_type,
    fetch_or_raise,
    is_code,
    is_conforming,
    is_null_selector,
    mark_accessed,
    selector_error,
)
from bt.interp.dialect import M16, M32, func, i64, u32
from bt.interp.flags import set_eflags
from bt.interp.memory import raise_error, raise_plain, sup_read, sup_write
from bt.interp.pae import load_pointers, pae_paging
from bt.interp.paging import flush_tlb
from bt.interp.segments import (
    load_protected_segment,
    load_v86_segment,
    segment_changed,
    set_cpl,
    set_segment,
)
from bt.interp.stack import push
from bt.interp.state import (
    ATTR_UNUSABLE,
    CR0_PG,
    CR0_TS,
    CR4_PGE,
    CS,
    DS,
    EFLAGS_VALID,
    ES,
    FS,
    GS,
    LDTR,
    NT,
    RUN_BLOCK,
    SS,
    TR,
    VEC_DB,
    VEC_GP,
    VEC_NP,
    VEC_TS,
    VM,
    Cpu,
)
from bt.interp.virtual_if import interrupt_waits

TASK_JMP = 0
TASK_CALL = 1
TASK_INT = 2
TASK_IRET = 3

LATE = -2
ARRIVED = -3
NO_ERROR_CODE = -1

# Slots of c.tss_image: dwords of the 32-bit TSS, whose order the 16-bit one is brought into
IMAGE_CR3 = 7
IMAGE_EIP = 8
IMAGE_EFLAGS = 9
IMAGE_REGS = 10
IMAGE_SEGS = 18
IMAGE_LDT = 24
IMAGE_TRAP = 25

TSS32_BYTES = 104
TSS16_BYTES = 44
BUSY = 2

# What a 16-bit TSS leaves in the upper halves of EAX to EDI. The manual says only that they "are
# modified and not maintained" (SDM vol. 3, 8.6), so software must not look; some does. Ones are
# what Bochs and 86Box load, and what the public test ROM test386.asm expects of a 386 and
# later; QEMU loaded ones until 2021 and keeps the old task's halves since; KVM loads zeros. No
# measurement on a processor is known to us. EIP, and the upper half of EFLAGS, are zero everywhere.
UPPER_HALF = 0xFFFF0000


@func
def tss_offset(wide: u32, slot: u32) -> u32:
    """Where a slot of c.tss_image lives in a TSS; 0 if the 16-bit TSS has none."""
    if wide:
        return slot * 4
    if slot == IMAGE_LDT:
        return 42
    if slot >= IMAGE_EIP and slot < IMAGE_SEGS + 4:  # IP, FLAGS, AX-DI, ES, CS, SS, DS
        return 14 + (slot - IMAGE_EIP) * 2
    return 0


@func
def read_tss(c: Cpu, base: u32, wide: u32) -> i64:
    """Read what a switch loads from a TSS into c.tss_image; -1: page fault, nothing changed."""
    size: u32 = 4 if wide else 2
    for slot in range(IMAGE_CR3, 26):
        at = tss_offset(wide, slot)
        c.tss_image[slot] = 0
        if at != 0:
            value = sup_read(c, (base + at) & M32, size)
            if value < 0:
                return -1
            c.tss_image[slot] = value & M32
    return 0


@func
def least_limit(wide: u32) -> u32:
    """The least limit of a TSS, 32 or 16 bits."""
    size: u32 = TSS32_BYTES if wide else TSS16_BYTES
    return size - 1


@func
def save_task(c: Cpu, eflags: u32) -> i64:
    """Save EIP, EFLAGS, the general and the segment registers in the current TSS."""
    wide: u32 = c.seg_attr[TR] & 8
    size: u32 = 4 if wide else 2
    segs: u32 = 6 if wide else 4
    base = c.seg_base[TR]
    if c.seg_limit[TR] < least_limit(wide):
        return selector_error(c, VEC_TS, c.seg_sel[TR])
    if sup_write(c, (base + tss_offset(wide, IMAGE_EIP)) & M32, size, c.eip) < 0:
        return -1
    if sup_write(c, (base + tss_offset(wide, IMAGE_EFLAGS)) & M32, size, eflags) < 0:
        return -1
    for i in range(8):
        at = tss_offset(wide, IMAGE_REGS + i)
        if sup_write(c, (base + at) & M32, size, c.regs[i]) < 0:
            return -1
    for i in range(segs):
        at = tss_offset(wide, IMAGE_SEGS + i)
        if sup_write(c, (base + at) & M32, 2, c.seg_sel[i]) < 0:
            return -1
    return 0


@func
def mark_busy(c: Cpu, selector: u32, busy: u32) -> i64:
    """Set or clear the busy bit of a TSS descriptor in the GDT."""
    at: u32 = (c.gdtr_base + (selector & 0xFFF8) + 5) & M32
    value = sup_read(c, at, 1)
    if value < 0:
        return -1
    kept: u32 = value & ~BUSY & 0xFF
    return sup_write(c, at, 1, kept | BUSY if busy else kept)


@func
def link_tasks(c: Cpu, selector: u32, base: u32, source: u32) -> i64:
    """Back link and busy bits; on -1 they are as before."""
    old = c.seg_sel[TR]
    if source == TASK_CALL or source == TASK_INT:
        if sup_write(c, base, 2, old) < 0:
            return -1
    if source != TASK_IRET and mark_busy(c, selector, 1) < 0:
        return -1
    if source == TASK_JMP or source == TASK_IRET:
        if mark_busy(c, old, 0) < 0:
            if source == TASK_JMP:
                mark_busy(c, selector, 0)
            return -1
    return 0


@func
def load_task_ldt(c: Cpu) -> i64:
    """The LDT of the new task: null, or a present LDT in the GDT, else #TS."""
    selector: u32 = c.tss_image[IMAGE_LDT] & M16
    c.seg_sel[LDTR] = selector
    c.seg_attr[LDTR] |= ATTR_UNUSABLE
    if is_null_selector(selector):
        return 0
    if selector & 4:
        return selector_error(c, VEC_TS, selector)
    if fetch_or_raise(c, selector, VEC_TS) < 0:
        return -1
    if desc_type(c.desc_hi) != TYPE_LDT or c.desc_hi & DESC_P == 0:
        return selector_error(c, VEC_TS, selector)
    c.seg_base[LDTR] = desc_base(c.desc_lo, c.desc_hi)
    c.seg_limit[LDTR] = desc_limit(c.desc_lo, c.desc_hi)
    c.seg_attr[LDTR] = desc_attr(c.desc_hi)
    return 0


@func
def load_task_cs(c: Cpu) -> i64:
    """The code segment of the new task; its RPL is the new CPL."""
    selector: u32 = c.tss_image[IMAGE_SEGS + CS] & M16
    if is_null_selector(selector):
        return selector_error(c, VEC_TS, 0)
    if fetch_or_raise(c, selector, VEC_TS) < 0:
        return -1
    hi = c.desc_hi
    dpl = desc_dpl(hi)
    if not is_code(hi):
        return selector_error(c, VEC_TS, selector)
    if dpl > selector & 3 or (dpl != selector & 3 and not is_conforming(hi)):
        return selector_error(c, VEC_TS, selector)
    if hi & DESC_P == 0:
        return selector_error(c, VEC_NP, selector)
    if mark_accessed(c, selector, hi) < 0:
        return -1
    set_segment(c, CS, selector, c.desc_lo, c.desc_hi)
    return 0


@func
def load_task_data(c: Cpu, seg: u32) -> i64:
    """DS, ES, FS or GS of the new task."""
    return load_protected_segment(c, seg, c.tss_image[IMAGE_SEGS + seg] & M16, VEC_TS)


@func
def load_task_segments(c: Cpu) -> i64:
    """LDTR and the segment registers from c.tss_image; -1: an exception of the new task.

    In the order of table 7-1, which is that of the P6 family.
    """
    if load_task_ldt(c) < 0:
        return -1
    if c.eflags & VM:
        for seg in range(6):
            load_v86_segment(c, seg, c.tss_image[IMAGE_SEGS + seg] & M16)
        return 0
    if load_task_cs(c) < 0:
        return -1
    if load_protected_segment(c, SS, c.tss_image[IMAGE_SEGS + SS] & M16, VEC_TS) < 0:
        return -1
    if load_task_data(c, DS) < 0 or load_task_data(c, ES) < 0:
        return -1
    if load_task_data(c, FS) < 0 or load_task_data(c, GS) < 0:
        return -1
    if c.eip > c.seg_limit[CS]:
        return raise_error(c, VEC_GP, c.ext)
    return 0


@func
def enter_task(c: Cpu, wide: u32, nested: u32) -> i64:
    """The point of no return: CR3, EIP, EFLAGS, general registers, selectors without caches.

    -1: the pointer entries of the new CR3 have reserved bits, #GP(0) noted; the old ones stay.
    """
    status: i64 = 0
    if wide and c.cr0 & CR0_PG:
        c.cr3 = c.tss_image[IMAGE_CR3]
        if pae_paging(c):
            status = load_pointers(c, c.cr3)
        flush_tlb(c, 1 if c.cr4 & CR4_PGE else 0)
    c.cr0 |= CR0_TS
    c.dr[7] &= ~DR7_LOCAL & M32
    debug_changed(c)
    c.eip = c.tss_image[IMAGE_EIP]
    set_eflags(c, (c.tss_image[IMAGE_EFLAGS] & EFLAGS_VALID) | (NT if nested else 0))
    for i in range(8):
        value: u32 = c.tss_image[IMAGE_REGS + i]
        c.regs[i] = value if wide else value | UPPER_HALF
    for seg in range(6):
        c.seg_sel[seg] = c.tss_image[IMAGE_SEGS + seg] & M16
        c.seg_attr[seg] |= ATTR_UNUSABLE
        segment_changed(c, seg)
    set_cpl(c, 3 if c.eflags & VM else c.seg_sel[CS] & 3)
    return status


@func
def before_first_instruction(c: Cpu) -> i64:
    """The new task's T bit and its waiting interrupt, in the order of table 6-2: 0 or ARRIVED."""
    if c.seg_attr[TR] & 8 and c.tss_image[IMAGE_TRAP] & 1:
        c.dr[6] |= DR6_BT | DR6_FIXED
        raise_plain(c, VEC_DB)
        return ARRIVED
    return ARRIVED if interrupt_waits(c) < 0 else 0


@func
def task_switch(c: Cpu, selector: u32, source: u32, eflags: u32, error: i64) -> i64:
    """Switch to the task whose (checked) TSS descriptor is in c.desc_lo, c.desc_hi.

    c.eip is the old task's return address, eflags the image to save for it. `error` goes on the
    new task's stack, unless it is NO_ERROR_CODE. It cannot be begun twice, should a device be met
    on the way: so an instruction that switches tasks runs alone from the beginning.
    """
    if c.running == RUN_BLOCK:
        c.meets_device = 1
        return -1
    lo: u32 = c.desc_lo
    hi: u32 = c.desc_hi
    base = desc_base(lo, hi)
    wide: u32 = desc_type(hi) & 8
    if desc_limit(lo, hi) < least_limit(wide):
        return selector_error(c, VEC_TS, selector)
    if read_tss(c, base, wide) < 0 or save_task(c, eflags) < 0:
        return -1
    if read_tss(c, base, wide) < 0:  # again: a task that links to itself has just been saved
        return -1
    if link_tasks(c, selector, base, source) < 0:
        return -1
    c.seg_sel[TR] = selector
    c.seg_base[TR] = base
    c.seg_limit[TR] = desc_limit(lo, hi)
    c.seg_attr[TR] = desc_attr(hi) | BUSY
    entered = enter_task(c, wide, 1 if source == TASK_CALL or source == TASK_INT else 0)
    if load_task_segments(c) < 0:
        return LATE
    if entered < 0:  # told last, when the task has a stack to be told on
        raise_error(c, VEC_GP, 0)
        return LATE
    if error >= 0 and push(c, 4 if wide else 2, error & M32) < 0:
        return LATE
    return before_first_instruction(c)


@func
def available_tss(c: Cpu, selector: u32) -> i64:
    """Fetch the TSS that a gate, JMP or CALL names: in the GDT, available, present.

    Else #GP(selector) or #NP(selector).
    """
    if selector & 4 or is_null_selector(selector):
        return selector_error(c, VEC_GP, selector)
    if fetch_or_raise(c, selector, VEC_GP) < 0:
        return -1
    kind = desc_type(c.desc_hi)
    if kind != TYPE_TSS16 and kind != TYPE_TSS32:
        return selector_error(c, VEC_GP, selector)
    if c.desc_hi & DESC_P == 0:
        return selector_error(c, VEC_NP, selector)
    return 0


@func
def task_return(c: Cpu, eflags: u32) -> i64:
    """IRET with NT set: back to the task that the current TSS links to."""
    link = sup_read(c, c.seg_base[TR], 2)
    if link < 0:
        return -1
    selector: u32 = link & M16
    if selector & 4 or is_null_selector(selector):
        return selector_error(c, VEC_TS, selector)
    if fetch_or_raise(c, selector, VEC_TS) < 0:
        return -1
    kind = desc_type(c.desc_hi)
    if kind != TYPE_TSS16 | BUSY and kind != TYPE_TSS32 | BUSY:
        return selector_error(c, VEC_TS, selector)
    if c.desc_hi & DESC_P == 0:
        return selector_error(c, VEC_NP, selector)
    return task_switch(c, selector, TASK_IRET, eflags & ~NT & M32, NO_ERROR_CODE)

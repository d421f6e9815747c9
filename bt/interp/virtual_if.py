"""The virtual interrupt flag: VME and PVI of the Pentium (SDM vol. 3, 20.3 and 20.4).

At CPL 3 with IOPL below 3 a program may not touch IF. With CR4.VME (virtual-8086 mode) or CR4.PVI
(protected mode) the processor gives it a flag of its own, VIF, and says by VIP that an interrupt
waits for it:

| instruction, IOPL < 3 | VME, virtual-8086 mode                    | PVI, protected mode, CPL 3 |
| --------------------- | ----------------------------------------- | -------------------------- |
| CLI                   | VIF = 0                                   | VIF = 0                    |
| STI                   | VIF = 1; #GP(0) if VIP is set             | the same                   |
| PUSHF (16 bits)       | shows VIF as IF, and IOPL 3               | as without                 |
| POPF, IRET (16 bits)  | IF goes to VIF; #GP(0) if TF, or VIP & IF | as without (IF is kept)    |
| PUSHFD, POPFD, IRETD  | #GP(0)                                    | as without                 |

INT n in virtual-8086 mode with VME asks the redirection bitmap, 32 bytes of the TSS just below the
I/O permission bitmap: a 0 sends it to the 8086 program's own handler, through the vector table at
linear address 0, at every IOPL. A 1 means what it means without VME: the IDT, or #GP(0).
"""

from __future__ import annotations

from bt.interp.descriptors import v86_mode
from bt.interp.dialect import M16, M32, func, i32, i64, u32
from bt.interp.flags import get_eflags
from bt.interp.gate_frames import frame_here, frame_push
from bt.interp.memory import raise_error, sup_read
from bt.interp.ports import TR_USABLE32, TSS_IOMAP_BASE
from bt.interp.segments import load_v86_segment
from bt.interp.state import (
    ATTR_P,
    CR4_PVI,
    CR4_VME,
    CS,
    ESP,
    IF,
    IOPL,
    RF,
    TF,
    TR,
    VEC_GP,
    VIF,
    VIP,
    VM,
    Cpu,
)

REDIRECTION_BYTES = 32


@func
def has_virtual_if(c: Cpu) -> u32:
    """Do CLI and STI act on VIF? (Where they may not touch IF.)"""
    if c.cpl != 3 or c.eflags & IOPL == IOPL:
        return 0
    enabled: u32 = CR4_VME if c.eflags & VM else CR4_PVI
    return 1 if c.cr4 & enabled else 0


@func
def set_virtual_if(c: Cpu, value: u32) -> i32:
    c.eflags = (c.eflags & ~VIF & M32) | (VIF if value else 0)
    return 0


@func
def interrupt_waits(c: Cpu) -> i64:
    """#GP(0) where VIF and VIP are both set before an instruction (SDM vol. 3, 20.3.2).

    To be asked after IRET and task switches, which alone can bring that about.
    """
    if c.eflags & (VIF | VIP) == VIF | VIP and has_virtual_if(c):
        return raise_error(c, VEC_GP, 0)
    return 0


@func
def sti_virtual(c: Cpu) -> i64:
    """STI on VIF; with VIP set the interrupt that waits comes first: #GP(0)."""
    if c.eflags & VIP:
        return raise_error(c, VEC_GP, 0)
    set_virtual_if(c, 1)
    return 0


@func
def v86_flags_check(c: Cpu, size: u32) -> i64:
    """PUSHF, POPF and IRET in virtual-8086 mode: IOPL 3, or VME and 16 bits; else #GP(0)."""
    if v86_mode(c) and c.eflags & IOPL != IOPL and (size == 4 or c.cr4 & CR4_VME == 0):
        return raise_error(c, VEC_GP, 0)
    return 0


@func
def in_virtual_flags(c: Cpu) -> u32:
    """Is IF in FLAGS images really VIF? (Asked after v86_flags_check() has let it pass.)"""
    return 1 if v86_mode(c) and c.eflags & IOPL != IOPL else 0


@func
def virtual_flags(c: Cpu) -> u32:
    """FLAGS as the 8086 program is to see them: IF is VIF, IOPL is 3."""
    image: u32 = (get_eflags(c) & ~IF & M16) | IOPL
    return image | (IF if c.eflags & VIF else 0)


@func
def check_virtual_flags(c: Cpu, image: u32) -> i64:
    """May the 8086 program load this image? -1: #GP(0)."""
    if image & TF or (image & IF and c.eflags & VIP):
        return raise_error(c, VEC_GP, 0)
    return 0


@func
def redirected(c: Cpu, vector: u32) -> i64:
    """Does the TSS send INT n to the 8086 program's handler? -1: #GP(0), or a page fault."""
    if c.seg_attr[TR] & TR_USABLE32 != ATTR_P | 9 or c.seg_limit[TR] < TSS_IOMAP_BASE + 1:
        return raise_error(c, VEC_GP, 0)
    base = sup_read(c, (c.seg_base[TR] + TSS_IOMAP_BASE) & M32, 2)
    if base < 0:
        return -1
    at: u32 = (base - REDIRECTION_BYTES + (vector >> 3)) & M32
    if at > c.seg_limit[TR]:
        return raise_error(c, VEC_GP, 0)
    bits = sup_read(c, (c.seg_base[TR] + at) & M32, 1)
    if bits < 0:
        return -1
    return 0 if bits & (1 << (vector & 7)) else 1


@func
def int_8086(c: Cpu, vector: u32, eip: u32) -> i64:
    """To the 8086 program's handler for INT n; eip is where it returns to. -1: faulted."""
    entry = sup_read(c, vector * 4, 4)
    if entry < 0:
        return -1
    virtual = in_virtual_flags(c)
    image: u32 = virtual_flags(c) if virtual else get_eflags(c) & M16
    frame_here(c)
    if frame_push(c, 2, image) < 0 or frame_push(c, 2, c.seg_sel[CS]) < 0:
        return -1
    if frame_push(c, 2, eip & M16) < 0:
        return -1
    c.regs[ESP] = c.frame_esp
    c.eflags &= ~(TF | RF | (VIF if virtual else IF)) & M32
    load_v86_segment(c, CS, (entry >> 16) & M16)
    c.eip = entry & M16
    return 0

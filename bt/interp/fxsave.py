"""FXSAVE, FXRSTOR, LDMXCSR, STMXCSR (SDM vol. 1, 10.5 and 10.2.3; vol. 2 for the area's layout).

    0   control, status, abridged tag, opcode      24  MXCSR and which of its bits there are
    8   instruction offset, CS                     32  ST(0) to ST(7), 16 bytes each
    16  operand offset, DS                         160 XMM0 to XMM7

The abridged tag has one bit for each physical register: it is in use. The x87 instructions FSAVE
and FRSTOR write 2 bits that say more, and clear the unit; FXSAVE leaves it alone, and neither waits
for a pending exception. Without CR4.OSFXSR the XMM registers and MXCSR are left out.
"""

from __future__ import annotations

from bt.interp.dialect import M16, M32, NEXT, func, i32, i64, inline, u32
from bt.interp.features import ABSENT_SSE2
from bt.interp.memory import (
    ea,
    fault,
    load,
    raise_error,
    raise_plain,
    segment_allows,
    store,
    user_access,
)
from bt.interp.paging import translate
from bt.interp.state import (
    ACC_WRITE,
    CR0_EM,
    CR0_TS,
    CR4_OSFXSR,
    MXCSR_DEFAULT,
    VEC_GP,
    VEC_NM,
    Cpu,
    Op,
)
from bt.interp.vector_memory import sse_not_now
from bt.interp.x87_env import CW_RESERVED, CW_WRITABLE, set_status_word, status_word
from bt.interp.x87_memory import load64, store64
from bt.interp.x87_stack import st_place

FX_AREA = 512
FX_MXCSR = 24
FX_MASK = 28
FX_STACK = 32
FX_XMM = 160
FX_SLOT = 16


@inline
def reserved_mxcsr(c: Cpu) -> u32:
    """The bits of MXCSR that are #GP(0) to set. DAZ came with SSE2."""
    return 0xFFFF0040 if c.absent & ABSENT_SSE2 else 0xFFFF0000


@inline
def known_mask(c: Cpu) -> u32:
    """MXCSR_MASK; a Pentium III does not know it yet and writes 0."""
    return 0 if c.absent & ABSENT_SSE2 else M16


@func
def sse_reset(c: Cpu) -> i32:
    """RESET#: all registers 0, all exceptions masked."""
    for i in range(16):
        c.xmm[i] = 0
    c.mxcsr = MXCSR_DEFAULT
    return 0


@func
def area_allowed(c: Cpu, op: Op, write: u32) -> i64:
    """May all 512 bytes be accessed? -1: a fault is noted."""
    if c.cr0 & (CR0_EM | CR0_TS):
        return raise_plain(c, VEC_NM)
    at: u32 = ea(c, op)
    if segment_allows(c, op.seg, at, FX_AREA, write) < 0:
        return -1
    la: u32 = (at + c.seg_base[op.seg]) & M32
    if la & 15:
        return raise_error(c, VEC_GP, 0)
    access = user_access(c) | (ACC_WRITE if write else 0)
    head: u32 = 0x1000 - (la & 0xFFF)
    if head >= FX_AREA:
        return -1 if translate(c, la, access, FX_AREA) < 0 else 0
    if translate(c, la, access, head) < 0:
        return -1
    return -1 if translate(c, (la + head) & M32, access, FX_AREA - head) < 0 else 0


@func
def area_word(c: Cpu, i: u32) -> u32:
    """Doubleword i of the area's first 32 bytes."""
    if i == 0:
        return c.fpu_cw | status_word(c) << 16
    if i == 1:
        return c.fpu_tag | c.fpu_op << 16
    if i == 2:
        return c.fpu_ip
    if i == 3:
        return c.fpu_cs
    if i == 4:
        return c.fpu_dp
    if i == 5:
        return c.fpu_ds
    return c.mxcsr if i == 6 else known_mask(c)


@func
def save_area(c: Cpu, seg: u32, at: u32) -> i64:
    words: u32 = 8 if c.cr4 & CR4_OSFXSR else 6
    for i in range(words):
        if store(c, seg, (at + 4 * i) & M32, 4, area_word(c, i)) < 0:
            return -1
    for i in range(8):
        here: u32 = (at + FX_STACK + FX_SLOT * i) & M32
        place = st_place(c, i)
        if store64(c, seg, here, c.fpr_sig[place]) < 0:
            return -1
        if store64(c, seg, (here + 8) & M32, c.fpr_se[place]) < 0:
            return -1
    if c.cr4 & CR4_OSFXSR:
        for i in range(16):
            if store64(c, seg, (at + FX_XMM + 8 * i) & M32, c.xmm[i]) < 0:
                return -1
    return 0


@inline
def fxsave(c: Cpu, op: Op) -> i32:
    if area_allowed(c, op, 1) < 0 or save_area(c, op.seg, ea(c, op)) < 0:
        return fault(c, op)
    return NEXT(c, op)


@func
def load_area(c: Cpu, seg: u32, at: u32) -> i32:
    """The area has been looked at: nothing here can fault."""
    first: u32 = load(c, seg, at, 4) & M32
    c.fpu_cw = (first & CW_WRITABLE) | CW_RESERVED
    set_status_word(c, first >> 16)
    second: u32 = load(c, seg, (at + 4) & M32, 4) & M32
    c.fpu_tag = second & 0xFF
    c.fpu_op = (second >> 16) & 0x7FF
    c.fpu_ip = load(c, seg, (at + 8) & M32, 4) & M32
    c.fpu_cs = load(c, seg, (at + 12) & M32, 2) & M16
    c.fpu_dp = load(c, seg, (at + 16) & M32, 4) & M32
    c.fpu_ds = load(c, seg, (at + 20) & M32, 2) & M16
    for i in range(8):
        here: u32 = (at + FX_STACK + FX_SLOT * i) & M32
        place = st_place(c, i)
        load64(c, seg, here)
        c.fpr_sig[place] = c.z_sig
        c.fpr_se[place] = load(c, seg, (here + 8) & M32, 2) & M16
    if c.cr4 & CR4_OSFXSR:
        c.mxcsr = load(c, seg, (at + FX_MXCSR) & M32, 4) & M32
        for i in range(16):
            load64(c, seg, (at + FX_XMM + 8 * i) & M32)
            c.xmm[i] = c.z_sig
    return 0


@inline
def fxrstor(c: Cpu, op: Op) -> i32:
    if area_allowed(c, op, 0) < 0:
        return fault(c, op)
    at: u32 = ea(c, op)
    if c.cr4 & CR4_OSFXSR:
        if (load(c, op.seg, (at + FX_MXCSR) & M32, 4) & M32) & reserved_mxcsr(c):
            raise_error(c, VEC_GP, 0)
            return fault(c, op)
    load_area(c, op.seg, at)
    return NEXT(c, op)


@inline
def ldmxcsr(c: Cpu, op: Op) -> i32:
    if sse_not_now(c):
        return fault(c, op)
    value = load(c, op.seg, ea(c, op), 4)
    if value < 0:
        return fault(c, op)
    new: u32 = value
    if new & reserved_mxcsr(c):
        raise_error(c, VEC_GP, 0)
        return fault(c, op)
    c.mxcsr = new
    return NEXT(c, op)


@inline
def stmxcsr(c: Cpu, op: Op) -> i32:
    if sse_not_now(c) or store(c, op.seg, ea(c, op), 4, c.mxcsr) < 0:
        return fault(c, op)
    return NEXT(c, op)

"""x87 environment and state in memory: FLDENV, FSTENV, FRSTOR, FSAVE (SDM vol. 1, 8.1.10).

Seven words or doublewords by operand size, in a real-mode or a protected-mode form:

    word   protected                          real and virtual-8086 mode
    0-2    control, status, tag word          the same
    3      instruction offset                 instruction linear address, bits 15-0
    4      CS (32-bit: opcode in bits 26-16)  opcode in bits 10-0; address bits 31-16 from bit 12
    5      operand offset                     operand linear address, bits 15-0
    6      operand segment                    operand address bits 31-16 from bit 12

The 16-bit real form has room for four upper address bits only. FSAVE appends ST(0) to ST(7), ten
bytes each. Reserved upper halves of doublewords are written as ones.
"""

from __future__ import annotations

from bt.interp.dialect import M16, M32, func, i32, i64, inline, u32
from bt.interp.memory import (
    ea,
    load,
    misaligned,
    segment_allows,
    store,
    user_access,
)
from bt.interp.paging import translate
from bt.interp.softfloat import FX_ALL
from bt.interp.state import CR0_PE, VM, Cpu, Op
from bt.interp.x87_memory import can_write, load64, store80
from bt.interp.x87_stack import (
    TAG_EMPTY,
    X87_CONTROL,
    X87_FAULT,
    fpu_init,
    st_place,
    st_se,
    st_sig,
    tag_of,
    update_summary,
)

ENV_WORDS = 7
CW_RESERVED = 0x40  # bit 6 always reads as 1
CW_WRITABLE = 0x1F3F  # masks, PC, RC, and the infinity control that does nothing
SE_BYTES = 10


@inline
def in_protected_form(c: Cpu) -> u32:
    return 1 if c.cr0 & CR0_PE and not c.eflags & VM else 0


@inline
def status_word(c: Cpu) -> u32:
    return c.fpu_sw | c.fpu_top << 11


@func
def set_status_word(c: Cpu, value: u32) -> i32:
    c.fpu_sw = value & ~0x3800 & M16
    c.fpu_top = (value >> 11) & 7
    return update_summary(c)


@func
def set_control_word(c: Cpu, value: u32) -> i32:
    c.fpu_cw = (value & CW_WRITABLE) | CW_RESERVED
    return update_summary(c)


@func
def tag_word(c: Cpu) -> u32:
    word: u32 = 0
    for i in range(8):
        word |= tag_of(c, i) << (2 * i)
    return word


@func
def set_tag_word(c: Cpu, word: u32) -> i32:
    """Only empty or not is taken from memory."""
    c.fpu_tag = 0
    for i in range(8):
        if (word >> (2 * i)) & 3 != TAG_EMPTY:
            c.fpu_tag |= 1 << i
    return 0


@inline
def pointer_top(linear: u32, size: u32) -> u32:
    """The upper address bits in a real-form word 4 or 6."""
    return (linear >> 16) << 12 if size == 4 else (linear >> 4) & 0xF000


@inline
def pointer_from(word: u32, size: u32) -> u32:
    """The reverse of pointer_top()."""
    return ((word >> 12) << 16) & M32 if size == 4 else (word & 0xF000) << 4


@func
def env_word(c: Cpu, i: u32, size: u32) -> u32:
    """Word i of the environment for an operand size."""
    reserved: u32 = 0xFFFF0000 if size == 4 else 0
    if i == 0:
        return c.fpu_cw | reserved
    if i == 1:
        return status_word(c) | reserved
    if i == 2:
        return tag_word(c) | reserved
    if in_protected_form(c):
        if i == 3:
            return c.fpu_ip
        if i == 4:
            return c.fpu_cs | (c.fpu_op << 16 if size == 4 else 0)
        return c.fpu_dp if i == 5 else c.fpu_ds | reserved
    ip: u32 = (c.fpu_ip + (c.fpu_cs << 4)) & M32
    dp: u32 = (c.fpu_dp + (c.fpu_ds << 4)) & M32
    if i == 3:
        return (ip & M16) | reserved
    if i == 4:
        return pointer_top(ip, size) | c.fpu_op
    if i == 5:
        return (dp & M16) | reserved
    return pointer_top(dp, size)


@func
def store_env(c: Cpu, op: Op) -> i64:
    at: u32 = ea(c, op)
    size: u32 = op.size
    for i in range(ENV_WORDS):
        word = env_word(c, i, size)
        if store(c, op.seg, (at + size * i) & M32, size, word if size == 4 else word & M16) < 0:
            return -1
    return 0


@func
def env_load_word(c: Cpu, op: Op, i: u32) -> u32:
    """Word i of an environment in memory that can_read() has checked."""
    size: u32 = op.size
    return load(c, op.seg, (ea(c, op) + size * i) & M32, size) & M32


@func
def load_env(c: Cpu, op: Op) -> i32:
    size: u32 = op.size
    c.fpu_cw = (env_load_word(c, op, 0) & CW_WRITABLE) | CW_RESERVED
    set_status_word(c, env_load_word(c, op, 1) & M16)
    set_tag_word(c, env_load_word(c, op, 2) & M16)
    ip = env_load_word(c, op, 3)
    high = env_load_word(c, op, 4)
    dp = env_load_word(c, op, 5)
    data_high = env_load_word(c, op, 6)
    if in_protected_form(c):
        c.fpu_ip = ip
        c.fpu_cs = high & M16
        if size == 4:
            c.fpu_op = (high >> 16) & 0x7FF
        c.fpu_dp = dp
        c.fpu_ds = data_high & M16
        return 0
    c.fpu_ip = (ip & M16) | pointer_from(high, size)
    c.fpu_cs = 0
    c.fpu_op = high & 0x7FF
    c.fpu_dp = (dp & M16) | pointer_from(data_high, size)
    c.fpu_ds = 0
    return 0


@func
def can_read(c: Cpu, seg: u32, offset: u32, size: u32, align: u32) -> i64:
    """Check a read that is done in parts: 0, or -1 with the fault noted."""
    if segment_allows(c, seg, offset, size, 0) < 0:
        return -1
    la: u32 = (offset + c.seg_base[seg]) & M32
    if misaligned(c, la, align):
        return -1
    if translate(c, la, user_access(c), 1) < 0:
        return -1
    return -1 if translate(c, (la + size - 1) & M32, user_access(c), 1) < 0 else 0


@func
def fldenv(c: Cpu, op: Op) -> i32:
    if can_read(c, op.seg, ea(c, op), ENV_WORDS * op.size, op.size) < 0:
        return X87_FAULT
    load_env(c, op)
    return X87_CONTROL


@func
def fstenv(c: Cpu, op: Op) -> i32:
    """FNSTENV: and then all exceptions are masked."""
    if can_write(c, op.seg, ea(c, op), ENV_WORDS * op.size, op.size) < 0:
        return X87_FAULT
    if store_env(c, op) < 0:
        return X87_FAULT
    c.fpu_cw |= FX_ALL
    update_summary(c)
    return X87_CONTROL


@func
def frstor(c: Cpu, op: Op) -> i32:
    at: u32 = ea(c, op)
    size: u32 = ENV_WORDS * op.size
    if can_read(c, op.seg, at, size + 8 * SE_BYTES, op.size) < 0:
        return X87_FAULT
    load_env(c, op)
    checked = c.align_check
    c.align_check = 0  # the area as a whole was looked at: its registers lie at any even address
    for i in range(8):
        place = st_place(c, i)
        from_here: u32 = (at + size + SE_BYTES * i) & M32
        load64(c, op.seg, from_here)
        c.fpr_sig[place] = c.z_sig
        c.fpr_se[place] = load(c, op.seg, (from_here + 8) & M32, 2) & M16
    c.align_check = checked
    return X87_CONTROL


@func
def store_registers(c: Cpu, op: Op, at: u32) -> i64:
    """ST(0) to ST(7) from `at` on, at any alignment; -1: faulted."""
    checked = c.align_check
    c.align_check = 0
    status: i64 = 0
    for i in range(8):
        if status == 0:
            to_here: u32 = (at + SE_BYTES * i) & M32
            status = store80(c, op.seg, to_here, st_se(c, i), st_sig(c, i))
    c.align_check = checked
    return status


@func
def fsave(c: Cpu, op: Op) -> i32:
    """FNSAVE: and then FNINIT."""
    at: u32 = ea(c, op)
    size: u32 = ENV_WORDS * op.size
    if can_write(c, op.seg, at, size + 8 * SE_BYTES, op.size) < 0 or store_env(c, op) < 0:
        return X87_FAULT
    if store_registers(c, op, (at + size) & M32) < 0:
        return X87_FAULT
    fpu_init(c)
    return X87_CONTROL


@func
def fldcw(c: Cpu, op: Op) -> i32:
    value = load(c, op.seg, ea(c, op), 2)
    if value < 0:
        return X87_FAULT
    set_control_word(c, value)
    return X87_CONTROL


@func
def store_word(c: Cpu, op: Op, value: u32) -> i32:
    """FNSTCW and FNSTSW to memory."""
    if store(c, op.seg, ea(c, op), 2, value) < 0:
        return X87_FAULT
    return X87_CONTROL

"""The decoder: bytes to `Op` (SDM vol. 2, ch. 2 and appendix A).

Everything about an instruction's shape comes from bt/table.py, flattened by handlers.py into
three tables indexed by `opcode * 8 + ModRM.reg` (opcode 0x1xx for 0F xx, 0x2xx to 0x4xx for that
behind a mandatory prefix 66, F3 or F2):

    SHAPE   bit set: has ModRM, which operand is a byte, ...
    IMM     kind of immediate
    SELECT  handler number, by operand size and by register or memory operand
    FEATURE of a handler, what a processor without it makes #UD of

Worked example: `66 01 43 08` in 32-bit code: prefix 66 makes the operand size 2; opcode 01 has a
ModRM byte 43 = mod 1, reg 0 (AX), rm 3 (EBX), then disp8; the handler is alu_eg(ADD) stamped for
size 2 and memory, with base=EBX, disp=8, reg=AX, seg=DS.
"""

from __future__ import annotations

from bt.interp.dialect import (
    M16,
    M32,
    feature_table,
    func,
    i32,
    imm_table,
    inline,
    ld8,
    select_table,
    set_handler,
    shape_table,
    sx8,
    sx16,
    u32,
)
from bt.interp.flags import size_mask
from bt.interp.pure import op_null
from bt.interp.state import DS, H_FIRST, H_TOO_LONG, H_UNDEFINED, NOREG, SS, Cpu, Op

# Shape bits
SH_MODRM = 0x1
SH_E_BYTE = 0x2
SH_G_BYTE = 0x4
SH_MEM_ONLY = 0x8
SH_REG_ONLY = 0x10
SH_Z = 0x20  # register in the opcode -> rm
SH_Z_BYTE = 0x40
SH_OFFSET = 0x200  # memory operand is a plain offset
SH_ENDS = 0x800
SH_LOCK = 0x1000
SH_SIZE_B = 0x2000
SH_SIZE_W = 0x4000
SH_SIZE_D = 0x8000
SH_CRITICAL = 0x10000  # sensitive, and ring 3 does not trap it
SH_PREFIXED = 0x40000  # of two-byte opcodes: 66, F2 and F3 before it make other instructions of it
SH_WRONG = 0x20000  # critical, and wrong in ring 3 even when the guest itself is in ring 3

# Immediate kinds
IMM_NONE = 0
IMM_B = 1  # zero-extended byte
IMM_S = 2  # sign-extended byte
IMM_W = 3
IMM_V = 4  # word or doubleword
IMM_JS = 5  # byte, relative
IMM_JV = 6
IMM_P = 7  # far pointer
IMM_WB = 8  # ENTER
IMM_O = 9  # memory offset, address size
IMM_ONE = 10


@inline
def fetch8(c: Cpu, i: u32) -> u32:
    """Byte i of the instruction; notes in c.fetch_short when it is out of reach."""
    if i >= c.fetch_avail:
        c.fetch_short = 1
        return 0
    if c.fetch_host != 0:
        return ld8(c, c.fetch_host + i)
    return c.fetch_buf[i]


@func
def fetch16(c: Cpu, i: u32) -> u32:
    return fetch8(c, i) | fetch8(c, i + 1) << 8


@func
def fetch32(c: Cpu, i: u32) -> u32:
    return fetch16(c, i) | fetch16(c, i + 2) << 16


@inline
def byte_register(number: u32) -> u32:
    """ModRM byte register number to get8() numbering: AH CH DH BH are byte 1 of AX..BX."""
    return (number & 3) * 4 + (number >> 2)


@func
def decode_address16(c: Cpu, op: Op, at: u32) -> u32:
    """16-bit ModRM addressing; returns the index after the displacement."""
    rm: u32 = op.modrm & 7
    mod: u32 = op.modrm >> 6
    op.base = NOREG
    op.index = NOREG
    if rm < 2 or rm == 7:
        op.base = 3  # BX
    elif rm < 4 or (rm == 6 and mod != 0):
        op.base = 5  # BP
    if rm == 0 or rm == 2:
        op.index = 6  # SI
    elif rm == 1 or rm == 3:
        op.index = 7  # DI
    elif rm == 4:
        op.base = 6
    elif rm == 5:
        op.base = 7
    if op.base == 5:
        op.seg = SS
    if mod == 1:
        op.disp = sx8(fetch8(c, at)) & M32
        return at + 1
    if mod == 2 or (mod == 0 and rm == 6):
        op.disp = fetch16(c, at)
        return at + 2
    return at


@func
def decode_address32(c: Cpu, op: Op, at: u32) -> u32:
    """32-bit ModRM and SIB addressing; returns the index after the displacement."""
    rm: u32 = op.modrm & 7
    mod: u32 = op.modrm >> 6
    op.base = rm
    if rm == 4:
        sib = fetch8(c, at)
        at += 1
        op.base = sib & 7
        op.scale = sib >> 6
        if (sib >> 3) & 7 != 4:
            op.index = (sib >> 3) & 7
    if op.base == 5 and mod == 0:
        op.base = NOREG
        op.disp = fetch32(c, at)
        return at + 4
    if op.base == 4 or op.base == 5:
        op.seg = SS
    if mod == 1:
        op.disp = sx8(fetch8(c, at)) & M32
        return at + 1
    if mod == 2:
        op.disp = fetch32(c, at)
        return at + 4
    return at


@func
def decode_immediate(c: Cpu, op: Op, kind: u32, at: u32, opsize: u32) -> u32:
    """Immediate or branch displacement; returns the index after it."""
    if kind == IMM_B:
        op.imm = fetch8(c, at)
        return at + 1
    if kind == IMM_S:
        op.imm = sx8(fetch8(c, at)) & size_mask(opsize)
        return at + 1
    if kind == IMM_JS:
        op.imm = sx8(fetch8(c, at)) & M32
        return at + 1
    if kind == IMM_W:
        op.imm = fetch16(c, at)
        return at + 2
    if kind == IMM_WB:
        op.imm = fetch16(c, at)
        op.sel = fetch8(c, at + 2)
        return at + 3
    if kind == IMM_ONE:
        op.imm = 1
        return at
    if kind == IMM_O:
        if op.amask == M16:
            op.disp = fetch16(c, at)
            return at + 2
        op.disp = fetch32(c, at)
        return at + 4
    if opsize == 4:
        op.imm = fetch32(c, at)
        at += 4
    else:
        op.imm = fetch16(c, at)
        if kind == IMM_JV:
            op.imm = sx16(op.imm) & M32
        at += 2
    if kind == IMM_P:
        op.sel = fetch16(c, at)
        at += 2
    return at


@func
def clear_op(op: Op, eip: u32) -> i32:
    op.target = op_null()
    op.target_entry = 0
    op.eip = eip
    op.imm = 0
    op.disp = 0
    op.sel = 0
    op.reg = 0
    op.rm = 0
    op.base = NOREG
    op.index = NOREG
    op.scale = 0
    op.seg = DS
    op.rep = 0
    op.modrm = 0
    op.counted = 1
    return 0


@func
def decode(c: Cpu, op: Op, eip: u32) -> i32:
    """Decode one instruction at eip from the fetch window. Returns its length.

    c.fetch_short is 1 afterwards when the window ended too early (then op is not valid).
    Undefined encodings give an op that raises #UD, over-long ones #GP(0), when executed.
    """
    c.fetch_short = 0
    clear_op(op, eip)
    opsize: u32 = 4 if c.mode & 1 else 2
    op.amask = M32 if c.mode & 1 else M16
    override: u32 = NOREG
    lock: u32 = 0
    page: u32 = 0
    i: u32 = 0
    byte: u32 = 0
    prefixed: u32 = 1
    while prefixed and i < 15 and not c.fetch_short:
        byte = fetch8(c, i)
        i += 1
        if byte == 0x66:
            opsize = 2 if c.mode & 1 else 4
            page = 0x100
        elif byte == 0x67:
            op.amask = M16 if c.mode & 1 else M32
        elif byte & 0xE7 == 0x26:
            override = (byte >> 3) & 3
        elif byte == 0x64 or byte == 0x65:
            override = byte & 7
        elif byte == 0xF0:
            lock = 1
        elif byte == 0xF2 or byte == 0xF3:
            op.rep = byte
        else:
            prefixed = 0
    if byte == 0x0F:
        byte = 0x100 | fetch8(c, i)
        i += 1
        if shape_table(byte * 8) & SH_PREFIXED:
            if op.rep:
                page = 0x300 if op.rep == 0xF2 else 0x200
            byte += page
    op.opcode = byte
    entry: u32 = byte * 8
    shape = shape_table(entry)
    memory: u32 = 0
    if shape & SH_MODRM:
        op.modrm = fetch8(c, i)
        i += 1
        reg: u32 = (op.modrm >> 3) & 7
        entry += reg
        shape = shape_table(entry)
        op.reg = byte_register(reg) if shape & SH_G_BYTE else reg
        if op.modrm >= 0xC0 or shape & SH_REG_ONLY:
            op.rm = op.modrm & 7
            if shape & SH_E_BYTE:
                op.rm = byte_register(op.rm)
        else:
            memory = 1
            if op.amask == M16:
                i = decode_address16(c, op, i)
            else:
                i = decode_address32(c, op, i)
    elif shape & SH_Z:
        op.rm = byte_register(byte & 7) if shape & SH_Z_BYTE else byte & 7
    elif shape & SH_OFFSET:
        memory = 1
    if override != NOREG:
        op.seg = override
    kind = imm_table(entry)
    if kind != IMM_NONE:
        i = decode_immediate(c, op, kind, i, opsize)
    op.next_eip = (eip + i) & (M32 if c.mode & 1 else M16)
    if kind == IMM_JS or kind == IMM_JV:
        op.imm = (op.next_eip + op.imm) & size_mask(opsize)
    op.size = 1 if shape & SH_SIZE_B else (2 if shape & SH_SIZE_W else opsize)
    if shape & SH_SIZE_D:
        op.size = 4
    number = select_table(entry * 4 + (2 if opsize == 4 else 0) + memory)
    if c.absent >> feature_table(number) & 1:
        number = H_UNDEFINED
    if lock and (memory == 0 or shape & SH_LOCK == 0):
        number = H_UNDEFINED
    if i > 15 or prefixed:
        number = H_TOO_LONG
        c.fetch_short = 0 if c.fetch_avail >= 15 else c.fetch_short
    set_handler(op, number)
    return i


@inline
def op_shape(op: Op) -> u32:
    """SHAPE of a decoded op."""
    entry: u32 = op.opcode * 8
    if shape_table(entry) & SH_MODRM:
        entry += (op.modrm >> 3) & 7
    shape = shape_table(entry)
    if shape & SH_MEM_ONLY and op.modrm >= 0xC0:
        return SH_MODRM  # VMCALL has the opcode of SGDT, and nothing else of it
    return shape


@inline
def op_ends(op: Op) -> u32:
    """Does execution never fall through this op?"""
    if op.handler < H_FIRST:
        return 1
    return 1 if op_shape(op) & SH_ENDS else 0

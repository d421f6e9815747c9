"""Near control transfers: Jcc, JMP, CALL, RET, LOOP, JCXZ, and how blocks are chained.

A direct branch keeps a pointer to the op it leads to (`op.target`) once that is known. As the
blocks of a page die with the page's bytes (smc.py), a link inside one page needs no check; a
link to another page compares the TLB entry of that page with the one seen when it was made, so
a remapped page is noticed.
"""

from __future__ import annotations

from bt.interp.counting import icount_at, record_root
from bt.interp.dialect import (
    M32,
    M64,
    NEXT,
    func,
    go,
    i32,
    inline,
    is_null,
    jump_at,
    ld8,
    own_handler,
    u32,
    u64,
)
from bt.interp.flags import cc_zero, condition
from bt.interp.memory import fault, raise_error, raise_plain
from bt.interp.operands import read_e
from bt.interp.stack import pop, push, set_esp, stack_at
from bt.interp.state import (
    CS,
    ECX,
    EXIT_BREAKPOINT,
    H_STALE,
    MARK_ENTRY,
    MARK_LOOKUP,
    MARK_STUB,
    RECORD_CACHE,
    RECORD_CODE,
    RECORD_RING_SHIFT,
    ST_BUDGET,
    ST_EXIT,
    ST_LOOKUP,
    TRACE_V86,
    VEC_GP,
    VEC_UD,
    VM,
    Cpu,
    Op,
)

JUMP_LINES = 16384  # lines of the jump cache


@inline
def enter_block(c: Cpu, op: Op) -> i32:
    """Run on at an op that begins a run of instructions: pay for them first."""
    if c.budget < op.need:
        c.eip = op.eip
        return ST_BUDGET
    c.budget -= op.left
    return go(c, op)


@func
def limit_fault(c: Cpu, op: Op) -> i32:
    """A near branch beyond the code segment: #GP(0) at the branch."""
    raise_error(c, VEC_GP, 0)
    return fault(c, op)


@func
def link_later(c: Cpu, op: Op) -> i32:
    """The branch has no link, or one that does not hold now: the lookup makes it.

    What follows the branch in its block is credited already (leave_block).
    """
    if op.imm > c.seg_limit[CS]:
        c.budget -= op.left - op.counted
        return limit_fault(c, op)
    c.eip = op.imm
    c.link_op = op
    return ST_LOOKUP


@inline
def based(c: Cpu, entry: u64) -> u64:
    """A TLB entry from where EIP counts: the host address that an EIP leads to, minus that EIP.

    By the entry alone the same EIP in two segments could be taken for one: without paging, as in
    real mode, all pages have the same entry.
    """
    return (entry + c.seg_base[CS]) & 0xFFFFFFFFFFFFFFFF


@inline
def take(c: Cpu, op: Op) -> i32:
    """Go to op.imm, by the link if it holds. Called with the instruction already paid for."""
    t = op.target
    if is_null(t):
        return link_later(c, op)
    if t.handler == H_STALE:  # its block was dropped: find the one that took its place
        return link_later(c, op)
    if op.target_entry != 0:
        entry = c.tlb_x[((op.imm + c.seg_base[CS]) & M32) >> 12]
        if entry == 0 or based(c, entry) != op.target_entry:
            return link_later(c, op)
    return enter_block(c, t)


@inline
def leave_block(c: Cpu, op: Op) -> i32:
    """Credit the instructions after op: a branch out of the middle of a block."""
    c.budget += op.left - op.counted
    return 0


@inline
def go_indirect(c: Cpu, target: u32) -> i32:
    """Go to a computed EIP through the jump cache."""
    line = jump_at(c.mem.blocks.jumps, (target ^ (target >> 12)) & (JUMP_LINES - 1))
    if line.eip == target and line.mode == c.mode and not is_null(line.op):
        entry = c.tlb_x[((target + c.seg_base[CS]) & M32) >> 12]
        if entry != 0 and based(c, entry) == line.entry:
            return enter_block(c, line.op)
    c.eip = target
    return ST_LOOKUP


@inline
def jcc(c: Cpu, op: Op, cc: u32) -> i32:
    if condition(c, cc):
        leave_block(c, op)
        return take(c, op)
    return NEXT(c, op)


@inline
def jmp_near(c: Cpu, op: Op) -> i32:
    return take(c, op)


@inline
def jmp_e(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    target = read_e(c, op, size, mem)
    if target < 0:
        return fault(c, op)
    if target > c.seg_limit[CS]:
        return limit_fault(c, op)
    return go_indirect(c, target & M32)


@inline
def call_near(c: Cpu, op: Op, size: u32) -> i32:
    if op.imm > c.seg_limit[CS]:
        return limit_fault(c, op)
    if push(c, size, op.next_eip) < 0:
        return fault(c, op)
    return take(c, op)


@inline
def call_e(c: Cpu, op: Op, size: u32, mem: u32) -> i32:
    target = read_e(c, op, size, mem)
    if target < 0:
        return fault(c, op)
    if target > c.seg_limit[CS]:
        return limit_fault(c, op)
    if push(c, size, op.next_eip) < 0:
        return fault(c, op)
    return go_indirect(c, target & M32)


@inline
def ret_near(c: Cpu, op: Op, size: u32) -> i32:
    """RET and RET imm16: the immediate is what the caller's arguments took."""
    target = pop(c, size)
    if target < 0:
        return fault(c, op)
    if target > c.seg_limit[CS]:
        set_esp(c, stack_at(c, -size & M32))
        return limit_fault(c, op)
    if op.imm != 0:
        set_esp(c, stack_at(c, op.imm))
    return go_indirect(c, target & M32)


@inline
def loop(c: Cpu, op: Op, kind: u32) -> i32:
    """LOOPNE (0), LOOPE (1), LOOP (2) count (E)CX down; JCXZ (3) only looks. Address size rules."""
    mask = op.amask
    count: u32 = c.regs[ECX] & mask
    taken: u32 = 0
    if kind == 3:
        taken = 1 if count == 0 else 0
    else:
        count = (count - 1) & mask
        taken = 1 if count != 0 else 0
        if kind != 2 and cc_zero(c) != kind:
            taken = 0
    if taken and op.imm > c.seg_limit[CS]:
        return limit_fault(c, op)
    if kind != 3:
        c.regs[ECX] = (c.regs[ECX] & ~mask & M32) | count
    if taken:
        leave_block(c, op)
        return take(c, op)
    return NEXT(c, op)


@inline
def fallthrough(c: Cpu, op: Op) -> i32:
    """Closes a block that does not end in a branch: go on at op.imm. Not an instruction."""
    return take(c, op)


@inline
def look_up(c: Cpu, op: Op) -> i32:
    """Closes a block cut short (page end, unreadable bytes): look up what comes next."""
    c.eip = op.eip
    return ST_LOOKUP


@func
def stub_done(c: Cpu, op: Op) -> i32:
    """The last op of a stub in a translation cache."""
    c.stubs_done += 1
    return own_handler(c, op)


@func
def landing_jump(c: Cpu, op: Op) -> i32:
    """JMP through a table of landings, in a translation cache: an indirect branch of the guest."""
    c.lookups += 1
    return jmp_e(c, op, 4, 1)


@func
def count_entry(c: Cpu, op: Op) -> i32:
    """A guest instruction begins, in a translation cache whose entries are counted."""
    offset: u32 = (op.eip + c.seg_base[CS] - c.count_base) & M32
    c.entry_counts[offset] += 1
    mark = c.count_marks[offset]
    if mark & MARK_STUB:
        return stub_done(c, op)
    if mark & MARK_LOOKUP:
        return landing_jump(c, op)
    return own_handler(c, op)


@func
def note_code(c: Cpu, op: Op) -> u32:
    """Keep the bytes of an instruction, which may rewrite itself; 0: they are not at hand."""
    m = c.mem
    la: u32 = (op.eip + c.seg_base[CS]) & M32
    entry = c.tlb_x[la >> 12]
    if entry == 0:
        return 0
    host: u64 = (entry + la) & M64
    size: u32 = 0x1000 - (la & 0xFFF)
    low: u64 = 0
    high: u64 = 0
    for i in range(size if size < 15 else 15):
        byte: u64 = ld8(c, host + i)
        if i < 8:
            low |= byte << (8 * i)
        else:
            high |= byte << (8 * i - 64)
    m.record_code[2 * m.record_used] = low
    m.record_code[2 * m.record_used + 1] = high
    return 1


@func
def note_begin(c: Cpu, op: Op) -> i32:
    """Write into the trace that op begins an instruction of the guest."""
    m = c.mem
    if m.record_used >= m.record_room:
        m.record_lost += 1
        return 0
    place: u64 = op.eip
    root: u64 = c.guest_root
    ring: u64 = c.guest_cpl if c.external else c.cpl
    place |= ring << RECORD_RING_SHIFT
    if c.external:
        if (op.eip - c.count_base) & M32 < c.count_size:
            place |= RECORD_CACHE
    else:
        if c.eflags & VM:
            place |= TRACE_V86
        root = record_root(c)
    if place & RECORD_CACHE == 0 and note_code(c, op):
        place |= RECORD_CODE
    m.record_places[m.record_used] = place
    m.record_roots[m.record_used] = root
    m.record_counts[m.record_used] = icount_at(c, op)
    m.record_used += 1
    return 0


@func
def traced(c: Cpu, op: Op) -> i32:
    """A guest instruction begins while a trace is being made."""
    note_begin(c, op)
    offset: u32 = (op.eip + c.seg_base[CS] - c.count_base) & M32
    if offset < c.count_size:
        mark = c.count_marks[offset]
        if mark & MARK_ENTRY:
            return count_entry(c, op)
        if mark & MARK_STUB:
            return stub_done(c, op)
        if mark & MARK_LOOKUP:
            return landing_jump(c, op)
    return own_handler(c, op)


@func
def undefined(c: Cpu, op: Op) -> i32:
    """An encoding the Pentium Pro does not define: #UD."""
    raise_plain(c, VEC_UD)
    return fault(c, op)


@func
def too_long(c: Cpu, op: Op) -> i32:
    """More than 15 bytes of prefixes and instruction: #GP(0)."""
    raise_error(c, VEC_GP, 0)
    return fault(c, op)


@func
def stop_here(c: Cpu, op: Op) -> i32:
    """A breakpoint of the embedder."""
    c.eip = op.eip
    c.budget += op.left
    c.exit_reason = EXIT_BREAKPOINT
    c.exit_arg = (op.eip + c.seg_base[CS]) & M32
    return ST_EXIT

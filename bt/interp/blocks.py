"""Decoded blocks: finding them, making them, dropping them.

A block is a run of instructions within one physical page, up to a branch that always leaves.
Conditional branches stay inside. Blocks are found by (physical address, EIP, mode), so they
outlive CR3 loads, and two linear aliases with the same EIP share one.

An instruction that straddles two pages is a block of its own, compared with memory at every
entry: its second page may be remapped or rewritten without any notice.
"""

from __future__ import annotations

from bt.interp.control import JUMP_LINES, based
from bt.interp.decode import SH_CRITICAL, SH_WRONG, decode, op_ends, op_shape
from bt.interp.dialect import (
    M32,
    block_at,
    func,
    i32,
    i64,
    is_null,
    jump_at,
    link_ops,
    op_at,
    set_handler,
    u32,
    u64,
    wrap_handler,
)
from bt.interp.memory import raise_error
from bt.interp.paging import translate
from bt.interp.physical import is_memory, read_place
from bt.interp.pure import op_null
from bt.interp.smc import (
    HASH_SIZE,
    block_hash,
    block_kill,
    code_mark,
    code_unmark,
    frame_alias_purge,
)
from bt.interp.state import (
    ACC_FETCH,
    ACC_USER,
    CS,
    FRAME_AUDIT,
    FRAME_CODE,
    H_COUNT_ENTRY,
    H_FALLTHROUGH,
    H_LANDING_JUMP,
    H_LOOKUP,
    H_STOP,
    H_STUB_DONE,
    H_TRACED,
    MARK_COUNTS,
    MARK_ENTRY,
    MARK_LOOKUP,
    MARK_RECORD,
    MARK_STUB,
    VEC_GP,
    Block,
    Cpu,
    Memory,
    Op,
)

MAX_OPS = 64  # instructions in a block


@func
def fetch_access(c: Cpu) -> u32:
    return ACC_FETCH | ACC_USER if c.cpl == 3 else ACC_FETCH


@func
def window_page(c: Cpu, pa: u32) -> i32:
    """Let the decoder read from pa to the end of its page, straight from RAM."""
    c.fetch_host = c.mem.host + pa
    c.fetch_avail = 0x1000 - (pa & 0xFFF)
    return 0


@func
def window_buffer(c: Cpu, eip: u32, place: u64) -> i64:
    """Gather up to 15 bytes at eip that lie in two pages, or outside memory; -1: #PF or #GP.

    c.fetch_outside: some came from the bus, where the next look may find others.
    """
    head: u32 = 0x1000 - (place & 0xFFF)
    second: i64 = 0
    count: u32 = 15
    room: u32 = c.seg_limit[CS] - eip
    if room < 14:
        count = room + 1
    if head < count:
        second = translate(c, (eip + c.seg_base[CS] + head) & M32, fetch_access(c), 1)
        if second < 0:
            return -1
    c.fetch_outside = 0
    c.for_itself = 1
    for i in range(count):
        at: u64 = place + i if i < head else second + (i - head)
        c.fetch_buf[i] = read_place(c, at, 1) & 0xFF
        if is_memory(at) == 0:
            c.fetch_outside = 1
    c.for_itself = 0
    c.fetch_host = 0
    c.fetch_avail = count
    return 0


@func
def mark_at(c: Cpu, la: u32) -> u32:
    """MARK_* of the instruction at a linear address; outside of a translation cache all count."""
    offset: u32 = (la - c.count_base) & M32
    if offset < c.count_size:
        return c.count_marks[offset]
    return MARK_COUNTS


@func
def in_cache(c: Cpu, la: u32) -> u32:
    """Is this linear address in the translation cache, if there is one?"""
    return 1 if (la - c.count_base) & M32 < c.count_size else 0


@func
def is_stop(c: Cpu, la: u32) -> u32:
    """Has the embedder a breakpoint here, one that we are not just leaving?"""
    for i in range(c.stop_count):
        if c.stops[i] == la:
            return 0 if c.passing else 1
    return 0


@func
def is_audited(c: Cpu, op: Op, host: u64) -> u32:
    """Shall an external processor stop before this critical instruction?"""
    shape = op_shape(op)
    if c.passing == 2 or shape & SH_CRITICAL == 0:
        return 0
    if c.audit_all:
        return 1
    if shape & SH_WRONG == 0:
        return 0
    if host == 0:  # it straddles two pages, and who knows which of them was searched
        return 1
    frame: u32 = (host - c.mem.host) >> 12
    return 1 if c.mem.frame_flags[frame] & FRAME_AUDIT else 0


@func
def close_block(op: Op, eip: u32, number: u32) -> i32:
    """The op after the last instruction."""
    op.target = op_null()
    op.target_entry = 0
    op.eip = eip
    op.next_eip = eip
    op.imm = eip
    op.left = 0
    op.need = 1
    op.counted = 0
    op.size = 4
    set_handler(op, number)
    return 0


@func
def sum_counts(ops: Op, first: u32, count: u32) -> i32:
    """Fill in `left` and `need` of count ops, from the last to the first.

    A run that ends in ops that do not count needs one more than it has: they begin an instruction
    of the guest that counts in the next run, and a budget must not end in the middle of it.
    """
    left: i32 = 0
    beyond: i32 = 0
    if count != 0 and op_at(ops, first + count - 1).counted == 0:
        beyond = 1
    for k in range(count):
        op = op_at(ops, first + count - 1 - k)
        left += op.counted
        op.left = left
        op.need = left + beyond if left + beyond > 0 else 1
    return 0


@func
def decode_run(c: Cpu, ops: Op, first: u32, eip: u32, max_ops: u32, max_count: u32) -> u32:
    """Decode instructions from the fetch window into ops[first...]; returns how many.

    Stops at a branch that always leaves, at the end of the window or of the code segment, or
    when max_count counted instructions are in. c.run_length is the number of bytes; 0 returned:
    the first instruction does not fit into the window.
    """
    count: u32 = 0
    counted: u32 = 0
    at: u32 = eip
    host: u64 = c.fetch_host
    avail: u32 = c.fetch_avail
    used: u32 = 0
    going: u32 = 1
    while going:
        op = op_at(ops, first + count)
        if host != 0:
            c.fetch_host = host + used
        c.fetch_avail = avail - used
        length: u32 = decode(c, op, at)
        if c.fetch_short or length - 1 > c.seg_limit[CS] - at:
            going = 0
        else:
            la: u32 = (at + c.seg_base[CS]) & M32
            mark = mark_at(c, la)
            op.counted = mark & MARK_COUNTS
            if c.mem.recording and (mark & MARK_RECORD or not in_cache(c, la)):
                wrap_handler(op, H_TRACED)
            elif mark & MARK_ENTRY:
                wrap_handler(op, H_COUNT_ENTRY)
            elif mark & MARK_STUB:
                wrap_handler(op, H_STUB_DONE)
            elif mark & MARK_LOOKUP:
                wrap_handler(op, H_LANDING_JUMP)
            if (c.stop_count and is_stop(c, la)) or (c.external and is_audited(c, op, host)):
                set_handler(op, H_STOP)
            counted += op.counted
            count += 1
            used += length
            link_ops(op, op_at(ops, first + count))
            at = op.next_eip
            if op_ends(op) or count == max_ops or counted == max_count:
                going = 0
            if used >= avail or host == 0 or at > c.seg_limit[CS] or at < eip:
                going = 0
    c.run_length = used
    c.run_eip = at
    sum_counts(ops, first, count)
    return count


@func
def forget_blocks(m: Memory) -> i32:
    """Drop everything decoded. Only between blocks."""
    cache = m.blocks
    for number in range(1, cache.block_count):
        frame: u32 = block_at(cache.blocks, number).pa >> 12
        if m.frame_flags[frame] & FRAME_CODE:
            code_unmark(m, frame)
            m.frame_flags[frame] &= ~FRAME_CODE & 0xFF
        cache.frame_heads[frame] = 0
    for i in range(HASH_SIZE):
        cache.hash_heads[i] = 0
    for i in range(JUMP_LINES):
        jump_at(cache.jumps, i).op = op_null()
    cache.op_count = 0
    cache.block_count = 1
    cache.flushes += 1
    return 0


@func
def scratch_from_buffer(c: Cpu) -> Op:
    """The instruction in the fetch buffer, for one run only. None: a fault is noted."""
    ops = c.mem.blocks.scratch
    if decode_run(c, ops, 0, c.eip, 1, 1) == 0:
        raise_error(c, VEC_GP, 0)  # runs over the end of the code segment
        return op_null()
    close_block(op_at(ops, 1), c.run_eip, H_LOOKUP)
    c.scratched = 1
    return op_at(ops, 0)


@func
def same_bytes(c: Cpu, b: Block) -> u32:
    """Is a straddling instruction still what was decoded? (Its bytes are in the fetch buffer.)"""
    if c.fetch_avail < b.length:
        return 0
    for i in range(b.length):
        if c.fetch_buf[i] != b.raw[i]:
            return 0
    return 1


@func
def cached_block(c: Cpu, pa: u32) -> Op:
    """The live block for c.eip at pa in this mode, or None."""
    cache = c.mem.blocks
    number = cache.hash_heads[block_hash(pa, c.mode)]
    while number != 0:
        b = block_at(cache.blocks, number)
        if b.pa == pa and b.live and b.eip == c.eip and b.mode == c.mode:
            c.straddles = b.straddles
            if b.straddles == 0:
                return b.first
            if window_buffer(c, c.eip, pa) < 0:
                return op_null()
            if c.fetch_outside:
                return scratch_from_buffer(c)
            if same_bytes(c, b):
                return b.first
            block_kill(c.mem, number)
            return op_null()
        number = b.hash_next
    return op_null()


@func
def file_block(c: Cpu, pa: u32, first: u32, count: u32, straddles: u32) -> Op:
    """Enter count decoded ops (and their closing op) into the cache."""
    m = c.mem
    cache = m.blocks
    number = cache.block_count
    cache.block_count += 1
    cache.op_count = first + count + 1
    cache.decoded += count
    b = block_at(cache.blocks, number)
    b.first = op_at(cache.ops, first)
    b.pa = pa
    b.eip = c.eip
    b.mode = c.mode
    b.length = c.run_length
    b.ops = count + 1
    b.straddles = straddles
    b.live = 1
    slot = block_hash(pa, c.mode)
    b.hash_next = cache.hash_heads[slot]
    cache.hash_heads[slot] = number
    if straddles:
        for i in range(b.length):
            b.raw[i] = c.fetch_buf[i]
        return b.first
    frame: u32 = pa >> 12
    b.frame_next = cache.frame_heads[frame]
    cache.frame_heads[frame] = number
    code_mark(m, pa, b.length)
    if m.frame_flags[frame] & FRAME_CODE == 0:
        m.frame_flags[frame] |= FRAME_CODE
        frame_alias_purge(m, frame)
    return b.first


@func
def make_block(c: Cpu, pa: u32) -> Op:
    """Decode the block at c.eip, physical address pa. None: a fault is noted."""
    cache = c.mem.blocks
    if cache.op_count + MAX_OPS + 2 > cache.op_max or cache.block_count + 1 > cache.block_max:
        forget_blocks(c.mem)
    first = cache.op_count
    window_page(c, pa)
    count = decode_run(c, cache.ops, first, c.eip, MAX_OPS, MAX_OPS)
    straddles: u32 = 0
    if count == 0:
        if window_buffer(c, c.eip, pa) < 0:
            return op_null()
        if c.fetch_outside:
            c.straddles = 1
            return scratch_from_buffer(c)
        straddles = 1
        count = decode_run(c, cache.ops, first, c.eip, 1, 1)
        if count == 0:
            raise_error(c, VEC_GP, 0)  # runs over the end of the code segment
            return op_null()
    c.straddles = straddles
    close_block(op_at(cache.ops, first + count), c.run_eip, H_FALLTHROUGH)
    return file_block(c, pa, first, count, straddles)


@func
def fetch_address(c: Cpu) -> i64:
    """The place of c.eip; -1: #GP(0) or #PF noted."""
    if c.eip > c.seg_limit[CS]:
        return raise_error(c, VEC_GP, 0)
    return translate(c, (c.eip + c.seg_base[CS]) & M32, fetch_access(c), 1)


@func
def scratch_block(c: Cpu, max_count: u32) -> Op:
    """Decode for one run only: at most max_count counted instructions, never filed."""
    place = fetch_address(c)
    if place < 0:
        return op_null()
    ops = c.mem.blocks.scratch
    limit: u32 = max_count if max_count < MAX_OPS else MAX_OPS
    max_ops: u32 = MAX_OPS
    count: u32 = 0
    if is_memory(place):
        window_page(c, place & M32)
        count = decode_run(c, ops, 0, c.eip, max_ops, limit)
    if count == 0:
        if window_buffer(c, c.eip, place) < 0:
            return op_null()
        return scratch_from_buffer(c)
    close_block(op_at(ops, count), c.run_eip, H_LOOKUP)
    c.scratched = 1
    return op_at(ops, 0)


@func
def link_branch(c: Cpu, op: Op, target: Op) -> i32:
    """Chain the direct branch `op` to the block it led to.

    An op that closes a block leads to its own EIP, which may lie in the page behind its block.
    """
    from_page: u32 = ((op.eip + c.seg_base[CS]) & M32) >> 12
    to_page: u32 = ((op.imm + c.seg_base[CS]) & M32) >> 12
    op.target_entry = 0
    if from_page != to_page or op.eip == op.imm:
        if c.tlb_x[to_page] == 0:
            return 0
        op.target_entry = based(c, c.tlb_x[to_page])
    op.target = target
    return 0


@func
def remember_jump(c: Cpu, target: Op) -> i32:
    """Let the jump cache find this block next time."""
    entry = c.tlb_x[((c.eip + c.seg_base[CS]) & M32) >> 12]
    if entry != 0:
        line = jump_at(c.mem.blocks.jumps, (c.eip ^ (c.eip >> 12)) & (JUMP_LINES - 1))
        line.eip = c.eip
        line.mode = c.mode
        line.entry = based(c, entry)
        line.op = target
    return 0


@func
def find_block(c: Cpu) -> Op:
    """The block at c.eip, from the cache or new. None: a fault is noted.

    Chains the branch that asked for it (c.link_op), unless the block straddles pages.
    """
    place = fetch_address(c)
    if place < 0:
        return op_null()
    if is_memory(place) == 0:
        return scratch_block(c, 1)
    at: u32 = place & M32
    flushes = c.mem.blocks.flushes
    op = cached_block(c, at)
    if is_null(op):
        op = make_block(c, at)
        if is_null(op):
            return op_null()
    if c.straddles == 0:
        remember_jump(c, op)
        if not is_null(c.link_op) and flushes == c.mem.blocks.flushes:
            link_branch(c, c.link_op, op)
    return op

"""Writes to memory that holds decoded code (SDM vol. 3, 11.6: self-modifying code).

A physical frame with decoded instructions carries FRAME_CODE and a bit per byte in code_bits.
No TLB lets a write to such a frame through on the fast path. The slow path looks at the bits:
data beside code costs only that look; a write to an instruction kills the blocks over it.

A killed block may be the one that runs right now. So killing overwrites the handler of *every*
op of the block with `stale`, which sends execution back to the block lookup: the very next
instruction is decoded afresh, as the Pentium does it, and no other op pays for a check.
"""

from __future__ import annotations

from bt.interp.dialect import (
    block_at,
    func,
    i32,
    is_null,
    op_shift,
    set_handler,
    u32,
    u64,
)
from bt.interp.state import FRAME_CODE, FRAME_TRACED, H_STALE, ST_LOOKUP, Cpu, Memory, Op

HASH_SIZE = 65536  # chains of blocks


@func
def stale(c: Cpu, op: Op) -> i32:
    """Handler of every op in a dead block: look the address up again."""
    c.eip = op.eip
    c.budget += op.left
    return ST_LOOKUP


@func
def frames_purge(m: Memory, first: u32, count: u32) -> i32:
    """Take the fast write path away from every linear alias of these frames."""
    low: u64 = m.host + (first << 12)
    size: u64 = count
    size = size << 12
    space = m.spaces
    while not is_null(space):
        for i in range(space.count):
            page = space.log[i]
            entry = space.w[page]
            if entry != 0 and ((entry + (page << 12) - low) & 0xFFFFFFFFFFFFFFFF) < size:
                space.w[page] = 0
        space = space.sibling
    return 0


@func
def frame_alias_purge(m: Memory, frame: u32) -> i32:
    """frames_purge() for one."""
    return frames_purge(m, frame, 1)


@func
def code_hit(m: Memory, pa: u32, size: u32) -> u32:
    """Does a write of size bytes (at most 4, in one page) touch a decoded byte?"""
    for i in range(size):
        at: u32 = pa + i
        if m.code_bits[at >> 3] & (1 << (at & 7)):
            return 1
    return 0


@func
def trace_hit(m: Memory, pa: u32, size: u32) -> u32:
    """Does a write of size bytes touch a traced byte?"""
    for i in range(size):
        at: u32 = pa + i
        if m.traced_bits[at >> 3] & (1 << (at & 7)):
            return 1
    return 0


@func
def block_hash(pa: u32, mode: u64) -> u32:
    """Which hash chain a block is in."""
    return (pa ^ (pa >> 13) ^ (mode & 1) << 7) & (HASH_SIZE - 1)


@func
def hash_unlink(m: Memory, number: u32) -> i32:
    """Take a block out of its hash chain: code that rewrites itself must not leave a long one."""
    cache = m.blocks
    gone = block_at(cache.blocks, number)
    slot = block_hash(gone.pa, gone.mode)
    at = cache.hash_heads[slot]
    if at == number:
        cache.hash_heads[slot] = gone.hash_next
        return 0
    while at != 0:
        b = block_at(cache.blocks, at)
        if b.hash_next == number:
            b.hash_next = gone.hash_next
            return 0
        at = b.hash_next
    return 0


@func
def block_kill(m: Memory, number: u32) -> i32:
    """Make a block dead: every op of it goes back to the lookup, which does not find it."""
    b = block_at(m.blocks.blocks, number)
    b.live = 0
    hash_unlink(m, number)
    op = b.first
    for i in range(b.ops):
        set_handler(op_shift(op, i), H_STALE)
    return 0


@func
def code_mark(m: Memory, pa: u32, length: u32) -> i32:
    """Note that length bytes at pa (in one page) are decoded."""
    for i in range(length):
        at: u32 = pa + i
        m.code_bits[at >> 3] |= 1 << (at & 7)
    return 0


@func
def code_unmark(m: Memory, frame: u32) -> i32:
    """Forget which bytes of a frame are decoded."""
    for i in range(512):
        m.code_bits[(frame << 9) + i] = 0
    return 0


@func
def code_written(m: Memory, pa: u32, size: u32) -> i32:
    """A write touched decoded bytes: kill the blocks over them, mark anew what still lives."""
    frame: u32 = pa >> 12
    number = m.blocks.frame_heads[frame]
    m.blocks.frame_heads[frame] = 0
    code_unmark(m, frame)
    while number != 0:
        b = block_at(m.blocks.blocks, number)
        follow = b.frame_next
        if b.pa < pa + size and pa < b.pa + b.length:
            block_kill(m, number)
            m.blocks.invalidated += 1
        else:
            code_mark(m, b.pa, b.length)
            b.frame_next = m.blocks.frame_heads[frame]
            m.blocks.frame_heads[frame] = number
        number = follow
    if m.blocks.frame_heads[frame] == 0:
        m.frame_flags[frame] &= ~FRAME_CODE & 0xFF
    return 0


@func
def frame_watched(m: Memory, frame: u32) -> u32:
    for i in range(512):
        if m.traced_bits[(frame << 9) + i]:
            return 1
    return 0


@func
def watch_bytes(m: Memory, pa: u32, size: u32, on: u32) -> i32:
    """Trace writes to size bytes at pa (in one page), or stop tracing them."""
    frame: u32 = pa >> 12
    for i in range(size):
        at: u32 = pa + i
        if on:
            m.traced_bits[at >> 3] |= 1 << (at & 7)
        else:
            m.traced_bits[at >> 3] &= ~(1 << (at & 7)) & 0xFF
    if on and m.frame_flags[frame] & FRAME_TRACED == 0:
        m.frame_flags[frame] |= FRAME_TRACED
        frame_alias_purge(m, frame)
    if not on and frame_watched(m, frame) == 0:
        m.frame_flags[frame] &= ~FRAME_TRACED & 0xFF
    return 0

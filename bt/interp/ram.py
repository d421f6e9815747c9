"""Guest RAM and address spaces, as Python sees them.

    ram = Ram(bytearray(1 << 20), 1 << 20)
    space = AddressSpace(ram)                    # what ring 0 or ring 3 of a processor can reach

What is known about RAM's frames, decoded blocks above all, belongs to `Ram` and is shared by all
processors over it.
"""

from __future__ import annotations

from typing import Any

from bt.interp.blocks import MAX_OPS, forget_blocks
from bt.interp.control import JUMP_LINES
from bt.interp.dialect import (
    M32,
    alloc8,
    alloc32,
    alloc64,
    host_base,
    i32,
    inline,
    keep,
    new_arena,
    state,
    u64,
)
from bt.interp.paging import flush_space
from bt.interp.physical import WRITE_LOG_RANGES, change_flags, change_map
from bt.interp.pure import (
    alloc_blocks,
    alloc_jumps,
    alloc_ops,
    new_blocks,
    new_memory,
    new_space,
)
from bt.interp.smc import HASH_SIZE, code_hit, code_written, frames_purge, watch_bytes
from bt.interp.state import (
    FRAME_AUDIT,
    FRAME_CLEAN,
    FRAME_CODE,
    FRAME_RAM,
    MAP_MEMORY,
    OUTSIDE,
    Memory,
    Space,
)


@state
class Ram:
    """Guest RAM, and what is known about its frames. Owned by the machine, shared by processors."""

    memory: Memory
    buffer: Any
    arena: Any  # frees what the processors over this RAM allocated, when the last of them is gone
    file: i32  # descriptor of the file that `buffer` maps, for an engine to map; -1: there is none
    file_offset: u64  # of physical address 0 in it

    def __init__(
        self,
        buffer: Any,
        size: int,
        ops: int = 1 << 20,
        file: int = -1,
        file_offset: int = 0,
    ) -> None:
        """`buffer`: writable bytes-like, page aligned in length; `size`: bytes of it that are RAM.

        `ops` bounds the cache of decoded instructions (64 to 96 bytes each). `file` is closed by
        whoever has opened it, when no engine over this RAM is left.
        """
        self.file = file
        self.file_offset = file_offset
        if ops < 8 * MAX_OPS:
            raise ValueError(f"ops={ops}: at least {8 * MAX_OPS}")
        self.buffer = memoryview(buffer).cast("B")
        self.arena = new_arena()
        m = new_memory()
        m.host = host_base(self.buffer)
        m.size = size
        m.frame_map = alloc32(1 << 20)
        m.frame_flags = alloc8(1 << 20)
        m.code_bits = alloc8(size >> 3)
        m.traced_bits = alloc8(size >> 3)
        m.no_entries = alloc64(1 << 20)
        m.blocks = new_blocks()
        cache = m.blocks
        cache.ops = alloc_ops(ops)
        cache.op_max = ops
        cache.blocks = alloc_blocks(ops >> 2)
        cache.block_max = ops >> 2
        cache.block_count = 1
        cache.hash_heads = alloc32(HASH_SIZE)
        cache.frame_heads = alloc32(1 << 20)
        cache.jumps = alloc_jumps(JUMP_LINES)
        cache.scratch = alloc_ops(80)
        self.memory = m
        keep(self.arena, m)
        keep(self.arena, m.frame_map)
        keep(self.arena, m.frame_flags)
        keep(self.arena, m.code_bits)
        keep(self.arena, m.traced_bits)
        keep(self.arena, m.no_entries)
        keep(self.arena, cache)
        keep(self.arena, cache.ops)
        keep(self.arena, cache.blocks)
        keep(self.arena, cache.hash_heads)
        keep(self.arena, cache.frame_heads)
        keep(self.arena, cache.jumps)
        keep(self.arena, cache.scratch)
        self.set_frames(0, size >> 12, FRAME_RAM)

    def set_frames(self, first: int, count: int, flags: int) -> None:
        """Say what frames of memory are: FRAME_RAM, which the guest has at the same physical
        address, FRAME_MONITOR, or 0: none, the bus shall be asked there."""
        change_flags(self.memory, first, count, 0xFF, flags)
        self.map_frames(first, count, first, MAP_MEMORY if flags & FRAME_RAM else 0)

    def map_frames(self, first: int, count: int, place: int, bits: int) -> None:
        """What these frames of physical addresses lead to: MAP_*, and with MAP_MEMORY to the frames
        of memory from number `place` on.

        Who calls this flushes the TLBs.
        """
        change_map(self.memory, first, count, place, bits)

    def map_at(self, frame: int) -> int:
        """What was said last of a frame of physical addresses: its place << 12 | MAP_*."""
        return self.memory.frame_map[frame]

    def bus_is_open(self, below: int = 0) -> None:
        """Nobody answers where there is neither MAP_MEMORY nor MAP_DEVICE.

        Until this is said, the bus is asked about everything that is not memory. `below` leads from
        the place or address of something that hides RAM to that RAM (FRAME_BELOW, MAP_BELOW).
        """
        self.memory.open_bus = 1
        self.memory.below = below & M32

    def set_flags(self, first: int, count: int, flags: int, on: bool) -> None:
        """Set or clear FRAME_ROM, FRAME_BELOW or FRAME_CLEAN of frames of memory, by place.

        Whoever sets one flushes the TLBs.
        """
        change_flags(self.memory, first, count, flags, flags if on else 0)

    def written_frames(self, first: int, count: int) -> list[int]:
        """Which of these frames of memory were written since this was asked last, or since they
        were made FRAME_CLEAN; they are clean again."""
        flags = self.memory.frame_flags
        found = []
        for frame in range(first, first + count):
            if flags[frame] & FRAME_CLEAN == 0:
                flags[frame] |= FRAME_CLEAN
                found.append(frame)
        if found:
            frames_purge(self.memory, found[0], found[len(found) - 1] - found[0] + 1)
        return found

    def written(self, pa: int, size: int) -> None:
        """RAM was changed behind the processors' back: drop blocks over those bytes."""
        m = self.memory
        end = pa + size
        while pa < end:
            stop = min(end, (pa | 0xFFF) + 1)
            if m.frame_flags[pa >> 12] & FRAME_CODE:  # seldom: mostly it is a device's buffer
                for at in range(pa, stop, 4):
                    if code_hit(m, at, 4 if at + 4 <= stop else stop - at):
                        code_written(m, at, 4)
            pa = stop

    def trace_writes(self, pa: int, size: int, on: bool) -> None:
        """Trace writes to these bytes (in one page), or stop tracing them."""
        watch_bytes(self.memory, pa, size, 1 if on else 0)

    def is_traced(self, pa: int) -> bool:
        """Are writes to this byte of RAM traced?"""
        return self.memory.traced_bits[pa >> 3] & (1 << (pa & 7)) != 0

    def forget_blocks(self) -> None:
        """Drop every decoded block."""
        forget_blocks(self.memory)

    def is_ram(self, pa: int) -> bool:
        """Is there memory of the guest's at this place?"""
        return 0 <= pa < OUTSIDE and self.memory.frame_flags[pa >> 12] & FRAME_RAM != 0

    def bytes_at(self, pa: int, size: int) -> bytes:
        return bytes(self.buffer[pa : pa + size])

    def audit(self, frame: int, on: bool) -> None:
        """External processors stop before critical instructions in this frame."""
        if on:
            self.memory.frame_flags[frame] |= FRAME_AUDIT
        else:
            self.memory.frame_flags[frame] &= ~FRAME_AUDIT & 0xFF

    def take_write_log(self) -> list[tuple[int, int]] | None:
        """Where traced bytes were written since last time: (physical address, bytes).

        None: in too many places to tell.
        """
        m = self.memory
        count = m.write_log_count
        m.write_log_count = 0
        if count > WRITE_LOG_RANGES:
            return None
        first, ends = m.write_log_from, m.write_log_to
        return [(first[i], ends[i] - first[i]) for i in range(count)]

    def record(self, room: int) -> None:
        """Note each guest instruction that a processor begins, at most `room` at a time; 0: stop.

        Once for a Ram: the room stays what it was first.
        """
        m = self.memory
        if room and not m.record_room:
            m.record_places = alloc64(room)
            keep(self.arena, m.record_places)
            m.record_roots = alloc64(room)
            keep(self.arena, m.record_roots)
            m.record_code = alloc64(2 * room)
            keep(self.arena, m.record_code)
            m.record_counts = alloc64(room)
            keep(self.arena, m.record_counts)
            m.record_room = room
        m.recording = 1 if room else 0
        m.record_used = 0
        forget_blocks(m)

    def take_record(self) -> list[tuple[int, int, int, int, int]]:
        """What was noted since last time, in order.

        TRACE_* words of place and root, the count, and the bytes: eight, and eight more.
        """
        m = self.memory
        found = []
        for i in range(m.record_used):
            low = m.record_code[2 * i]
            high = m.record_code[2 * i + 1]
            found.append((m.record_places[i], m.record_roots[i], m.record_counts[i], low, high))
        m.record_used = 0
        return found

    def record_lost(self) -> int:
        """Instructions that found no room."""
        return self.memory.record_lost

    def statistics(self) -> dict[str, int]:
        cache = self.memory.blocks
        return {
            "decoded": cache.decoded,
            "invalidated": cache.invalidated,
            "flushes": cache.flushes,
            "ops": cache.op_count,
            "blocks": cache.block_count - 1,
        }


@state
class AddressSpace:
    """What ring 3 or ring 0 of a processor can reach: pages mapped to frames (engine contract)."""

    space: Space
    ram: Any

    def __init__(self, ram: Ram) -> None:
        self.ram = ram
        s = new_space()
        s.r = alloc64(1 << 20)
        s.w = alloc64(1 << 20)
        s.x = alloc64(1 << 20)
        s.held = alloc64(1 << 20)
        s.perm = alloc8(1 << 20)
        s.log = alloc32(1 << 20)
        m = ram.memory
        s.sibling = m.spaces
        m.spaces = s
        self.space = s
        keep(ram.arena, s)
        keep(ram.arena, s.r)
        keep(ram.arena, s.w)
        keep(ram.arena, s.x)
        keep(ram.arena, s.held)
        keep(ram.arena, s.perm)
        keep(ram.arena, s.log)

    def flush(self, keep_global: bool = False) -> None:
        """Unmap everything, or all but global pages."""
        flush_space(self.space, 1 if keep_global else 0)


@inline
def space_of(a: AddressSpace) -> Space:
    return a.space

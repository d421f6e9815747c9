"""Physical memory: what a physical address leads to, and how bytes get there and back.

A *physical address* is what the processor puts on its bus, 32 bits, behind the A20 gate. What
answers there is the board's business: `Memory.frame_map` has a word for each frame, which says
memory and where its bytes lie, or devices, or neither, the open bus (Ram.map_frames).

A *place* is what that comes to: an offset in the one array that all memory of a machine lies in, or
OUTSIDE with the physical address. What is known of a frame's bytes (decoded, traced, read-only)
goes by its place, so it holds wherever on the bus the frame appears, and however often.

    physical 000F0000  ->  place 0000F0000        ROM, read-only there (FRAME_ROM)
    physical FFFF0000  ->  place 0000F0000        the same bytes, below 4 GiB
    physical E0000000  ->  place 008040000        a frame buffer, behind RAM
    physical FEC00000  ->  place 1FEC00000        a device's registers: bit 32 is OUTSIDE

Page tables of PAE and PSE-36 have addresses of 36 bits. Beyond 4 GiB this board has nothing: those
are NOWHERE, open bus that no device is asked about.

An access to a device is like one to a port: the device may ask what time it is, and the processor
leaves right behind the instruction if it wants that. In the middle of a block neither would work,
as the block is paid for as a whole. So there the access does not happen: the instruction ends as if
it faulted (`meets_device`), and the run loop has it run alone (loop.py). Everything an instruction
does before its last access can be done twice, or no page fault could restart it.

What a processor reads for itself, code and page tables, reaches devices too, but how often it does
is nobody's business: such an access takes no time and is not counted (`for_itself`).
"""

from __future__ import annotations

from bt.interp.dialect import (
    M32,
    M64,
    call_read_memory,
    call_write_memory,
    func,
    i32,
    i64,
    inline,
    ld8,
    ld16,
    ld32,
    st8,
    st16,
    st32,
    u32,
    u64,
)
from bt.interp.smc import code_hit, code_written, trace_hit
from bt.interp.state import (
    FRAME_BELOW,
    FRAME_CLEAN,
    FRAME_CODE,
    FRAME_ROM,
    FRAME_TRACED,
    MAP_BELOW,
    MAP_DEVICE,
    MAP_MEMORY,
    NOWHERE,
    OUTSIDE,
    RUN_ALONE,
    RUN_BLOCK,
    VEC_PF,
    Cpu,
    Memory,
)

WRITE_LOG_RANGES = 64  # of traced bytes written that are told one by one
WRITE_LOG_GAP = 256  # bytes between two writes that are told as one range
MANY_CALLBACKS = 4096
TRACED_ERROR = 7  # of the page fault for a traced write: present, write, user


@inline
def on_board(c: Cpu, pa: u32) -> u64:
    """The place that a physical address leads to; the A20 gate has its say."""
    at: u32 = pa & c.a20_mask
    entry: u32 = c.mem.frame_map[at >> 12]
    place: u64 = at
    if entry & MAP_MEMORY:
        place = (entry & 0xFFFFF000) | (at & 0xFFF)
    else:
        place |= OUTSIDE
    return place


@inline
def place_of(c: Cpu, pa: u64) -> u64:
    """The same for an address of 36 bits, as a page-table entry may have it."""
    if pa > M32:
        return NOWHERE | (pa & M32)
    return on_board(c, pa & M32)


@inline
def is_memory(place: u64) -> u32:
    """Are there bytes, or is it up to the bus?"""
    return 1 if place < OUTSIDE else 0


@inline
def nobody_answers(c: Cpu, pa: u32) -> u32:
    """Open bus: reads find all ones, as the pull-ups leave the data lines, and writes vanish."""
    return 1 if c.mem.open_bus and c.mem.frame_map[pa >> 12] & MAP_DEVICE == 0 else 0


@func
def change_map(m: Memory, first: u32, count: u32, place: u32, bits: u32) -> i32:
    """From frame `first` on there are the frames of memory from `place` on, or what `bits` say."""
    for i in range(count):
        entry: u32 = bits
        if bits & MAP_MEMORY:
            entry |= ((place + i) << 12) & M32
        m.frame_map[first + i] = entry
    return 0


@func
def change_flags(m: Memory, first: u32, count: u32, mask: u32, flags: u32) -> i32:
    """Of the frames of memory from `first` on, the flags in `mask`."""
    for i in range(count):
        m.frame_flags[first + i] = (m.frame_flags[first + i] & ~mask & 0xFF) | flags
    return 0


@func
def must_be_alone(c: Cpu, place: u64) -> u32:
    """Would this access, outside of memory, find a device in a block? Then it is noted."""
    if c.running != RUN_BLOCK or place >= NOWHERE or nobody_answers(c, place & M32):
        return 0
    c.meets_device = 1
    return 1


@func
def before_device(c: Cpu) -> i32:
    """The bus will be asked: note the count, and let run() come back after many times.

    Device memory is a thousand times slower than RAM.
    """
    if c.running != RUN_ALONE:
        c.io_icount = (c.icount_end - c.budget) & M64
        c.io_left = 0
        c.io_begun = 0
    c.callbacks += 1
    if c.callbacks >= MANY_CALLBACKS:
        c.callbacks = 0
        c.recheck = 1
    return 0


@func
def read_bus(c: Cpu, pa: u32, size: u32) -> u32:
    """Read where there is no memory: a device, or the open bus."""
    if nobody_answers(c, pa):
        return M32 >> (32 - 8 * size)
    before_device(c)
    value: u32 = call_read_memory(c, pa, size) & M32
    return value


@inline
def load_ram(c: Cpu, place: u64, size: u32) -> u32:
    host: u64 = c.mem.host + place
    if size == 4:
        return ld32(c, host)
    if size == 2:
        return ld16(c, host)
    return ld8(c, host)


@func
def read_place(c: Cpu, place: u64, size: u32) -> u32:
    """Read 1, 2 or 4 bytes (in one page)."""
    if is_memory(place):
        return load_ram(c, place, size)
    if place >= NOWHERE:
        return M32 >> (32 - 8 * size)
    return read_bus(c, place & M32, size)


@func
def store_ram(c: Cpu, place: u64, size: u32, value: u32) -> i32:
    host: u64 = c.mem.host + place
    if size == 4:
        st32(c, host, value)
    elif size == 2:
        st16(c, host, value)
    else:
        st8(c, host, value)
    return 0


@func
def note_traced(c: Cpu, pa: u32, size: u32) -> i32:
    """A processor that has no monitor over it wrote traced bytes: put them in the log.

    A write not far above the last one extends its range: a string instruction makes one.
    """
    m = c.mem
    count = m.write_log_count
    if count != 0 and count <= WRITE_LOG_RANGES:
        last: u32 = count - 1
        if m.write_log_from[last] <= pa and pa <= m.write_log_to[last] + WRITE_LOG_GAP:
            if pa + size > m.write_log_to[last]:
                m.write_log_to[last] = pa + size
            return 0
    if count < WRITE_LOG_RANGES:
        m.write_log_from[count] = pa
        m.write_log_to[count] = pa + size
    m.write_log_count = count + 1
    return 0


@func
def written_place(c: Cpu, place: u64) -> u64:
    """Where a write to a place goes: mostly there, but for RAM that ROM or the bus hides.

    A chipset lets a BIOS copy itself into shadow RAM that way: reads find the ROM, writes the RAM
    below it.
    """
    if is_memory(place):
        if c.mem.frame_flags[place >> 12] & FRAME_BELOW:
            return place + c.mem.below
        return place
    if place >= NOWHERE:
        return place
    if c.mem.frame_map[(place & M32) >> 12] & MAP_BELOW:
        return (place & M32) + c.mem.below
    return place


@func
def refuse_traced(c: Cpu, place: u64, size: u32) -> i64:
    """-1: a write (in one page) that touches traced bytes, which is the monitor's to make."""
    if c.external == 0:
        return 0
    place = written_place(c, place)
    if is_memory(place) == 0 or c.mem.frame_flags[place >> 12] & FRAME_TRACED == 0:
        return 0
    at: u32 = place & M32
    if trace_hit(c.mem, at, size) == 0:
        return 0
    c.fault_vector = VEC_PF
    c.fault_error = TRACED_ERROR
    c.traced = 1
    c.fault_has_error = 1
    c.exit_arg = at
    return -1


@func
def write_place(c: Cpu, place: u64, size: u32, value: u32) -> i64:
    """Write 1, 2 or 4 bytes (in one page). -1: traced, leave it to the monitor."""
    place = written_place(c, place)
    if is_memory(place) == 0:
        outside: u32 = place & M32
        if place >= NOWHERE:
            return 0
        if nobody_answers(c, outside) == 0:
            before_device(c)
            call_write_memory(c, outside, size, value)
        return 0
    at: u32 = place & M32
    flags: u32 = c.mem.frame_flags[at >> 12]
    if flags & FRAME_ROM:
        return 0
    if flags & FRAME_TRACED and trace_hit(c.mem, at, size):
        if refuse_traced(c, place, size) < 0:
            return -1
        note_traced(c, at, size)
    store_ram(c, place, size, value)
    if flags & FRAME_CLEAN:
        c.mem.frame_flags[at >> 12] &= ~FRAME_CLEAN & 0xFF
    if flags & FRAME_CODE and code_hit(c.mem, at, size):
        code_written(c.mem, at, size)
    return 0


@func
def phys_read(c: Cpu, pa: u32, size: u32) -> u32:
    """What the processor itself reads at a physical address: an entry of a page table.

    0 in the middle of a block, if that is a device's: the instruction has to be run alone.
    """
    place = on_board(c, pa)
    if is_memory(place):
        return load_ram(c, place, size)
    if must_be_alone(c, place):
        return 0
    c.for_itself = 1
    value: u32 = read_bus(c, place & M32, size)
    c.for_itself = 0
    return value


@func
def phys_write(c: Cpu, pa: u32, size: u32, value: u32) -> i64:
    """What it writes there: accessed and dirty bits, in an entry that it has just read."""
    c.for_itself = 1
    status: i64 = write_place(c, on_board(c, pa), size, value)
    c.for_itself = 0
    return status

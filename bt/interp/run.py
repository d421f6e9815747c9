"""The run loop, and the processor as Python sees it (`Interp`).

    ram = Ram(bytearray(1 << 20))
    cpu = Interp(ram, bus)
    cpu.set_reg(EAX, 1); cpu.eip = 0x1000; ...
    reason = cpu.run(1_000_000)          # an EXIT_* of state.py

Order of events between two instructions is that of SDM vol. 3, table 6-2: traps of the previous
instruction (single step, data breakpoints), then interrupts, then code breakpoints and faults of
the next one.
"""

from __future__ import annotations

from typing import Any

from bt.interp.blocks import MAX_OPS, find_block, forget_blocks, scratch_block
from bt.interp.control import JUMP_LINES
from bt.interp.debug_regs import ARMED_CODE
from bt.interp.decode import SH_MODRM, decode, op_ends, op_shape
from bt.interp.dialect import (
    M32,
    M64,
    alloc8,
    alloc32,
    alloc64,
    func,
    host_base,
    i32,
    inline,
    is_null,
    keep,
    new_arena,
    nogil,
    op_at,
    shape_table,
    state,
    u32,
    u64,
)
from bt.interp.flags import get_eflags, set_eflags
from bt.interp.gates import deliver, raise_exception
from bt.interp.memory import ea, raise_plain, read_linear
from bt.interp.paging import (
    PTE_A,
    PTE_G,
    PTE_P,
    PTE_PS,
    PTE_U,
    PTE_W,
    WATCH_RANGES,
    drop_frame,
    drop_page,
    fill,
    flush_page,
    flush_space,
    flush_tlb,
    invalidate_page,
    phys_read,
    phys_write,
    walk,
)
from bt.interp.pure import (
    alloc_blocks,
    alloc_jumps,
    alloc_ops,
    new_blocks,
    new_memory,
    new_space,
    op_null,
    start,
)
from bt.interp.segments import segment_changed, set_cpl
from bt.interp.smc import HASH_SIZE, code_hit, code_written, watch_bytes
from bt.interp.state import (
    ACC_READ,
    ACC_USER,
    ACC_WRITE,
    ATTR_ACCESSED,
    ATTR_CODE,
    ATTR_P,
    ATTR_RW,
    ATTR_S,
    ATTR_UNUSABLE,
    CR0_CD,
    CR0_ET,
    CR0_NW,
    CR0_PG,
    CR4_PGE,
    CR4_PSE,
    CS,
    EDX,
    EXIT_BREAKPOINT,
    EXIT_BUDGET,
    EXIT_EXCEPTION,
    EXIT_HALT,
    EXIT_INTERRUPT,
    EXIT_IO,
    EXIT_NONE,
    FRAME_AUDIT,
    FRAME_MONITOR,
    FRAME_RAM,
    H_FIRST,
    IF,
    LDTR,
    NEWS_FLUSH_ALL,
    NEWS_FLUSH_LOCAL,
    NEWS_FLUSH_PAGE,
    NEWS_WATCHED,
    PERM_PRESENT,
    RF,
    SS,
    ST_EXIT,
    ST_FAULT,
    ST_LOOKUP,
    TF,
    TR,
    VEC_DB,
    Cpu,
    Memory,
    Space,
)
from bt.interp.transfer import (
    enter_ring3,
    fill_vcpu_page,
    flat_code,
    leave_ring3,
    posture,
    take_virtual_if,
    vcpu_segment,
)

DR6_BS = 0x4000


@func
def icount_now(c: Cpu) -> u64:
    """Instructions completed so far (between instructions)."""
    return (c.icount_end - c.budget) & M64


@func
def settle_fault(c: Cpu) -> i32:
    """An instruction faulted: vector to the guest's handler, or leave for the monitor."""
    if c.external:
        c.exit_reason = EXIT_EXCEPTION
        return EXIT_EXCEPTION
    if raise_exception(c) < 0:
        return c.exit_reason
    return EXIT_NONE


@func
def code_breakpoint(c: Cpu) -> u32:
    """DR6 bits of the armed execution breakpoints at c.eip."""
    hits: u32 = 0
    la: u32 = (c.eip + c.seg_base[CS]) & M32
    for i in range(4):
        if c.dr[7] & (3 << (2 * i)) and (c.dr[7] >> (16 + 4 * i)) & 3 == 0 and c.dr[i] == la:
            hits |= 1 << i
    return hits


@func
def debug_trap(c: Cpu, bits: u32) -> i32:
    """#DB between instructions; bits go to DR6."""
    c.dr[6] |= bits
    raise_plain(c, VEC_DB)
    return settle_fault(c)


@func
def step_interrupted(c: Cpu, status: i32, held: u32, resume: u32) -> i32:
    """The watched instruction has not completed: it faulted, or REP has iterations left.

    A trap between two iterations returns with RF set (SDM vol. 3, 17.3.1.1).
    """
    if status == ST_FAULT:
        c.singlestep = 0
        reason = settle_fault(c)
        return debug_trap(c, held) if held and reason == EXIT_NONE else reason
    bits: u32 = c.dr_hits | held
    if c.singlestep:
        bits |= DR6_BS
    c.singlestep = 0
    c.eflags |= RF if bits else resume
    return debug_trap(c, bits) if bits else EXIT_NONE


@func
def step_watched(c: Cpu) -> i32:
    """One instruction with everything looked at: TF, debug registers, interrupt shadow."""
    if c.dr_armed & ARMED_CODE and c.eflags & RF == 0 and c.ss_loaded_at != icount_now(c):
        hits = code_breakpoint(c)
        if hits:
            c.dr[6] |= hits
            raise_plain(c, VEC_DB)
            return settle_fault(c)
    c.singlestep = 1 if c.eflags & TF else 0
    c.dr_hits = 0
    held = c.dr_held
    c.dr_held = 0
    op = scratch_block(c, 1)
    c.passing = 0
    if is_null(op):
        return step_interrupted(c, ST_FAULT, held, 0)
    resume: u32 = c.eflags & RF
    c.eflags &= ~RF & M32  # for this instruction; IRET and task switches may set it anew
    count = icount_now(c)
    rest = c.budget - op.left  # kept aside: a branch must not run on into a block it finds
    c.icount_end -= rest
    c.budget = 0
    status = start(c, op)
    c.budget += rest
    c.icount_end += rest
    unfinished: u32 = 1 if status == ST_LOOKUP and icount_now(c) == count else 0
    if status == ST_FAULT or unfinished:
        return step_interrupted(c, status, held, resume)
    if status == ST_EXIT and c.exit_reason != EXIT_IO and c.exit_reason != EXIT_HALT:
        c.eflags |= resume
        c.dr_held = held
        return c.exit_reason
    bits: u32 = c.dr_hits
    if c.ss_loaded_at == icount_now(c):
        c.dr_held = bits
        bits = 0
    bits |= held
    if c.singlestep:
        bits |= DR6_BS
    c.singlestep = 0
    if status == ST_EXIT and c.exit_reason == EXIT_HALT and not bits:
        return EXIT_HALT
    if bits:
        return debug_trap(c, bits)
    return EXIT_NONE


@func
def run_block(c: Cpu) -> i32:
    """From c.eip on, until something needs the loop."""
    op = find_block(c)
    c.link_op = op_null()
    if is_null(op):
        return settle_fault(c)
    if c.budget < op.need:
        op = scratch_block(c, 1)  # one by one to the end, so that each sees what the last wrote
        if is_null(op):
            return settle_fault(c)
    c.budget -= op.left
    status = start(c, op)
    if status == ST_LOOKUP:
        return EXIT_NONE
    c.link_op = op_null()
    if status == ST_FAULT:
        return settle_fault(c)
    if status == ST_EXIT:
        return c.exit_reason
    return EXIT_NONE  # ST_BUDGET: the loop decides


@func
def run_loop(c: Cpu) -> i32:
    """Run until an exit; the reason is also in c.exit_reason."""
    reason: i32 = EXIT_NONE
    c.link_op = op_null()
    while reason == EXIT_NONE:
        if c.recheck:
            reason = EXIT_IO
        elif c.budget <= 0:
            reason = EXIT_BUDGET
        elif c.intr and c.eflags & IF and c.shadow_at != icount_now(c):
            reason = EXIT_INTERRUPT
        elif c.eflags & (TF | RF) or c.dr_armed or c.passing or (c.intr and c.eflags & IF):
            c.link_op = op_null()
            reason = step_watched(c)
        else:
            reason = run_block(c)
    c.exit_reason = reason
    return reason


@state
class Ram:
    """Guest RAM, and what is known about its frames. Owned by the machine, shared by processors."""

    memory: Memory
    buffer: Any
    arena: Any  # frees what the processors over this RAM allocated, when the last of them is gone

    def __init__(self, buffer: Any, size: int, ops: int = 1 << 20) -> None:
        """`buffer`: writable bytes-like, page aligned in length; `size`: bytes of it that are RAM.

        `ops` bounds the cache of decoded instructions (64 to 96 bytes each).
        """
        if ops < 8 * MAX_OPS:
            raise ValueError(f"ops={ops}: at least {8 * MAX_OPS}")
        self.buffer = memoryview(buffer).cast("B")
        self.arena = new_arena()
        m = new_memory()
        m.host = host_base(self.buffer)
        m.size = size
        m.frame_flags = alloc8(1 << 20)
        m.code_bits = alloc8(size >> 3)
        m.watch_bits = alloc8(size >> 3)
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
        keep(self.arena, m.frame_flags)
        keep(self.arena, m.code_bits)
        keep(self.arena, m.watch_bits)
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
        """Say what frames are: FRAME_RAM, FRAME_MONITOR, or 0 for what the bus answers."""
        for frame in range(first, first + count):
            self.memory.frame_flags[frame] = flags

    def written(self, pa: int, size: int) -> None:
        """The embedder changed RAM behind the processors' back: drop blocks over those bytes."""
        m = self.memory
        for at in range(pa, pa + size, 4):
            if code_hit(m, at, 4 if at + 4 <= pa + size else pa + size - at):
                code_written(m, at, 4)

    def watch(self, pa: int, size: int, on: bool) -> None:
        """Trace writes to these bytes (in one page), or stop tracing them."""
        watch_bytes(self.memory, pa, size, 1 if on else 0)

    def is_watched(self, pa: int) -> bool:
        """Are writes to this byte of RAM traced?"""
        return self.memory.watch_bits[pa >> 3] & (1 << (pa & 7)) != 0

    def forget_blocks(self) -> None:
        """Drop every decoded block."""
        forget_blocks(self.memory)

    def is_ram(self, pa: int) -> bool:
        """Is there guest RAM at this physical address?"""
        return pa < 0x100000000 and self.memory.frame_flags[pa >> 12] & FRAME_RAM != 0

    def bytes_at(self, pa: int, size: int) -> bytes:
        return bytes(self.buffer[pa : pa + size])

    def audit(self, frame: int, on: bool) -> None:
        """External processors stop before critical instructions in this frame."""
        if on:
            self.memory.frame_flags[frame] |= FRAME_AUDIT
        else:
            self.memory.frame_flags[frame] &= ~FRAME_AUDIT & 0xFF

    def take_watch_log(self) -> list[tuple[int, int]] | None:
        """Where traced bytes were written since last time: (physical address, bytes).

        None: in too many places to tell.
        """
        m = self.memory
        count = m.watch_count
        m.watch_count = 0
        if count > WATCH_RANGES:
            return None
        return [(m.watch_from[i], m.watch_to[i] - m.watch_from[i]) for i in range(count)]

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
        keep(ram.arena, s.perm)
        keep(ram.arena, s.log)

    def flush(self, keep_global: bool = False) -> None:
        """Unmap everything, or all but global pages."""
        flush_space(self.space, 1 if keep_global else 0)


@inline
def _space_of(a: AddressSpace) -> Space:
    return a.space


@state
class Interp(Cpu):
    """A Pentium Pro class processor over some Ram.

    `bus` answers read_port(port, size), write_port(port, size, value), read_memory(address, size)
    and write_memory(address, size, value). An `external` processor serves a monitor: it stays in
    ring 3, translates only what was mapped into its address space, and every exception leaves
    run().
    """

    owner: Any
    user: Any  # AddressSpace objects behind user_space and sup_space
    sup: Any

    def __init__(self, ram: Ram, bus: Any = None, external: bool = False) -> None:
        self.owner = ram
        self.ram = ram.buffer
        self.mem = ram.memory
        self.bus = bus
        self.external = 1 if external else 0
        self.a20_mask = M32
        self.user = AddressSpace(ram)
        self.sup = AddressSpace(ram)
        self.user_space = _space_of(self.user)
        self.sup_space = _space_of(self.sup)
        self.reset()

    def reset(self) -> None:
        """The state after RESET# (SDM vol. 3, table 9-1)."""
        for i in range(9):
            self.regs[i] = 0
        self.regs[EDX] = 0x619
        for i in range(8):
            self.seg_sel[i] = 0
            self.seg_base[i] = 0
            self.seg_limit[i] = 0xFFFF
            self.seg_attr[i] = ATTR_P | ATTR_S | ATTR_RW | ATTR_ACCESSED
            self.dr[i] = 0
        self.seg_sel[CS] = 0xF000
        self.seg_base[CS] = 0xFFFF0000
        self.seg_attr[CS] |= ATTR_CODE
        self.seg_attr[LDTR] = ATTR_P | 2
        self.seg_attr[TR] = ATTR_P | 0xB
        self.dr[6] = 0xFFFF0FF0
        self.dr[7] = 0x400
        self.dr_armed = 0
        self.eip = 0xFFF0
        self.cr0 = CR0_CD | CR0_NW | CR0_ET
        self.cr2 = 0
        self.cr3 = 0
        self.cr4 = 0
        self.gdtr_base = 0
        self.gdtr_limit = 0xFFFF
        self.idtr_base = 0
        self.idtr_limit = 0xFFFF
        self.shadow_at = M64
        self.ss_loaded_at = M64
        self.rep_at = M64
        self.dr_held = 0
        self.fpu_cw = 0x40
        self.fpu_sw = 0
        self.fpu_top = 0
        self.fpu_tag = 0
        self.fpu_ip = 0
        self.fpu_cs = 0
        self.fpu_dp = 0
        self.fpu_ds = 0
        self.fpu_op = 0
        self.ferr = 0
        set_eflags(self, 2)
        for i in range(6):
            segment_changed(self, i)
        set_cpl(self, 0)
        flush_tlb(self, 0)

    # --- registers ----------------------------------------------------------------------

    def reg(self, i: int) -> int:
        """General register i (0 EAX ... 7 EDI)."""
        return self.regs[i]

    def set_reg(self, i: int, value: int) -> None:
        self.regs[i] = value & M32

    def flags(self) -> int:
        """EFLAGS, all of it."""
        return get_eflags(self)

    def set_flags(self, value: int) -> None:
        set_eflags(self, value & M32)
        set_cpl(self, self.cpl)  # AC may have changed

    def segment(self, i: int) -> tuple[int, int, int, int]:
        """Selector, base, limit and attributes of a descriptor cache."""
        return self.seg_sel[i], self.seg_base[i], self.seg_limit[i], self.seg_attr[i]

    def set_segment(self, i: int, selector: int, base: int, limit: int, attr: int) -> None:
        """Load a descriptor cache as it is, no checks."""
        self.seg_sel[i] = selector & 0xFFFF
        self.seg_base[i] = base & M32
        self.seg_limit[i] = limit & M32
        self.seg_attr[i] = attr & M32
        if i < LDTR:
            segment_changed(self, i)

    def set_privilege(self, cpl: int) -> None:
        """CPL, which also chooses the TLB in use."""
        set_cpl(self, cpl)

    def debug_register(self, i: int) -> int:
        return self.dr[i]

    # --- running ------------------------------------------------------------------------

    def icount(self) -> int:
        """Guest instructions completed since the processor was made."""
        return icount_now(self)

    def set_icount(self, count: int) -> None:
        """Continue counting from here."""
        self.icount_end = (count + self.budget) & M64

    def interruptible(self) -> bool:
        """IF is set and no STI or MOV SS shadow is in force."""
        return self.eflags & IF != 0 and self.shadow_at != icount_now(self)

    def run(self, budget: int) -> int:
        """Run at most `budget` instructions; returns an EXIT_* reason.

        Raises again what a device callback raised.
        """
        done = icount_now(self)
        self.budget = budget
        self.icount_end = (done + budget) & M64
        self.recheck = 0
        self.traced = 0
        at: u32 = (self.eip + self.seg_base[CS]) & M32
        here = self.exit_reason == EXIT_BREAKPOINT and self.exit_arg == at
        self.passing = 1 if here and self.stop_count else 0
        reason: i32 = 0
        with nogil:
            reason = run_loop(self)
        if self.host_error is not None:
            error = self.host_error
            self.host_error = None
            raise error
        return reason

    def step_past(self) -> int:
        """Run one instruction although run() stopped before it."""
        self.icount_end = (icount_now(self) + 1) & M64
        self.budget = 1
        self.recheck = 0
        self.traced = 0
        self.passing = 2
        reason: i32 = run_loop(self)
        self.passing = 0
        return reason

    def interrupt(self, vector: int) -> int:
        """Deliver an external interrupt now; 0, or an EXIT_* reason if that shut us down."""
        if deliver(self, vector, 0, 0, 0) < 0:
            return settle_fault(self)
        return EXIT_NONE

    def peek_entry(self, la: int) -> int:
        """What the tables say of a linear page, without faults or accessed bits; -1: not mapped.

        The frame's address, and below it the bits of a page-table entry: W, U and A as both levels
        have them, G only where it counts.
        """
        if self.cr0 & CR0_PG == 0:
            return (la & 0xFFFFF000) | PTE_P | PTE_W | PTE_U | PTE_A | PTE_G
        pde = phys_read(self, (self.cr3 & 0xFFFFF000) | ((la >> 20) & 0xFFC), 4)
        entry = pde
        frame: u64 = (pde & 0xFFC00000) | (la & 0x3FF000)
        if pde & PTE_PS == 0 or self.cr4 & CR4_PSE == 0:
            if pde & PTE_P == 0:
                return -1
            entry = phys_read(self, (pde & 0xFFFFF000) | ((la >> 10) & 0xFFC), 4)
            frame = entry & 0xFFFFF000
        if entry & PTE_P == 0:
            return -1
        bits: u64 = pde & entry & (PTE_P | PTE_W | PTE_U | PTE_A)
        if entry & PTE_G and self.cr4 & CR4_PGE:
            bits |= PTE_G
        return frame | bits

    def set_stops(self, addresses: list[int]) -> None:
        """Leave run() with EXIT_BREAKPOINT before the instruction at any of these (at most 16)."""
        if self.stop_count == 0 and not addresses:
            return
        if len(addresses) > 16:
            raise ValueError("at most 16 breakpoints")
        self.stop_count = len(addresses)
        for i in range(len(addresses)):
            self.stops[i] = addresses[i]
        forget_blocks(self.mem)

    # --- memory -------------------------------------------------------------------------

    def peek_translation(self, la: int) -> int:
        """Physical address of a linear one, without faults or accessed bits; -1: not mapped."""
        if self.cr0 & CR0_PG == 0:
            return la & M32
        pde = phys_read(self, (self.cr3 & 0xFFFFF000) | ((la >> 20) & 0xFFC), 4)
        if pde & 1 == 0:
            return -1
        if pde & 0x80 and self.cr4 & CR4_PSE:
            return (pde & 0xFFC00000) | (la & 0x3FFFFF)
        pte = phys_read(self, (pde & 0xFFFFF000) | ((la >> 10) & 0xFFC), 4)
        if pte & 1 == 0:
            return -1
        return (pte & 0xFFFFF000) | (la & 0xFFF)


    def read_linear_memory(self, la: int, size: int, user: bool = False) -> int:
        """Read 1, 2 or 4 bytes as the processor would; -1 if that faults (nothing is raised)."""
        keep = self.cr2
        value = read_linear(self, la & M32, size, ACC_USER if user else ACC_READ)
        if value < 0:
            self.cr2 = keep
        return value

    def translation(self, la: int, write: bool = False, user: bool = False) -> int:
        """Walk the guest's tables as an access would: physical address << 8 | PERM_*, or -1.

        Sets accessed and dirty bits; a failed walk changes nothing, CR2 included.
        """
        access: u32 = (ACC_WRITE if write else 0) | (ACC_USER if user else 0)
        if self.cr0 & CR0_PG == 0:
            return (la & M32) << 8 | 7
        keep = self.cr2
        found = walk(self, la & M32, access)
        self.cr2 = keep
        return found

    def read_physical(self, pa: int, size: int) -> int:
        return phys_read(self, pa & M32, size)

    def write_physical(self, pa: int, size: int, value: int) -> None:
        phys_write(self, pa & M32, size, value & M32)

    def invalidate(self, la: int) -> None:
        flush_page(self, la & M32)

    def flush(self) -> None:
        flush_tlb(self, 0)

    def set_a20(self, enabled: bool) -> None:
        """The A20 gate: closed, physical address bit 20 is always 0."""
        self.a20_mask = M32 if enabled else M32 & ~0x100000
        flush_tlb(self, 0)

    # --- the engine contract (bt/contract.py) -------------------------------------------

    def memory(self) -> Ram:
        """The frames."""
        return self.owner

    def new_space(self) -> AddressSpace:
        """An empty address space."""
        return AddressSpace(self.owner)

    def use_space(self, space: AddressSpace) -> None:
        """Run in this space; ring 3 of an engine has no other."""
        if self.user is not space:
            self.use_spaces(space, space)

    def use_spaces(self, user: AddressSpace, sup: AddressSpace) -> None:
        """Switch address spaces (a CR3 load of the engine)."""
        if self.user is user and self.sup is sup:
            return
        self.user = user
        self.sup = sup
        self.user_space = _space_of(user)
        self.sup_space = _space_of(sup)
        set_cpl(self, self.cpl)

    def posture(self) -> int:
        """POSTURE_*: how a monitor can run this state."""
        return posture(self)

    def run_direct(self, source: Interp, ceiling: int, count: int, budget: int) -> int:
        """Run guest code of `source` as it is, in ring 3; an EXIT_* reason.

        Segments are truncated below `ceiling`; `count` is the guest's instruction count. The
        registers go back to `source`, EIP too.
        """
        self.load_direct(source, ceiling, count)
        try:
            return self.run(budget)
        finally:
            self.give_registers(source)

    def run_translated(
        self,
        source: Interp,
        eip: int,
        ceiling: int,
        count: int,
        budget: int,
        page: int,
        linear: int,
        reserved: int,
    ) -> int:
        """Run translated code at `eip` for the guest of `source`; an EXIT_* reason.

        CS is flat. The vCPU page at physical address `page`, linear address `linear`, is filled
        in and can be reached through segment register `reserved`. The registers go back to
        `source`; its EIP and spilled registers are the caller's to work out from this EIP.
        """
        enter_ring3(self, source, ceiling)
        flat_code(self)
        fill_vcpu_page(self, source, page)
        vcpu_segment(self, reserved, linear)
        self.eip = eip
        self.ports_open = 1 if source.cpl == 0 else 0
        self.icount_end = (count + self.budget) & M64
        try:
            return self.run(budget)
        finally:  # also when a device callback raised
            leave_ring3(source, self)
            take_virtual_if(source, page)

    def load_direct(self, source: Interp, ceiling: int, count: int) -> None:
        """The first half of run_direct(), for a monitor that changes something in between."""
        enter_ring3(self, source, ceiling)
        self.eip = source.eip
        self.ports_open = 0
        self.icount_end = (count + self.budget) & M64

    def compress_rings(self) -> None:
        """CS and SS carry RPL 3: what a kernel in ring 3 sees."""
        self.seg_sel[CS] |= 3
        self.seg_sel[SS] |= 3

    def give_registers(self, target: Interp) -> None:
        """The last part of run_direct(): registers, ring 3's flags and EIP."""
        leave_ring3(target, self)
        target.eip = self.eip

    def run_at(self, count: int, budget: int) -> int:
        """run(), with the instruction count set first."""
        self.icount_end = (count + self.budget) & M64
        return self.run(budget)

    def give_null_segments(self, target: Interp) -> int:
        """Null selectors that ring 3 loaded by itself; how many."""
        found: u32 = 0
        for i in range(6):
            null = self.seg_sel[i] < 4 and self.seg_attr[i] & ATTR_UNUSABLE
            if null and self.seg_sel[i] != target.seg_sel[i]:
                target.set_segment(i, self.seg_sel[i], 0, 0, ATTR_UNUSABLE)
                found += 1
        return found

    def save_state(self) -> tuple[tuple[int, ...], ...]:
        """Registers, flags, EIP, CPL and descriptor caches, to be put back later."""
        general = tuple(self.regs[i] for i in range(8))
        segments = tuple(self.segment(i) for i in range(6))
        return (general, (self.eip, get_eflags(self), self.cpl, self.cr0), *segments)

    def restore_state(self, saved: tuple[tuple[int, ...], ...]) -> None:
        """Put back what save_state() took."""
        for i in range(8):
            self.regs[i] = saved[0][i]
        self.eip, flags, cpl, self.cr0 = saved[1]
        set_eflags(self, flags)
        for i in range(6):
            selector, base, limit, rights = saved[2 + i]
            self.set_segment(i, selector, base, limit, rights)
        set_cpl(self, cpl)

    def take_news(self) -> int:
        """NEWS_* bits: what a monitor has to follow since it last asked."""
        news: u32 = 0
        if self.flushes_all:
            news |= NEWS_FLUSH_ALL
        if self.flushes_local:
            news |= NEWS_FLUSH_LOCAL
        if self.flushes_page:
            news |= NEWS_FLUSH_PAGE
        if self.mem.watch_count:
            news |= NEWS_WATCHED
        self.flushes_all = 0
        self.flushes_local = 0
        self.flushes_page = 0
        return news

    def set_count_region(self, base: int, size: int) -> None:
        """Only marked instructions count in this linear region (a translation cache)."""
        self.count_base = base & M32
        self.count_size = size
        self.count_marks = alloc8(size)
        keep(self.owner.arena, self.count_marks)

    def mark(self, address: int, marks: bytes) -> None:
        """A byte of MARK_* for each byte of the region from `address` on."""
        offset: u32 = address - self.count_base
        for i in range(len(marks)):
            self.count_marks[offset + i] = marks[i]

    def survey(self, pa: int, eip: int, available: int, most: int) -> list[tuple[int, ...]]:
        """Decode up to `most` instructions of guest code at pa, as far as `available` bytes go.

        Each is (eip, length, opcode * 8 + ModRM.reg, ModRM, immediate, operand size, prefixes used:
        rep | address-size-differs << 8, segment, 1 if it never falls through).
        Stops after one that never falls through.
        """
        found: list[tuple[int, ...]] = []
        op = op_at(self.mem.blocks.scratch, 0)
        at: u32 = eip
        used: u32 = 0
        while len(found) < most and used < available:
            self.fetch_host = self.mem.host + pa + used
            self.fetch_avail = available - used
            length: u32 = decode(self, op, at)
            if self.fetch_short:
                break
            entry: u32 = op.opcode * 8
            if shape_table(entry) & SH_MODRM:
                entry += (op.modrm >> 3) & 7
            if op.handler < H_FIRST:
                entry = 0xFFFF
            wide: u32 = 0x100 if op.amask != M32 else 0
            ends = op_ends(op)
            rep = op.rep | wide
            found.append((at, length, entry, op.modrm, op.imm, op.size, rep, op.seg, ends))
            if op_ends(op):
                break
            used += length
            at = op.next_eip
        return found

    def map_page(self, space: AddressSpace, la: int, pa: int, perm: int) -> None:
        """Map a linear page to a physical frame; perm: PERM_* bits. ValueError: no memory there."""
        if self.mem.frame_flags[(pa & M32) >> 12] & (FRAME_RAM | FRAME_MONITOR) == 0:
            raise ValueError(f"no memory at physical address {pa:#x}")
        fill(self, _space_of(space), la & M32, pa & M32, perm | PERM_PRESENT)

    def unmap_frame(self, space: AddressSpace, frame: int) -> None:
        """Unmap every linear page of a space that leads to a physical frame."""
        drop_frame(self, _space_of(space), frame)

    def invalidate_shadow(self, space: AddressSpace, la: int) -> None:
        """What INVLPG does to a TLB: unmap the page, all of it when it is a large one."""
        invalidate_page(_space_of(space), la & M32)

    def operand_linear(self, pa: int) -> int:
        """Linear address of the memory operand of the instruction at EIP, whose bytes are at pa.

        -1: it has none (or crosses the page).
        """
        op = op_at(self.mem.blocks.scratch, 0)
        self.fetch_host = self.mem.host + pa
        self.fetch_avail = 0x1000 - (pa & 0xFFF)
        decode(self, op, self.eip)
        if self.fetch_short or op_shape(op) & SH_MODRM == 0 or op.modrm >= 0xC0:
            return -1
        return (ea(self, op) + self.seg_base[op.seg]) & M32

    def unmap_page(self, space: AddressSpace, la: int) -> None:
        drop_page(_space_of(space), (la & M32) >> 12)


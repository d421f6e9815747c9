"""The processor as Python sees it.

    ram = Ram(bytearray(1 << 20), 1 << 20)
    cpu = Interp(ram, bus)
    cpu.set_reg(EAX, 1); cpu.eip = 0x1000; ...
    reason = cpu.run(1_000_000)          # an EXIT_* of state.py
"""

from __future__ import annotations

from typing import Any

from bt.interp.architecture import set_state_values, state_values
from bt.interp.blocks import forget_blocks
from bt.interp.debug_regs import debug_changed
from bt.interp.decode import SH_MODRM, decode, op_ends, op_shape
from bt.interp.dialect import (
    M32,
    M64,
    alloc8,
    alloc64,
    check_signals,
    i32,
    i64,
    inline,
    keep,
    nogil,
    op_at,
    shape_table,
    state,
    u32,
    u64,
)
from bt.interp.flags import get_eflags, set_eflags
from bt.interp.gates import deliver
from bt.interp.loop import SLICES, hand_out, icount_now, run_loop, settle_fault
from bt.interp.memory import ea, read_linear
from bt.interp.msr import msr_reset
from bt.interp.paging import (
    FLUSHED_PAGES,
    PTE_A,
    PTE_G,
    PTE_P,
    PTE_U,
    PTE_W,
    drop_frame,
    drop_page,
    fill,
    flush_page,
    flush_tlb,
    invalidate_page,
    last_entry,
    maps_large,
    page_bits,
    peek_walk,
    top_entry,
    walk,
)
from bt.interp.physical import on_board, phys_read, phys_write
from bt.interp.ram import AddressSpace, Ram
from bt.interp.segments import segment_changed, set_cpl
from bt.interp.state import (
    ACC_READ,
    ACC_USER,
    ACC_WRITE,
    ARMED_WATCHPOINT,
    ATTR_ACCESSED,
    ATTR_P,
    ATTR_RW,
    ATTR_S,
    CR0_CD,
    CR0_ET,
    CR0_NW,
    CR0_PG,
    CS,
    EDX,
    EFLAGS_VALID,
    EXIT_BREAKPOINT,
    EXIT_BUDGET,
    EXIT_NONE,
    EXIT_SIGNALS,
    FRAME_MONITOR,
    FRAME_RAM,
    H_FIRST,
    IF,
    LDTR,
    MARK_ENTRY,
    NEWS_FLUSH_ALL,
    NEWS_FLUSH_LOCAL,
    NEWS_FLUSH_PAGE,
    NEWS_WATCHED,
    OUTSIDE,
    PERM_PRESENT,
    SLICE,
    SS,
    TR,
    Cpu,
    Space,
)
from bt.interp.transfer import (
    enter_ring3,
    fill_segment_access,
    fill_vcpu_page,
    flat_code,
    leave_ring3,
    posture,
    take_null_segments,
    take_virtual_if,
    vcpu_segment,
)
from bt.interp.vmware import fault_instead
from bt.interp.watchpoints import wp_space
from bt.interp.x87_stack import fpu_init, fpu_reset

A20_CLOSED = 0xFFEFFFFF  # physical address bit 20 is always 0


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
        self.seg_attr[LDTR] = ATTR_P | 2
        self.seg_attr[TR] = ATTR_P | 0xB
        self.dr[6] = 0xFFFF0FF0
        self.dr[7] = 0x400
        self.dr_armed = ARMED_WATCHPOINT if self.wp_total else 0
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
        self.nmi_pending = 0
        self.nmi_blocked = 0
        self.halted = 0
        fpu_reset(self)
        msr_reset(self)
        set_eflags(self, 2)
        for i in range(6):
            segment_changed(self, i)
        set_cpl(self, 0)
        flush_tlb(self, 0)

    # --- all of its state ---------------------------------------------------------------

    def save_state(self) -> dict[str, int]:
        """All that the guest could find out, by the names of architecture.py.

        Between two instructions, that is not from a callback of the bus. Memory is not part of it.
        """
        now: u64 = icount_now(self)
        state = state_values(self)
        state["eflags"] = get_eflags(self)
        state["icount"] = now
        state["interrupt_shadow"] = 1 if self.shadow_at == now else 0
        state["debug_shadow"] = 1 if self.ss_loaded_at == now else 0
        state["rep_under_way"] = 1 if self.rep_at == now else 0
        state["a20"] = 1 if self.a20_mask == M32 else 0
        return state

    def load_state(self, state: Any) -> None:
        """Become what save_state() told; StateError, and nothing has changed: this is no state.

        What set_vmware() says has to be said before, and the same.
        The TLB is empty then, as after any other change from outside (take_news() says so).
        """
        from bt.interp.architecture import check

        check(state, state_values(self))
        self.put_back(state)
        self.exit_reason = EXIT_NONE
        self.wp_hit = 0
        flush_tlb(self, 0)

    def put_back(self, state: dict[str, int]) -> None:
        """load_state() of what save_state() has just told.

        In between, nothing was changed that a translation depends on: the TLB stays.
        """
        set_state_values(self, state)
        set_eflags(self, state["eflags"])
        now: u64 = state["icount"]
        self.budget = 0
        self.icount_end = now
        self.shadow_at = now if state["interrupt_shadow"] else M64
        self.ss_loaded_at = now if state["debug_shadow"] else M64
        self.rep_at = now if state["rep_under_way"] else M64
        self.a20_mask = M32 if state["a20"] else A20_CLOSED
        for i in range(6):
            segment_changed(self, i)
        debug_changed(self)
        set_cpl(self, self.cpl)

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
        set_eflags(self, value & EFLAGS_VALID)
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

    def init_x87(self) -> None:
        """FNINIT: what firmware has done to the x87 unit before it starts anything."""
        fpu_init(self)

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

    def nmi_ready(self) -> bool:
        """An NMI waits, and none is being handled; nor is a MOV SS or STI shadow in force."""
        if self.nmi_pending == 0 or self.nmi_blocked:
            return False
        count: u64 = icount_now(self)
        return self.shadow_at != count and self.ss_loaded_at != count

    def run(self, budget: int) -> int:
        """Run at most `budget` instructions; returns an EXIT_* reason.

        Raises again what a device callback raised.
        """
        self.icount_end = icount_now(self)
        self.budget = 0
        self.later = budget
        self.slices = SLICES
        hand_out(self, 1 if self.stop_asked else SLICE)  # one at least, or a guest may stand still
        self.recheck = 0
        self.deliveries = 0
        self.traced = 0
        self.wp_fault = 0
        at: u32 = (self.eip + self.seg_base[CS]) & M32
        here = self.exit_reason == EXIT_BREAKPOINT and self.exit_arg == at
        self.passing = 1 if here and self.stop_count else 0
        reason: i32 = EXIT_SIGNALS
        while True:
            with nogil:
                reason = run_loop(self)
            if reason != EXIT_SIGNALS:
                break
            self.exit_reason = EXIT_BUDGET  # a handler may raise
            check_signals()
            self.slices = SLICES
        if self.host_error is not None:
            self._raise_again()
        return reason

    def stop(self) -> None:
        """Let run() leave with EXIT_STOPPED, if it runs on for another slice; or the next one.

        From any thread, and from a signal's handler.
        """
        self.stop_asked = 1

    def _raise_again(self) -> None:
        """What a device callback raised comes out here."""
        error = self.host_error
        self.host_error = None
        raise error

    def wait(self, ticks: int) -> None:
        """From a callback of the bus: the access takes as long as `ticks` instructions.

        The TSC shows it, and run() comes back so much earlier, since its budget is a time.
        """
        self.tsc_offset = (self.tsc_offset + ticks) & M64
        cut = min(ticks, self.later)
        self.later -= cut
        ticks -= cut
        cut = min(ticks, self.kept)
        self.kept -= cut
        ticks -= cut
        cut = min(ticks, self.budget)
        self.budget -= cut
        self.icount_end = (self.icount_end - cut) & M64
        ticks -= cut
        cut = min(ticks, self.spare)
        self.spare -= cut
        if ticks > cut and self.io_left:
            self.recheck = 1  # the time ends within the block, which is paid for
        elif self.budget == 0 and self.io_begun:
            self.recheck = 1  # or would, behind the block, in the middle of an instruction

    def step_past(self, watchpoints: bool = False) -> int:
        """Run one instruction although run() stopped before it; `watchpoints`: for one, too.

        Raises again what a device callback raised.
        """
        self.icount_end = (icount_now(self) + 1) & M64
        self.budget = 1
        self.spare = 0
        self.later = 0
        self.recheck = 0
        self.traced = 0
        self.wp_fault = 0
        self.passing = 2
        self.wp_pass = watchpoints
        reason: i32 = run_loop(self)
        self.passing = 0
        self.wp_pass = 0
        if self.host_error is not None:
            self._raise_again()
        return reason

    def interrupt(self, vector: int) -> int:
        """Deliver an external interrupt now; 0, or an EXIT_* reason if that shut us down."""
        if deliver(self, vector, 0, 0, 0) < 0:
            return settle_fault(self)
        return EXIT_NONE

    def peek_entry(self, la: int, root: int = -1) -> int:
        """What the tables say of a linear page, without faults or accessed bits; -1: not mapped.

        The frame's place, and below it page_bits(). By the tables that CR3 names if paging is on,
        or, at any time, by those of another `root`.
        """
        if root < 0 and self.cr0 & CR0_PG == 0:
            return on_board(self, la & 0xFFFFF000) | PTE_P | PTE_W | PTE_U | PTE_A | PTE_G
        found = peek_walk(self, self.cr3 if root < 0 else root & M32, la & M32)
        if found < 0:
            return -1
        return on_board(self, found & 0xFFFFF000) | found & 0xFFF

    def peek_tables(self) -> list[tuple[int, int, int]]:
        """All that the tables that CR3 names map: linear address, number of pages, page_bits().

        Their frame's address is as it stands in the tables, that of the first one of 1024.
        """
        found: list[tuple[int, int, int]] = []
        for number in range(1024):
            region: u32 = number << 22
            top = top_entry(self, self.cr3, region, 1)
            if top & PTE_P == 0:
                continue
            large = maps_large(self, top)
            for i in range(1 if large else 1024):
                la: u32 = region | i << 12
                bits = page_bits(self, la, top, last_entry(self, top, la, 1))
                if bits >= 0:
                    found.append((la, 1024 if large else 1, bits))
        return found

    def set_stops(self, addresses: list[int]) -> None:
        """Leave run() with EXIT_BREAKPOINT before the instruction at any of these (at most 256)."""
        if self.stop_count == 0 and not addresses:
            return
        if len(addresses) > 256:
            raise ValueError("at most 256 breakpoints")
        self.stop_count = len(addresses)
        for i in range(len(addresses)):
            self.stops[i] = addresses[i]
        forget_blocks(self.mem)

    def set_watchpoints(
        self, watchpoints: list[tuple[int, int, int]], spaces: list[AddressSpace]
    ) -> None:
        """Leave run() after accesses to (first, last, WP_* bits); see watchpoints.py.

        `spaces` are all that this processor runs in. ValueError: more than 16.
        """
        if len(watchpoints) > 16:
            raise ValueError("at most 16 watchpoints")
        self.wp_total = len(watchpoints)
        for i in range(len(watchpoints)):
            self.wp_first[i], self.wp_last[i], self.wp_kinds[i] = watchpoints[i]
        self.wp_hit = 0
        if self.external == 0:
            debug_changed(self)
        for space in spaces:
            wp_space(self, _space_of(space))

    def take_watchpoint(self) -> int:
        """The number of the watchpoint that was hit, -1 if none was; it is told once."""
        number: i32 = self.wp_hit - 1
        self.wp_hit = 0
        return number

    # --- memory -------------------------------------------------------------------------

    def place(self, pa: int) -> int:
        """What a physical address leads to; see physical.py."""
        return on_board(self, pa & M32)

    def peek_address(self, la: int) -> int:
        """The physical address that a linear one leads to, behind the A20 gate; -1: not mapped.

        Without faults or accessed bits.
        """
        if self.cr0 & CR0_PG == 0:
            return la & self.a20_mask
        found = peek_walk(self, self.cr3, la & M32)
        if found < 0:
            return -1
        return ((found & 0xFFFFF000) | (la & 0xFFF)) & self.a20_mask

    def peek_translation(self, la: int) -> int:
        """The place of a linear address, without faults or accessed bits; -1: not mapped.

        As on_board() has it, like translation() and peek_entry(): see physical.py.
        """
        address = self.peek_address(la & M32)
        return -1 if address < 0 else on_board(self, address)

    def read_linear_memory(self, la: int, size: int, user: bool = False) -> int:
        """Read 1, 2 or 4 bytes as the processor would; -1 if that faults (nothing is raised)."""
        keep = self.cr2
        hit = self.wp_hit
        value = read_linear(self, la & M32, size, ACC_USER if user else ACC_READ)
        self.wp_hit = hit
        if value < 0:
            self.cr2 = keep
        return value

    def translation(self, la: int, write: bool = False, user: bool = False) -> int:
        """Walk the guest's tables as an access would: place << 8 | PERM_*, or -1.

        Sets accessed and dirty bits; a failed walk changes nothing, CR2 included. The A20 gate has
        its say.
        """
        access: u32 = (ACC_WRITE if write else 0) | (ACC_USER if user else 0)
        found: i64 = (la & M32) << 8 | 7
        if self.cr0 & CR0_PG:
            keep = self.cr2
            found = walk(self, la & M32, access)
            self.cr2 = keep
            if found < 0:
                return -1
        at: u64 = on_board(self, (found >> 8) & M32)
        return at << 8 | found & 0xFF

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
        self.a20_mask = M32 if enabled else A20_CLOSED
        flush_tlb(self, 0)

    # --- what bt/engine.py makes an engine of (bt/contract.py) --------------------------

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
        fill_segment_access(self, reserved, page)
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

    def run_at(self, count: int, budget: int, spare: int = 0) -> int:
        """run(), with the instruction count set first.

        `spare`: the time that is left behind the budget, as instructions, for an access to a device
        that takes some.
        """
        self.icount_end = (count + self.budget) & M64
        self.spare = spare
        return self.run(budget)

    def give_null_segments(self, target: Interp) -> int:
        """Null selectors that ring 3 loaded by itself; how many."""
        return take_null_segments(target, self)

    def take_news(self) -> int:
        """NEWS_* bits: what a monitor has to follow since it last asked."""
        news: u32 = 0
        if self.flushes_all or self.flushes_page > FLUSHED_PAGES:
            news |= NEWS_FLUSH_ALL
        if self.flushes_local:
            news |= NEWS_FLUSH_LOCAL
        self.pages_told = 0
        if self.flushes_page and not news & NEWS_FLUSH_ALL:
            news |= NEWS_FLUSH_PAGE
            self.pages_told = self.flushes_page
        if self.mem.write_log_count:
            news |= NEWS_WATCHED
        self.flushes_all = 0
        self.flushes_local = 0
        self.flushes_page = 0
        return news

    def told_pages(self) -> list[int]:
        """After NEWS_FLUSH_PAGE: linear addresses of the pages, in the order of the INVLPGs."""
        return [self.flushed_pages[i] for i in range(self.pages_told)]

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
            if marks[i] & MARK_ENTRY:
                self.entry_counts[offset + i] = 0

    def marks_at(self, address: int, size: int) -> bytes:
        """What mark() was told of these bytes."""
        offset: u32 = address - self.count_base
        return bytes([self.count_marks[offset + i] for i in range(size)])

    def count_entries(self) -> None:
        """MARK_ENTRY may be used from now on."""
        if not self.counts_entries:
            self.counts_entries = 1
            self.entry_counts = alloc64(self.count_size)
            keep(self.owner.arena, self.entry_counts)

    def entries(self, address: int) -> int:
        """How often the instruction marked MARK_ENTRY at an address of the cache was begun."""
        offset: u32 = address - self.count_base
        if not self.counts_entries or offset >= self.count_size:
            return 0
        return self.entry_counts[offset]

    def set_vmware(
        self, backdoor: int, hypercalls: int, served: int, tsc_khz: int, bus_khz: int
    ) -> None:
        """VMware's guest interfaces: BACKDOOR_*, do hypercalls leave run() with EXIT_VMWARE, are
        they backdoor calls, and the frequencies that CPUID tells (0: it does not tell)."""
        self.backdoor = backdoor
        self.hypercalls = hypercalls
        self.hypercalls_served = served
        self.tsc_khz = tsc_khz
        self.bus_khz = bus_khz

    def answer_call(self, vector: int = -1, error: int = 0, address: int = 0) -> int:
        """Complete the instruction that left with EXIT_VMWARE; an EXIT_* reason.

        Or let it fault: with this vector, its error code, and CR2 for a page fault. No interrupt
        comes in between.
        """
        if vector >= 0:
            fault_instead(self, vector, error & M32, address & M32)
            return settle_fault(self)
        intr = self.intr
        self.intr = 0
        self.call_answered = 1
        try:
            return self.step_past()
        finally:
            self.call_answered = 0
            self.intr = intr

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
        """Map a linear page to a frame, by its place; perm: PERM_* bits. ValueError: none there."""
        flags = self.mem.frame_flags[pa >> 12] if pa < OUTSIDE else 0
        if flags & (FRAME_RAM | FRAME_MONITOR) == 0:
            raise ValueError(f"no memory at {pa:#x}")
        fill(self, _space_of(space), la & M32, pa, perm | PERM_PRESENT)

    def unmap_frame(self, space: AddressSpace, frame: int) -> None:
        """Unmap every linear page of a space that leads to a physical frame."""
        drop_frame(self, _space_of(space), frame)

    def invalidate_shadow(self, space: AddressSpace, la: int) -> None:
        """What INVLPG does to a TLB: unmap the page, all of it when it is a large one."""
        invalidate_page(_space_of(space), la & M32)

    def mappings(self, space: AddressSpace) -> list[tuple[int, int, int]]:
        """Every page that is mapped: linear address, physical address, PERM_*."""
        s = _space_of(space)
        found: dict[int, tuple[int, int, int]] = {}
        for i in range(s.count):
            page: u32 = s.log[i]
            entry: u64 = s.r[page]
            if s.perm[page] and entry:
                pa: u32 = (entry + ((page & M64) << 12) - self.mem.host) & M32
                found[page] = (page << 12, pa, s.perm[page])
        return [found[page] for page in sorted(found)]

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


"""The processor as Python sees it.

    ram = Ram(bytearray(1 << 20), 1 << 20)
    cpu = Interp(ram, bus)
    cpu.set_reg(EAX, 1); cpu.eip = 0x1000; ...
    reason = cpu.run(1_000_000)          # an EXIT_* of state.py

It is one class, in the order in which the parts need each other: registers.py, views.py, run.py,
and here what makes an engine of it.
"""

from __future__ import annotations

from typing import Any

from bt.interp.dialect import (
    M32,
    M64,
    alloc8,
    alloc64,
    keep,
    state,
    u32,
    u64,
)
from bt.interp.paging import (
    FLUSHED_PAGES,
    drop_frame,
    drop_page,
    fill,
    invalidate_page,
)
from bt.interp.ram import AddressSpace, Ram, space_of
from bt.interp.run import Running
from bt.interp.segments import set_cpl
from bt.interp.state import (
    CS,
    FRAME_MONITOR,
    FRAME_RAM,
    MARK_ENTRY,
    NEWS_FLUSH_ALL,
    NEWS_FLUSH_LOCAL,
    NEWS_FLUSH_PAGE,
    NEWS_WATCHED,
    OUTSIDE,
    PERM_PRESENT,
    SS,
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


@state
class Interp(Running):
    """A processor over some Ram; a Pentium Pro until set_model() says otherwise.

    `bus` answers read_port(port, size), write_port(port, size, value), read_memory(address, size)
    and write_memory(address, size, value), and perhaps read_ports(port, size, count) and
    write_ports(port, size, data). An `external` processor serves a monitor: it stays in
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
        self.many_ports = 1 if hasattr(bus, "read_ports") else 0
        self.external = 1 if external else 0
        self.a20_mask = M32
        self.user = AddressSpace(ram)
        self.sup = AddressSpace(ram)
        self.user_space = space_of(self.user)
        self.sup_space = space_of(self.sup)
        self.become_default()
        self.reset()

    # --- what the contract asks of an engine (bt/contract.py), from here on ------------

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
        self.user_space = space_of(user)
        self.sup_space = space_of(sup)
        set_cpl(self, self.cpl)

    def map_page(self, space: AddressSpace, la: int, pa: int, perm: int) -> None:
        """Map a linear page to a frame, by its place; perm: PERM_* bits. ValueError: none there."""
        flags = self.mem.frame_flags[pa >> 12] if pa < OUTSIDE else 0
        if flags & (FRAME_RAM | FRAME_MONITOR) == 0:
            raise ValueError(f"no memory at {pa:#x}")
        fill(self, space_of(space), la & M32, pa, perm | PERM_PRESENT)

    def unmap_page(self, space: AddressSpace, la: int) -> None:
        drop_page(space_of(space), (la & M32) >> 12)

    def unmap_frame(self, space: AddressSpace, frame: int) -> None:
        """Unmap every linear page of a space that leads to a physical frame."""
        drop_frame(self, space_of(space), frame)

    def invalidate_shadow(self, space: AddressSpace, la: int) -> None:
        """What INVLPG does to a TLB: unmap the page, all of it when it is a large one."""
        invalidate_page(space_of(space), la & M32)

    def mappings(self, space: AddressSpace) -> list[tuple[int, int, int]]:
        """Every page that is mapped: linear address, physical address, PERM_*."""
        s = space_of(space)
        found: dict[int, tuple[int, int, int]] = {}
        for i in range(s.count):
            page: u32 = s.log[i]
            entry: u64 = s.r[page]
            if s.perm[page] and entry:
                pa: u32 = (entry + ((page & M64) << 12) - self.mem.host) & M32
                found[page] = (page << 12, pa, s.perm[page])
        return [found[page] for page in sorted(found)]

    # --- running a guest's code --------------------------------------------------------

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

    # --- what a monitor has to follow --------------------------------------------------

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

    # --- a translation cache -----------------------------------------------------------

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

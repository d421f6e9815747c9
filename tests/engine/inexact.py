"""Engines over the interpreter that use the freedoms of the contract, as a native one may.

A `FreeEngine` leaves more often than it is asked to:

* It protects pages: one traced or watched byte makes it leave at all of its page.
* It serves no ports, leaves at RDTSC, and cannot make x87 instructions fault.
* It loads segment registers by itself, from descriptor tables of its own in the monitor's memory.
* It notes and counts nothing for those who watch.

It still counts exactly, so that a machine with it can be compared with a bare one. An
`InexactEngine` does not: its counts are estimates, its budgets end early or late, and it forgets
where the last x87 instruction was. A `HostEngine` has its own selectors in the segment registers as
well, so that only translated code runs on it.

    with offered():                             # by the names "free", "inexact" and "host"
        machine = Machine(engine="inexact", clock="host")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import ClassVar

from bt.contract import (
    EXIT_BUDGET,
    EXIT_EXCEPTION,
    EXIT_STOPPED,
    PERM_GLOBAL,
    PERM_LARGE,
    PERM_PINNED,
    PERM_PRESENT,
    PERM_WRITE,
    Bus,
    Selectors,
    Traits,
)
from bt.engine import ENGINES, AddressSpace, Interp, InterpEngine, Ram
from bt.interp.state import ATTR_UNUSABLE, CR0_EM, CR0_TS, CR4_TSD, CS, LDTR, VEC_PF
from monitor.settings import machine as settings

PAGE = 0x1000
HOST_SELECTORS = 0x407  # in an LDT
RIGHTS = 0x50FF  # but for G and what has no meaning
X87_PENDING = 0x80  # the status word's bit ES
PAGES_WRITE = 7  # the error code of a write to a page that is there
TABLE = 0x10000  # bytes of a descriptor table
TABLES = 2 * TABLE  # at the end of the RAM's buffer, which must be the monitor's
GDT, LDT = 0x10000, 0x20000  # linear, in a space that only the processor itself can see


class FreeEngine(InterpEngine):
    """See above."""

    traits: ClassVar[Traits] = Traits(
        exact_counts=True,
        selectors=Selectors.SHADOW,
        serves_ports=False,
        audits=True,
        traps_x87=False,
        traces_bytes=False,
        instruments=False,
    )

    def __init__(self, ram: Ram, bus: Bus) -> None:
        super().__init__(ram, bus)
        self.spaces: list[PagesSpace] = []
        self.frames = PagesFrames(self, ram)
        self._tables = memoryview(ram.buffer)[-TABLES:]
        self._system = AddressSpace(ram)
        first = len(ram.buffer) - TABLES
        for offset in range(0, TABLES, PAGE):
            super().map_page(self._system, GDT + offset, first + offset, PERM_WRITE)
        self._entered = [self.segment(i) for i in range(6)]
        self._given: dict[tuple[int, int, int], int] = {}  # selectors, by what they got

    def memory(self) -> PagesFrames:  # type: ignore[override]
        return self.frames

    # --- address spaces -----------------------------------------------------------------

    def new_space(self) -> PagesSpace:
        space = PagesSpace(self.owner)
        self.spaces.append(space)
        return space

    def use_space(self, space: AddressSpace) -> None:
        self.use_spaces(space, self._system)

    def map_page(self, space: AddressSpace, la: int, pa: int, perm: int) -> None:
        assert isinstance(space, PagesSpace)
        page, frame = (la & 0xFFFFFFFF) >> 12, (pa & 0xFFFFFFFF) >> 12
        super().map_page(space, la, pa, perm & ~PERM_WRITE if self.frames.traced(frame) else perm)
        space.pages[page] = frame, perm

    def unmap_page(self, space: AddressSpace, la: int) -> None:
        assert isinstance(space, PagesSpace)
        super().unmap_page(space, la)
        space.pages.pop((la & 0xFFFFFFFF) >> 12, None)

    def unmap_frame(self, space: AddressSpace, frame: int) -> None:
        assert isinstance(space, PagesSpace)
        super().unmap_frame(space, frame)
        space.keep(lambda page, to, perm: to != frame)

    def invalidate_shadow(self, space: AddressSpace, la: int) -> None:
        assert isinstance(space, PagesSpace)
        super().invalidate_shadow(space, la)
        here = (la & 0xFFFFFFFF) >> 12
        shift = 10 if space.pages.get(here, (0, 0))[1] & PERM_LARGE else 0
        space.keep(lambda page, to, perm: perm & PERM_PINNED or page >> shift != here >> shift)

    def mappings(self, space: AddressSpace) -> list[tuple[int, int, int]]:
        assert isinstance(space, PagesSpace)
        return [
            (page << 12, frame << 12, perm | PERM_PRESENT)
            for page, (frame, perm) in sorted(space.pages.items())
        ]

    def protect(self, frame: int) -> None:
        """A frame is traced now, or is not any more."""
        for space in self.spaces:
            for page, (to, perm) in list(space.pages.items()):
                if to == frame and perm & PERM_WRITE:
                    self.map_page(space, page << 12, frame << 12, perm)

    def set_watchpoints(
        self, watchpoints: list[tuple[int, int, int]], spaces: list[AddressSpace]
    ) -> None:
        wide = [(first & -PAGE, last | PAGE - 1, kinds) for first, last, kinds in watchpoints]
        super().set_watchpoints(wide, spaces)

    # --- running ------------------------------------------------------------------------

    def load_direct(self, source: Interp, ceiling: int, count: int) -> None:
        super().load_direct(source, ceiling, count)
        self._use_tables(source.cpl == 3)

    def _use_tables(self, on: bool) -> None:
        self.gdtr_base, self.gdtr_limit = GDT, TABLE - 1 if on else 0
        self.set_segment(LDTR, 8, LDT, TABLE - 1, 0x82 if on else ATTR_UNUSABLE)

    def run(self, budget: int) -> int:
        """Called by the other ways to run, with the registers in the engine."""
        self.ports_open = 0
        self.cr4 |= CR4_TSD
        self.cr0 &= ~(CR0_TS | CR0_EM)
        self._entered = [self.segment(i) for i in range(6)]
        reason = int(super().run(budget))
        if reason in (EXIT_BUDGET, EXIT_STOPPED) and budget and self.shadow_at == self.icount():
            reason = int(super().run(1))  # not right behind a load of SS
        if reason == EXIT_EXCEPTION and self.fault_vector == VEC_PF:
            self._tell_traced()
        return reason

    def _tell_traced(self) -> None:
        """A page is read-only here that the monitor has mapped for writing."""
        space = self.user
        assert isinstance(space, PagesSpace)
        if self.traced or self.wp_fault:
            return
        frame, perm = space.pages.get(self.cr2 >> 12, (0, 0))
        if self.fault_error == PAGES_WRITE and perm & PERM_WRITE and self.frames.traced(frame):
            self.traced = 1

    # --- descriptors --------------------------------------------------------------------

    def set_descriptor(self, selector: int, segment: tuple[int, int, int] | None) -> None:
        if segment is not None:
            self._given[segment[0], segment[1], segment[2] & RIGHTS] = selector
        at = (TABLE if selector & 4 else 0) + (selector & 0xFFF8)
        self._tables[at : at + 8] = encode(*segment) if segment is not None else bytes(8)

    def loaded_segments(self) -> list[tuple[int, int]]:
        found = []
        for i in range(6):
            selector, base, limit, rights = now = self.segment(i)
            if not rights & ATTR_UNUSABLE:
                if now != self._entered[i]:
                    found.append((i, selector))
            elif (base, limit) != self._entered[i][1:3]:  # a null one, and before it another
                found.append((i, self._given[base, limit, rights & RIGHTS]))
        return found


class InexactEngine(FreeEngine):
    """See above."""

    traits: ClassVar[Traits] = replace(FreeEngine.traits, exact_counts=False)

    def __init__(self, ram: Ram, bus: Bus) -> None:
        super().__init__(ram, bus)
        self._chance = 1

    def run(self, budget: int) -> int:
        before = self.icount()
        reason = super().run(self._about(budget))
        done = self.icount() - before
        if budget:
            self.set_icount(before + max(1, done * 3 // 4))
        if not self.fpu_sw & X87_PENDING:
            self.fpu_ip = self.fpu_cs = self.fpu_dp = self.fpu_ds = self.fpu_op = 0
        return reason

    def _about(self, budget: int) -> int:
        """As many, give or take some; one at least."""
        self._chance = self._chance * 1103515245 + 12345 & 0x7FFFFFFF
        return budget and max(1, budget * (1 + (self._chance >> 16 & 7)) // 5)


class HostEngine(InexactEngine):
    """See above."""

    traits: ClassVar[Traits] = replace(
        InexactEngine.traits, selectors=Selectors.HOST, audits=False
    )

    def run_direct(self, source: Interp, ceiling: int, count: int, budget: int) -> int:
        raise AssertionError("it runs translated code only")

    def run(self, budget: int) -> int:
        for i in range(6):
            if i != CS:
                _, base, limit, rights = self.segment(i)
                self.set_segment(i, HOST_SELECTORS + 8 * i, base, limit, rights)
        return super().run(budget)


def offer() -> None:
    """From now on machines can be made with these engines."""
    settings.ENGINES = (*settings.ENGINES, "free", "inexact", "host")
    ENGINES.update(free=FreeEngine, inexact=InexactEngine, host=HostEngine)


@contextmanager
def offered() -> Iterator[None]:
    """Within it they can."""
    names, rows = settings.ENGINES, dict(ENGINES)
    offer()
    try:
        yield
    finally:
        settings.ENGINES = names
        ENGINES.clear()
        ENGINES.update(rows)


def encode(base: int, limit: int, rights: int) -> bytes:
    """A descriptor (SDM vol. 3, figure 3-8). Limits that need it get G."""
    granular = limit > 0xFFFFF
    assert not granular or limit & PAGE - 1 == PAGE - 1
    field = limit >> 12 if granular else limit
    high = base & 0xFF000000 | base >> 16 & 0xFF | field & 0xF0000
    high |= rights << 8 & 0x50FF00 | granular << 23
    return (high << 32 | (base & 0xFFFF) << 16 | field & 0xFFFF).to_bytes(8, "little")


class PagesSpace(AddressSpace):
    """What was asked to be mapped: frame and PERM_*, by linear page."""

    def __init__(self, ram: Ram) -> None:
        super().__init__(ram)
        self.pages: dict[int, tuple[int, int]] = {}

    def flush(self, keep_global: bool = False) -> None:
        super().flush(keep_global)
        kept = PERM_PINNED | PERM_GLOBAL if keep_global else PERM_PINNED
        self.keep(lambda page, frame, perm: perm & kept)

    def keep(self, wanted: Callable[[int, int, int], object]) -> None:
        """Only pages for which wanted(page, frame, perm)."""
        self.pages = {page: to for page, to in self.pages.items() if wanted(page, *to)}


class PagesFrames:
    """A frame is traced as a whole while one of its bytes is."""

    def __init__(self, engine: FreeEngine, ram: Ram) -> None:
        self._engine = engine
        self._ram = ram
        self._bytes: dict[int, int] = {}  # of a frame: a bit for each

    def traced(self, frame: int) -> bool:
        return bool(self._bytes.get(frame))

    def written(self, pa: int, size: int) -> None:
        self._ram.written(pa, size)

    def forget_blocks(self) -> None:
        self._ram.forget_blocks()

    def trace_writes(self, pa: int, size: int, on: bool) -> None:
        self._ram.trace_writes(pa, size, on)
        frame, bits = pa >> 12, ((1 << size) - 1) << (pa & PAGE - 1)
        before = self._bytes.get(frame, 0)
        now = self._bytes[frame] = before | bits if on else before & ~bits
        if bool(before) != bool(now):
            self._engine.protect(frame)

    def audit(self, frame: int, on: bool) -> None:
        self._ram.audit(frame, on)

    def record(self, room: int) -> None:
        self._ram.record(room)

    def take_record(self) -> list[tuple[int, int, int, int, int]]:
        return self._ram.take_record()

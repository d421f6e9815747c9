"""The bench in real mode and virtual-8086 mode (SDM vol. 3, chapter 21), not paged."""

from __future__ import annotations

import struct

from bt.hostcpu import layout as at
from bt.interp.state import CS, LDTR, TR
from bt.virtualizability import tables
from bt.virtualizability.bench import Bench
from bt.virtualizability.experiments import SIXTEEN_BIT_PLACE
from bt.virtualizability.worlds import World


class SixteenBitBench(Bench):
    """Real mode and virtual-8086 mode, not paged."""

    CODE_PAGE, WINDOW_PAGE, TABLES, HANDLERS, RING0_STACK = 0x1000, 0x2000, 0x4000, 0x6000, 0x8000
    UNIT, UNIT_AREA = 0x8000, 0x9000
    CODE = CODE_PAGE + SIXTEEN_BIT_PLACE.code
    WINDOW = WINDOW_PAGE + SIXTEEN_BIT_PLACE.window
    handlers = HANDLERS
    flat = 0
    INTERRUPT_TABLE_LIMIT = 0x3FF

    def __init__(self) -> None:
        super().__init__()
        for vector in range(tables.VECTORS):  # real mode's interrupt table, at 0
            place = (self.HANDLERS >> 4) << 16 | vector * tables.HANDLER_SIZE
            struct.pack_into("<I", self.memory, 4 * vector, place)

    def _build(self, world: World) -> None:
        self._tables = tables.page_of_tables(world, self.TABLES, self.HANDLERS, self.RING0_STACK)

    def _reset(self) -> None:
        cpu, world = self.cpu, self.world
        assert world is not None
        self.memory[self.TABLES : self.TABLES + at.PAGE] = self._tables
        cpu.cr0, cpu.cr2, cpu.cr3, cpu.cr4 = world.cr0, world.cr2, 0, world.cr4
        cpu.tsc_offset, cpu.msr_sysenter_cs = world.time, world.device
        cpu.gdtr_base = self.TABLES + tables.GDT if world.v86 else 0
        cpu.gdtr_limit = tables.GDT_LIMIT
        cpu.idtr_base = self.TABLES + tables.IDT if world.v86 else 0
        cpu.idtr_limit = 8 * tables.VECTORS - 1 if world.v86 else self.INTERRUPT_TABLE_LIMIT
        cpu.set_flags(self._flags(world))
        for number in range(6):
            page = self.CODE_PAGE if number == CS else self.WINDOW_PAGE
            cpu.set_segment(number, page >> 4, page, 0xFFFF, 0xF3 if world.v86 else 0x93)
        task = self.TABLES + tables.TSS
        limit = tables.task_limit(world)
        cpu.set_segment(TR, tables.TR[world.tr], task, limit, 0x8B)
        cpu.set_segment(LDTR, tables.LDTR[world.ldtr], self.TABLES + tables.LDT, 0, 0x82)
        cpu.set_privilege(world.cpl)

    def _cache(self, segment: tuple[int, int, int, int]) -> tuple[int, int, int]:
        """The base is no state of its own here: it follows from the selector."""
        selector, base, limit, rights = segment
        return base - 16 * selector, limit, rights

    def _privilege(self, selector: int) -> int:
        """A selector is the number of a paragraph here."""
        return 0

    def _physical_stack(self) -> int:
        return int(self.cpu.reg(4))

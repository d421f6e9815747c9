"""The bench in 32-bit protected mode, paged (SDM vol. 3, chapters 3 and 4).

Tables, handlers and the ring 0 stack lie from C0000000 on (and the tables once more 1 MiB higher,
for a second GDTR and IDTR), code and data where bt/hostcpu/layout.py has them, and once more where
the relocated world has them.
"""

from __future__ import annotations

from bt.hostcpu import layout as at
from bt.interp.state import CS, DS, ES, FS, GS, LDTR, SS, TR
from bt.virtualizability import tables
from bt.virtualizability.bench import Bench
from bt.virtualizability.experiments import DIRECTORIES
from bt.virtualizability.worlds import World


class ProtectedBench(Bench):
    """32-bit protected mode, paged."""

    TABLES, HANDLERS, RING0_STACK = 0x0000, 0x6000, 0x8000
    UNIT, UNIT_AREA, CODE_FRAME, DATA_FRAME = 0x8000, 0x9000, 0xA000, 0xB000
    PAGE_TABLES = 0x2000
    CODE = CODE_FRAME + at.CODE_OFFSET
    WINDOW = DATA_FRAME + at.MAIN_WINDOW - at.DATA
    SUPERVISOR, AGAIN, SHIFT = 0xC000_0000, 0x10_0000, 0x20_0000
    handlers = SUPERVISOR + HANDLERS
    flat = SUPERVISOR

    def __init__(self) -> None:
        super().__init__()
        self._segments: tuple[tuple[int, int, int, int, int], ...] = ()
        pages = [(self.SUPERVISOR + frame, frame) for frame in range(0, 0xA000, at.PAGE)]
        pages.append((self.SUPERVISOR + self.AGAIN, self.TABLES))
        for shift in (0, self.SHIFT):
            pages += [(at.CODE_PAGE + shift, self.CODE_FRAME), (at.DATA + shift, self.DATA_FRAME)]
            pages.append((at.DATA + at.PAGE + shift, self.DATA_FRAME + at.PAGE))
        for directory in DIRECTORIES:
            built = tables.page_tables(directory, self.PAGE_TABLES, pages)
            for place, data in built.items():
                self.memory[place : place + at.PAGE] = data

    def _build(self, world: World) -> None:
        linear = self.SUPERVISOR + self.TABLES
        stack = self.SUPERVISOR + self.RING0_STACK
        self._tables = tables.page_of_tables(world, linear, self.handlers, stack)
        rows = tables.gdt(world, linear)
        local = tables.ldt(world)[at.SEG_FLAT.selector & ~3]
        code, data = rows[tables.CODE], rows[tables.STACK]
        cpl = world.cpl
        selectors = (tables.LDTR[world.ldtr], tables.TR[world.tr])
        flat = (at.SEG_FLAT.selector, local.base, local.limit, local.rights)
        ldtr, task = rows[selectors[0]], rows[selectors[1]]
        self._segments = (
            *((number, *flat) for number in (ES, DS, FS, GS)),
            (CS, tables.CODE | cpl, code.base, code.limit, code.rights),
            (SS, tables.STACK | cpl, data.base, data.limit, data.rights),
            (LDTR, selectors[0], ldtr.base, ldtr.limit, ldtr.rights),
            (TR, selectors[1], task.base, task.limit, task.rights),
        )

    def _reset(self) -> None:
        cpu, world = self.cpu, self.world
        assert world is not None
        self.memory[self.TABLES : self.TABLES + at.PAGE] = self._tables
        cpu.cr0, cpu.cr2, cpu.cr3 = world.cr0, world.cr2, DIRECTORIES[world.cr3]
        cpu.cr4, cpu.tsc_offset = world.cr4, world.time
        cpu.msr_sysenter_cs = world.device
        base = self.SUPERVISOR + self.TABLES
        cpu.gdtr_base = base + self.AGAIN * world.gdtr + tables.GDT
        cpu.gdtr_limit = tables.GDT_LIMIT
        cpu.idtr_base = base + self.AGAIN * world.idtr + tables.IDT
        cpu.idtr_limit = 8 * tables.VECTORS - 1
        cpu.set_flags(self._flags(world))
        for row in self._segments:
            cpu.set_segment(*row)
        cpu.set_privilege(world.cpl)

    def _physical_stack(self) -> int:
        """The frame lies on the ring 0 stack, or in ring 0 on the experiment's own."""
        linear = int(self.cpu.reg(4))
        if linear >= self.SUPERVISOR:
            return linear - self.SUPERVISOR
        return linear - at.MAIN_WINDOW + self.WINDOW

"""The bench: one processor that runs any experiment in any world, each time from scratch.

    bench = ProtectedBench()
    bench.enter(MONITOR)
    outcome = bench.run(experiment)

Physical memory, 64 KiB. In protected mode it is paged: tables, handlers and the ring 0 stack lie
from C0000000 on (and once more 1 MiB higher, for a second GDTR and IDTR), code and data where
bt/hostcpu/layout.py has them, and once more where the relocated world has them. A handler is one
HLT, so a fault ends in a halt there, while INT n ends behind the gate with its budget spent.

    0000 tables   1000 directory, tables   5000 second directory   6000 handlers   7000 stack
    8000 stubs   9000 FNSAVE image   A000 code   B000, C000 data

In 16-bit code there is no paging: code at 1000, data at 2000, as real mode and V8086 mode see them.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from bt.engine import Interp, Ram
from bt.hostcpu import layout as at
from bt.interp.state import (
    CR0_EM,
    CR0_PE,
    CR0_TS,
    CS,
    DS,
    EAX,
    ECX,
    EDX,
    ES,
    EXIT_HALT,
    FS,
    GS,
    IF,
    IOPL,
    LDTR,
    RF,
    SS,
    TR,
    VIF,
    VIP,
    VM,
)
from bt.virtualizability import tables
from bt.virtualizability.experiments import (
    DIRECTORIES,
    SIXTEEN_BIT_PLACE,
    UNIT_STATE,
    WINDOW_SIZE,
    Experiment,
)
from bt.virtualizability.outcome import USER_FLAGS, Outcome, Trap, Visible
from bt.virtualizability.worlds import World

RAM_SIZE = 0x10000
OPS = 4096  # decoded instructions that are kept
COUNT = 1000  # the instruction count that every experiment begins with
FIXED = 2
WITH_ERROR = frozenset((8, 10, 11, 12, 13, 14, 17))
SAVED_BYTES = 108
SAVE_AT, WRMSR_AT = 7, 14  # stubs behind the first
PERFORMANCE_COUNTER = 0xC1
DEBUG_RESET = {0: 0, 1: 0, 2: 0, 3: 0, 6: 0xFFFF_0FF0, 7: 0x400}


class Device:
    """The bus: every port holds one value, and writes are remembered."""

    def __init__(self) -> None:
        self.value = 0
        self.written: list[tuple[int, int, int]] = []

    def read_port(self, port: int, size: int) -> int:
        return int.from_bytes(bytes((self.value,)) * size, "little")

    def write_port(self, port: int, size: int, value: int) -> None:
        self.written.append((port, size, value))

    def read_memory(self, address: int, size: int) -> int:
        return (1 << 8 * size) - 1

    def write_memory(self, address: int, size: int, value: int) -> None:
        pass


class Bench:
    """What both benches share. Physical addresses of its pieces are class constants."""

    TABLES: int
    HANDLERS: int
    CODE: int
    WINDOW: int
    UNIT: int  # stubs: FRSTOR, HLT; FNSAVE, HLT; WRMSR, HLT
    UNIT_AREA: int
    handlers: int  # their linear address
    flat: int  # added to a physical address of UNIT and UNIT_AREA it is linear

    def __init__(self) -> None:
        self.memory = bytearray(RAM_SIZE)
        self.device = Device()
        self.ram = Ram(self.memory, RAM_SIZE, OPS)
        self.cpu = Interp(self.ram, self.device)
        self.world: World | None = None
        self._code = b""
        self._tables = bytes(at.PAGE)
        self._before: tuple[int | str, ...] = ()
        self._place_handlers()
        self._place_unit()

    def _place_handlers(self) -> None:
        for vector in range(tables.VECTORS):
            self.memory[self.HANDLERS + vector * tables.HANDLER_SIZE] = 0xF4

    def _place_unit(self) -> None:
        area = struct.pack("<I", self.UNIT_AREA + self.flat)
        code = b"\xdd\x25" + area + b"\xf4\xdd\x35" + area + b"\xf4\x0f\x30\xf4"
        self.memory[self.UNIT : self.UNIT + len(code)] = code

    # --- worlds ---------------------------------------------------------------------------------

    def enter(self, world: World) -> None:
        """All of the privileged state; run() puts back what an experiment changes."""
        self.world = world
        self.device.value = world.device
        self._build(world)
        self._before = ()
        self._reset()
        self._write_counter(world.device)
        self._reset()
        self.cpu.flush()
        self.cpu.take_news()
        self._before = self._privileged(False)

    def _build(self, world: World) -> None:
        """The tables of a world, in memory and in `_tables`."""
        raise NotImplementedError

    def _reset(self) -> None:
        """Put the privileged state back."""
        raise NotImplementedError

    def _reset_debug_registers(self) -> None:
        """Only RESET# reaches them from outside."""
        if any(self.cpu.debug_register(n) != value for n, value in DEBUG_RESET.items()):
            self.cpu.reset()

    def _flags(self, world: World) -> int:
        bits = IF if world.interrupts else 0
        return FIXED | bits | world.iopl << 12 | (VM if world.v86 else 0)

    # --- experiments ----------------------------------------------------------------------------

    def run(self, experiment: Experiment) -> Outcome:
        """One instruction."""
        cpu, memory = self.cpu, self.memory
        assert self.world is not None
        self._put_code(experiment.code)
        x87 = experiment.form.x87
        if x87:
            self._unit(self.UNIT, UNIT_STATE)
        self._reset()
        memory[self.WINDOW : self.WINDOW + WINDOW_SIZE] = experiment.window
        for number, value in enumerate(experiment.regs):
            cpu.set_reg(number, value)
        cpu.set_flags(experiment.flags | self._flags(self.world))
        cpu.eip = experiment.place.code
        cpu.set_icount(COUNT)
        self.device.written.clear()
        cpu.take_news()
        reason = cpu.run(1)
        return self._outcome(experiment, reason, x87)

    def _put_code(self, code: bytes) -> None:
        if code != self._code:
            length = max(len(code), len(self._code))
            place = self.CODE
            self.memory[place : place + length] = code.ljust(length, b"\xcc")
            self.ram.written(place, length)
            self._code = code

    def _outcome(self, experiment: Experiment, reason: int, x87: bool) -> Outcome:
        cpu = self.cpu
        vector = self._handler()
        if vector is not None and reason == EXIT_HALT:
            error, visible = self._frame(vector)
            return Outcome(Trap(vector, error), visible, self._before, self._before)
        after = self._privileged(reason == EXIT_HALT)
        visible = self._visible(cpu.eip, cpu.flags(), cpu.reg(4))
        if x87:
            visible = visible._replace(unit=self._unit(self.UNIT + SAVE_AT))
        return Outcome(None, visible, self._before, after, vector)

    def _handler(self) -> int | None:
        """The vector in whose handler the processor is."""
        distance = self.cpu.eip + self.cpu.segment(CS)[1] - self.handlers
        if 0 <= distance < tables.VECTORS * tables.HANDLER_SIZE:
            return int(distance) // tables.HANDLER_SIZE
        return None

    def _frame(self, vector: int) -> tuple[int, Visible]:
        """Error code and visible state of a fault, from the frame that its gate pushed."""
        cpu, world = self.cpu, self.world
        assert world is not None
        place = self._physical_stack() if world.cpl or world.cr0 & 1 else None
        if place is None:
            return 0, self._visible(cpu.eip, cpu.flags(), cpu.reg(4))
        error = 0
        if vector in WITH_ERROR:
            (error,) = struct.unpack_from("<I", self.memory, place)
            place += 4
        eip, cs, flags, esp, ss = struct.unpack_from("<5I", self.memory, place)
        visible = self._visible(eip, flags, esp if world.cpl else place)
        before = list(visible.selectors)
        before[1] = (cs & 0xFFFF) - self._privilege(cs)
        if world.cpl:
            before[2] = (ss & 0xFFFF) - self._privilege(ss)
        return error, visible._replace(selectors=tuple(before))

    def _physical_stack(self) -> int:
        raise NotImplementedError

    def _visible(self, eip: int, flags: int, esp: int) -> Visible:
        cpu = self.cpu
        reg = cpu.reg
        return Visible(
            (reg(0), reg(1), reg(2), reg(3), esp, reg(5), reg(6), reg(7)),
            eip,
            flags & USER_FLAGS,
            self._selectors(),
            bytes(self.memory[self.WINDOW : self.WINDOW + WINDOW_SIZE]),
            b"",
        )

    def _privileged(self, halted: bool) -> tuple[int | str, ...]:
        """The values of outcome.PRIVILEGED."""
        cpu, debug = self.cpu, self.cpu.debug_register
        flags = cpu.flags()
        local, task = cpu.segment(LDTR), cpu.segment(TR)
        caches: list[int] = []
        for number in range(6):
            caches += self._cache(cpu.segment(number))
        page = self.memory[self.TABLES : self.TABLES + at.PAGE]
        return (
            *(cpu.cpl, flags >> 9 & 1, (flags & IOPL) >> 12, (flags & VM) // VM),
            *((flags & VIF) // VIF, (flags & VIP) // VIP, (flags & RF) // RF),
            *(self._privilege(cpu.segment(number)[0]) for number in (CS, SS)),
            *caches,
            *(local[0], local[1], task[0], task[1]),
            *(cpu.gdtr_base, cpu.gdtr_limit, cpu.idtr_base, cpu.idtr_limit),
            *(cpu.cr0, cpu.cr2, cpu.cr3, cpu.cr4),
            *(debug(0), debug(1), debug(2), debug(3), debug(6), debug(7)),
            *(cpu.tsc_offset, cpu.msr_sysenter_cs),
            *(int(halted), cpu.take_news(), str(self.device.written or "")),
            "as before" if page == self._tables else "changed",
        )

    def _selectors(self) -> tuple[int, ...]:
        """Those of CS and SS without what is the mode's."""
        found = [self.cpu.segment(number)[0] for number in range(6)]
        for number in (CS, SS):
            found[number] -= self._privilege(found[number])
        return tuple(found)

    def _privilege(self, selector: int) -> int:
        """The part of a selector in CS or SS that says the mode: its RPL."""
        return selector & 3

    def _cache(self, segment: tuple[int, int, int, int]) -> tuple[int, int, int]:
        """The part of a descriptor cache that is state of its own: all but the selector."""
        return segment[1:]

    def _write_counter(self, value: int) -> None:
        """The performance counter, by an instruction of ring 0's own."""
        cpu = self.cpu
        for number, word in ((ECX, PERFORMANCE_COUNTER), (EAX, value), (EDX, 0)):
            cpu.set_reg(number, word)
        self._ring0(self.UNIT + WRMSR_AT)

    def _unit(self, stub: int, image: bytes | None = None) -> bytes:
        """Load or save the x87 unit by an instruction of ring 0's own."""
        area = slice(self.UNIT_AREA, self.UNIT_AREA + SAVED_BYTES)
        if image is not None:
            self.memory[area] = image
        self._ring0(stub)
        return bytes(self.memory[area])

    def _ring0(self, stub: int) -> None:
        """Run one of the stubs."""
        cpu = self.cpu
        cpu.set_flags(FIXED)
        cpu.cr0 = cpu.cr0 & ~(CR0_EM | CR0_TS) & 0xFFFF_FFFF | CR0_PE
        for number in (CS, SS, DS):
            rights = 0xC09B if number == CS else 0xC093
            cpu.set_segment(number, tables.KERNEL_CODE, 0, 0xFFFF_FFFF, rights)
        cpu.set_privilege(0)
        cpu.eip = stub + self.flat
        if cpu.run(2) != EXIT_HALT:
            raise AssertionError("a stub of the bench faults")


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
        self._reset_debug_registers()
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
        self._reset_debug_registers()
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


@lru_cache(maxsize=1)
def benches() -> dict[int, Bench]:
    """By code size. They keep nothing between two experiments."""
    return {32: ProtectedBench(), 16: SixteenBitBench()}

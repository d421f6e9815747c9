"""The bench: one processor that runs any experiment in any world, each time from scratch.

    bench = benches()[32]
    bench.enter(MONITOR)
    outcome = bench.run(experiment)

Physical memory is 64 KiB. A handler is one HLT, so a fault ends in a halt there, while INT n ends
behind the gate with its budget spent.

    address    protected mode               16-bit code
    0000       tables                       real mode's interrupt table
    1000       directory, page tables       code
    2000                                    data
    4000                                    tables
    5000       second directory
    6000       handlers                     handlers
    7000       ring 0 stack                 ring 0 stack
    8000       stubs                        stubs
    9000       FNSAVE image                 FNSAVE image
    A000       code; data at B000, C000
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod

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
    EXIT_HALT,
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
    UNIT_STATE,
    WINDOW_SIZE,
    Experiment,
)
from bt.virtualizability.outcome import USER_FLAGS, ExperimentOutcome, Trap, Visible
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


class Bench(ABC):
    """What both benches share. Physical addresses of its pieces are class constants."""

    TABLES: int
    HANDLERS: int
    CODE: int
    WINDOW: int
    UNIT: int  # stubs: FRSTOR, HLT; FNSAVE, HLT; WRMSR, HLT
    UNIT_AREA: int
    handlers: int  #: their linear address
    flat: int  #: added to a physical address of UNIT and UNIT_AREA it is linear

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
        self._reset_processor()
        self._reset()
        self.cpu.flush()
        self.cpu.take_news()
        self._before = self._privileged(False)

    @abstractmethod
    def _build(self, world: World) -> None:
        """The tables of a world, in memory and in `_tables`."""

    @abstractmethod
    def _reset(self) -> None:
        """Put the privileged state back."""

    def _reset_processor(self) -> None:
        """RESET#, and what it clears of a world."""
        assert self.world is not None
        self.cpu.reset()
        self._reset()
        self._write_counter(self.world.device)

    def _flags(self, world: World) -> int:
        bits = IF if world.interrupts else 0
        return FIXED | bits | world.iopl << 12 | (VM if world.v86 else 0)

    # --- experiments ----------------------------------------------------------------------------

    def run(self, experiment: Experiment) -> ExperimentOutcome:
        """One instruction."""
        cpu, memory = self.cpu, self.memory
        assert self.world is not None
        self._put_code(experiment.code)
        x87 = experiment.form.x87
        if any(cpu.debug_register(n) != value for n, value in DEBUG_RESET.items()):
            self._reset_processor()  # nothing else reaches them from outside
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

    def _outcome(self, experiment: Experiment, reason: int, x87: bool) -> ExperimentOutcome:
        cpu = self.cpu
        vector = self._handler()
        if vector is not None and reason == EXIT_HALT:
            error, visible = self._frame(vector)
            return ExperimentOutcome(Trap(vector, error), visible, self._before, self._before)
        after = self._privileged(reason == EXIT_HALT)
        visible = self._visible(cpu.eip, cpu.flags(), cpu.reg(4))
        if x87:
            visible = visible._replace(unit=self._unit(self.UNIT + SAVE_AT))
        return ExperimentOutcome(None, visible, self._before, after, vector)

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

    @abstractmethod
    def _physical_stack(self) -> int:
        """Physical address of the stack."""

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

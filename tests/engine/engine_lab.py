"""An engine on the bench: a guest in ring 3 with a few pages, and nothing but the contract.

    lab = Lab(ENGINES["interp"])
    lab.finish("mov eax, [0x20000]")            # runs to its end, an INT 0x20 behind it
    exit_ = lab.fault("mov eax, [0x24000]")     # one instruction that faults; nothing has changed
    assert (exit_.vector, exit_.error, exit_.address) == (PF, 4, 0x24000)

The guest's registers are `lab.ideal`'s, an ideal processor: `lab.set(eax=1)`, `lab.reg("eax")`.
Linear memory, all of it in the address space `lab.space`, by name and frame:

    CODE       0x10000  frame 0        read, execute
    DATA       0x20000  frames 4 to 7  read, write; the page behind, HOLE, is not mapped
    READ_ONLY  0x30000  frame 8        read
    STACK      0x40000  frame 9        read, write; ESP is its middle

Frames FREE to FREE + 7 are RAM that nothing leads to. Behind RAM lies the monitor's memory: MONITOR
is its physical address. What lies behind that, an engine may have for itself.

Counts of an engine without exact ones are `Estimate`s here, equal to whatever they are compared
with: the same tests hold exact engines to them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from inexact import TABLES

import bt.assembler
from bt.contract import (
    EXIT_BUDGET,
    EXIT_EXCEPTION,
    EXIT_SOFTINT,
    EXITS,
    PERM_EXEC,
    PERM_WRITE,
    AddressSpace,
    Engine,
    PortEngine,
)
from bt.engine import EngineClass, Interp, Ram
from bt.interp.state import CS, FRAME_MONITOR, SS
from monitor.vmm.memory import GuestMemory

DE, DB, BP, OF, BR, UD, NM, SS_FAULT, GP, PF, MF, AC = 0, 1, 3, 4, 5, 6, 7, 12, 13, 14, 16, 17
VECTORS = (DE, BR, UD, NM, SS_FAULT, GP, PF, MF, AC)  # what an engine reports as an exception
NAMES = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")

PAGE = 0x1000
CODE, DATA, HOLE, READ_ONLY, STACK = 0x10000, 0x20000, 0x24000, 0x30000, 0x40000
FRAMES = {CODE: 0, READ_ONLY: 8, STACK: 9} | {DATA + PAGE * i: 4 + i for i in range(4)}
FREE = 10
SCRATCH = 0x1F000  # where the ideal processor's own few instructions are; no guest page
RAM_SIZE = 0x20000
MONITOR, MONITOR_SIZE = RAM_SIZE, 0x10000
ENGINES_OWN = TABLES  # bytes behind it
CEILING = 0xFF800000

FLAT = 0xFFFFFFFF
CODE3, DATA3 = 0xC0FB, 0xC0F3  # rights of flat segments: present, DPL 3, accessed, 4 KiB, 32 bits
SELECTORS = {"es": 0x2B, "cs": 0x23, "ss": 0x2B, "ds": 0x2B, "fs": 0x33, "gs": 0x3B}
FLAGS = 0x202
END = b"\xcd\x20"  # INT 0x20
X87_SIZE = 108


@cache
def assemble(source: str, at: int = CODE, bits: int = 32) -> bytes:
    """Machine code of Intel-syntax assembly."""
    return bt.assembler.assemble(source, at, bits)


class Estimate(int):
    """A number that nobody holds an engine to."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __sub__(self, other: int) -> Estimate:
        return self

    __hash__ = int.__hash__


@dataclass
class Ports:
    """A bus whose reads count up from 0x11223344, and which remembers everything."""

    engine: PortEngine[Any] | None = None
    wants_loop: bool = False
    error: Exception | None = None
    log: list[tuple[str, int, int, int]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def read_port(self, port: int, size: int) -> int:
        value = 0x11223344 + len(self.log) & (1 << 8 * size) - 1
        self._access("in", port, size, value)
        return value

    def write_port(self, port: int, size: int, value: int) -> None:
        self._access("out", port, size, value)

    def _access(self, *access: Any) -> None:
        self.log.append(access)
        assert self.engine is not None
        self.counts.append(self.engine.io_icount)
        if self.wants_loop:
            self.engine.recheck = 1
        if self.error is not None:
            raise self.error


@dataclass(frozen=True)
class Exit:
    """How a run ended."""

    reason: int
    eip: int
    count: int
    vector: int | None = None  # of an exception
    error: int = 0
    address: int | None = None  # of a page fault that is no traced write
    traced: bool = False
    arg: int | None = None  # of a software interrupt


class Lab:
    def __init__(self, kind: EngineClass) -> None:
        extra = MONITOR_SIZE + ENGINES_OWN
        self.memory = GuestMemory(RAM_SIZE, extra)
        self.ram = Ram(self.memory.buffer, RAM_SIZE + extra, 1 << 13, self.memory.file)
        self.ram.set_frames(MONITOR >> 12, extra >> 12, FRAME_MONITOR)
        self.ports = Ports()
        self.ideal = Interp(self.ram, self.ports)
        self.engine: Any = kind(self.ram, self.ports)
        self.ports.engine = self.engine
        self.exact = kind.traits.exact_counts
        self.frames = self.engine.memory()
        self.space: AddressSpace = self.engine.new_space()
        self.engine.use_space(self.space)
        self.count = 0
        self.loaded = 0  # bytes of code that program() put at CODE last
        for la, frame in FRAMES.items():
            writable = DATA <= la < HOLE or la == STACK
            self.map(la, frame, PERM_EXEC if la == CODE else PERM_WRITE if writable else 0)
        self.ideal.cr0 = 0x33  # protected, MP, ET, NE
        for name_ in SEGMENTS:
            self.segment(name_)
        self.ideal.set_privilege(3)
        self.ideal.set_flags(FLAGS)
        self.set(esp=STACK + 0x800)
        self.load_x87(x87_image())

    # --- memory -------------------------------------------------------------------------

    def map(self, la: int, frame: int, perm: int) -> None:
        self.engine.map_page(self.space, la, frame << 12, perm)

    def write(self, pa: int, data: bytes) -> None:
        """Change physical memory from outside, as a device does."""
        self.memory.buffer[pa : pa + len(data)] = data
        self.frames.written(pa, len(data))

    def read(self, pa: int, size: int) -> bytes:
        return bytes(self.memory.buffer[pa : pa + size])

    def poke(self, la: int, data: bytes) -> None:
        """write(), at one of FRAMES' linear addresses."""
        self.write(physical(la), data)

    def peek(self, la: int, size: int) -> bytes:
        return self.read(physical(la), size)

    def dword(self, la: int) -> int:
        return int.from_bytes(self.peek(la, 4), "little")

    def all_memory(self) -> bytes:
        return bytes(self.memory.buffer[: RAM_SIZE + MONITOR_SIZE])

    # --- registers ----------------------------------------------------------------------

    def set(self, **registers: int) -> None:
        """General registers, eip, flags."""
        for name, value in registers.items():
            if name == "eip":
                self.ideal.eip = value
            elif name == "flags":
                self.ideal.set_flags(value)
            else:
                self.ideal.set_reg(NAMES.index(name), value)

    def reg(self, name: str) -> int:
        return int(self.ideal.reg(NAMES.index(name)))

    def regs(self) -> list[int]:
        return [int(self.ideal.reg(i)) for i in range(8)]

    def segment(
        self,
        name: str,
        base: int = 0,
        limit: int = FLAT,
        rights: int | None = None,
        selector: int | None = None,
    ) -> None:
        """Load a descriptor cache of the guest's; `limit` in bytes."""
        if rights is None:
            rights = CODE3 if name == "cs" else DATA3
        if selector is None:
            selector = SELECTORS[name]
        self.ideal.set_segment(SEGMENTS.index(name), selector, base, limit, rights)

    def guest(self) -> tuple[Any, ...]:
        """All that a run may change of the guest, memory apart."""
        segments = [tuple(self.ideal.segment(i)) for i in range(6)]
        return self.regs(), int(self.ideal.flags()), int(self.ideal.eip), segments, self.save_x87()

    def load_x87(self, image: bytes) -> None:
        """FNINIT, in case an exception is pending, and FRSTOR by the ideal processor."""
        self._by_ideal(b"\xdb\xe3\xdd\x25", 2, image)

    def save_x87(self) -> bytes:
        """FNSAVE by the ideal processor, which keeps its state."""
        image = self._by_ideal(b"\xdd\x35", 1, bytes(X87_SIZE))
        self.load_x87(image)
        return image

    def _by_ideal(self, opcode: bytes, count: int, image: bytes) -> bytes:
        """`count` instructions of the ideal processor, `image` is the last one's operand."""
        place = SCRATCH + 0x100
        code = opcode + place.to_bytes(4, "little")
        self.memory.buffer[SCRATCH : SCRATCH + len(code)] = code
        self.ram.written(SCRATCH, len(code))
        self.memory.buffer[place : place + X87_SIZE] = image
        before = self.ideal.save_state()
        self.ideal.cr0 = 0x31
        self.ideal.set_segment(CS, 0x23, 0, FLAT, CODE3)
        for i in (0, SS, 3):
            self.ideal.set_segment(i, 0x2B, 0, FLAT, DATA3)
        self.ideal.set_flags(FLAGS)
        self.ideal.eip = SCRATCH
        reason = self.ideal.run(count)
        assert reason == EXIT_BUDGET, (reason, self.ideal.fault_vector)
        x87 = {n: v for n, v in self.ideal.save_state().items() if n.startswith("fp")}
        self.ideal.load_state(before | x87)
        return self.read(place, X87_SIZE)

    # --- running ------------------------------------------------------------------------

    def program(self, code: str | bytes, at: int = CODE, end: bytes = END) -> int:
        """Put code at a linear address of FRAMES and point EIP there; the address of its end."""
        data = assemble(code, at) if isinstance(code, str) else code
        self.poke(at, data + end)
        self.ideal.eip = at
        return at + len(data)

    def run(self, budget: int = 100_000, ceiling: int = CEILING) -> Exit:
        """run_direct() from and to `lab.ideal`."""
        reason = self.engine.run_direct(self.ideal, ceiling, self.count, budget)
        return self.left(reason, budget)

    def left(self, reason: int, budget: int) -> Exit:
        """What the engine tells of a run that it has just ended."""
        before, self.count = self.count, self.engine.icount()
        assert reason in EXITS and reason == self.engine.exit_reason
        done = self.count - before
        if not self.exact:
            assert done >= 0, "an estimate never goes back"
            return self.describe(reason)
        assert done == budget if reason == EXIT_BUDGET else 0 <= done <= budget
        assert done < budget or reason != EXIT_EXCEPTION, "what faults has not been paid for"
        return self.describe(reason)

    def describe(self, reason: int) -> Exit:
        """What the engine tells, and where the count is."""
        return describe(self.engine, reason, self.count if self.exact else Estimate(self.count))

    def finish(self, code: str | bytes, budget: int = 100_000, **registers: int) -> Exit:
        """Run code that ends at its end."""
        end = self.program(code)
        self.set(**registers)
        exit_ = self.run(budget)
        assert (exit_.reason, exit_.arg, exit_.eip) == (EXIT_SOFTINT, 0x20, end), exit_
        return exit_

    def fault(self, code: str | bytes, **registers: int) -> Exit:
        """Run one instruction that faults; nothing at all may have changed."""
        self.program(code)
        self.set(**registers)
        guest, memory = self.guest(), self.all_memory()
        exit_ = self.run()
        assert exit_.reason == EXIT_EXCEPTION, exit_
        assert self.guest() == guest
        assert self.all_memory() == memory
        return exit_


def describe(engine: Engine[Any], reason: int, count: int) -> Exit:
    exit_ = Exit(reason, engine.eip, count)
    if reason == EXIT_SOFTINT:
        return Exit(reason, engine.eip, count, arg=engine.exit_arg)
    if reason != EXIT_EXCEPTION:
        return exit_
    vector, error, traced = engine.fault_vector, engine.fault_error, bool(engine.traced)
    address = engine.cr2 if vector == PF and not traced else None
    return Exit(reason, engine.eip, count, vector, error, address, traced)


def physical(la: int) -> int:
    """Where one of FRAMES' linear addresses is."""
    return (FRAMES[la & -PAGE] << 12) + (la & PAGE - 1)


def x87_image(
    control: int = 0x37F, status: int = 0, tags: int = 0xFFFF, stack: Iterable[bytes] = ()
) -> bytes:
    """What FNSAVE stores (SDM vol. 1, figure 8-9): 32-bit protected form, pointers 0."""
    words = (control, status, tags, 0, 0, 0, 0)
    head = b"".join((word | (0xFFFF0000 if i in (0, 1, 2, 6) else 0)).to_bytes(4, "little")
                    for i, word in enumerate(words))  # fmt: skip
    values = b"".join(stack)
    return head + values + bytes(80 - len(values))

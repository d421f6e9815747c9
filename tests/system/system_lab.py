"""A processor on the bench: a small protected-mode machine for directed tests of the system half.

`Lab()` is a flat 32-bit machine with a GDT, an IDT whose every vector leads to a HLT of its own, a
TSS with stacks, and no paging. A test assembles a few instructions, runs them to a HLT, and looks
where the processor stopped:

    lab = Lab()
    stop = lab.run("mov ax, 0x70; mov ds, ax")      # 0x70 is not present
    assert stop.vector == NP and stop.error == 0x70

`stop.vector` is None when the code ran to its end; `stop.frame` holds the words on the stack from
its top. The same tests run in both builds.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import bt.assembler
from bt.engine import Interp, Ram

DE, DB, BP, OF, BR, UD, NM, DF, TS, NP, SS_FAULT, GP, PF = (
    0,
    1,
    3,
    4,
    5,
    6,
    7,
    8,
    10,
    11,
    12,
    13,
    14,
)
EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI = range(8)
ES, CS, SS, DS, FS, GS, LDTR, TR = range(8)
EXIT_HALT, EXIT_SHUTDOWN, EXIT_IO = 2, 6, 7
FLAG_TF, FLAG_IF, FLAG_NT, FLAG_RF, FLAG_VM = 0x100, 0x200, 0x4000, 0x10000, 0x20000

# Where things are
GDT, IDT, LDT, TSS_MAIN, TSS_TWO, TSS_16 = 0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000
CODE, HANDLERS, DATA = 0x10000, 0x20000, 0x30000
STACK0, STACK1, STACK2, STACK3 = 0x9000, 0xA000, 0xB000, 0xC000

# Selectors of the GDT
CODE0, DATA0, CODE3, DATA3 = 0x08, 0x10, 0x1B, 0x23
MAIN_TSS, LDT_SEL, TWO_TSS, TSS16_SEL = 0x28, 0x30, 0x38, 0x40
CODE1, DATA1, CONFORMING, EXEC_ONLY, READ_ONLY, ABSENT = 0x49, 0x51, 0x58, 0x60, 0x68, 0x70
EXPAND_DOWN, CODE16, DATA16, CODE2, DATA2, ABSENT_CODE = 0x78, 0x80, 0x88, 0x92, 0x9A, 0xA0
FREE = 0xC0  # from here on for the tests: 0xC0, 0xC8, ... 0xF8
GDT_LIMIT = 0xFF


def descriptor(base: int, limit: int, attr: int) -> bytes:
    """A segment descriptor; attr as in the manual's bits 8-23 of the second dword, >> 8."""
    low = (limit & 0xFFFF) | (base & 0xFFFF) << 16
    high = (base >> 16) & 0xFF | attr << 8 | limit & 0xF0000 | base & 0xFF000000
    return struct.pack("<II", low, high)


def gate(
    kind: int, selector: int, offset: int, dpl: int = 0, present: int = 1, count: int = 0
) -> bytes:
    """Call, interrupt, trap or task gate."""
    low = selector << 16 | offset & 0xFFFF
    high = offset & 0xFFFF0000 | present << 15 | dpl << 13 | kind << 8 | count
    return struct.pack("<II", low, high)


@cache
def assemble(source: str, at: int, bits: int) -> bytes:
    return bt.assembler.assemble(source, at, bits)


@dataclass
class Ports:
    """The bus: remembers writes, answers reads, can ask for the loop."""

    cpu: Any = None
    written: list[tuple[int, int, int]] = field(default_factory=list)
    values: dict[int, int] = field(default_factory=dict)
    seen: list[tuple[int, int]] = field(default_factory=list)
    interrupt_on: int = -1

    def read_port(self, port: int, size: int) -> int:
        self._note(port)
        return self.values.get(port, (1 << (8 * size)) - 1)

    def write_port(self, port: int, size: int, value: int) -> None:
        self._note(port)
        self.written.append((port, size, value))

    def _note(self, port: int) -> None:
        self.seen.append((self.cpu.eip, self.cpu.io_icount))
        if port == self.interrupt_on:
            self.cpu.recheck = 1

    def read_memory(self, address: int, size: int) -> int:
        return (1 << (8 * size)) - 1

    def write_memory(self, address: int, size: int, value: int) -> None:
        pass


@dataclass
class Stop:
    """Where a run ended."""

    reason: int
    vector: int | None
    eip: int
    frame: list[int]  # doublewords from the top of the stack

    @property
    def error(self) -> int:
        return self.frame[0]


class Lab:
    SIZE = 1 << 20

    def __init__(self, external: bool = False) -> None:
        self.memory = bytearray(self.SIZE)
        self.ram = Ram(self.memory, self.SIZE, 4096)
        self.ports = Ports()
        self.cpu = Interp(self.ram, self.ports, external)
        self.ports.cpu = self.cpu
        self._tables()
        self._registers()

    def _tables(self) -> None:
        flat = 0xFFFFF
        for selector, base, limit, attr in (
            (CODE0, 0, flat, 0xC09A),
            (DATA0, 0, flat, 0xC092),
            (CODE3, 0, flat, 0xC0FA),
            (DATA3, 0, flat, 0xC0F2),
            (MAIN_TSS, TSS_MAIN, 0xFFF, 0x8B),
            (LDT_SEL, LDT, 0x1F, 0x82),
            (TWO_TSS, TSS_TWO, 0x67, 0x89),
            (TSS16_SEL, TSS_16, 0x2B, 0x81),
            (CODE1, 0, flat, 0xC0BA),
            (DATA1, 0, flat, 0xC0B2),
            (CONFORMING, 0, flat, 0xC09E),
            (EXEC_ONLY, 0, flat, 0xC098),
            (READ_ONLY, 0, flat, 0xC090),
            (ABSENT, 0, flat, 0xC012),
            (EXPAND_DOWN, 0, 0xFFF, 0x4096),
            (CODE16, 0, 0xFFFF, 0x009A),
            (DATA16, 0, 0xFFFF, 0x0092),
            (CODE2, 0, flat, 0xC0DA),
            (DATA2, 0, flat, 0xC0D2),
            (ABSENT_CODE, 0, flat, 0xC01A),
        ):
            self.describe(selector, descriptor(base, limit, attr))
        for vector in range(48):
            at = HANDLERS + vector * 16
            self.memory[at] = 0xF4
            self.idt(vector, gate(14, CODE0, at))
        self.dword(TSS_MAIN + 4, STACK0, DATA0, STACK1, DATA1, STACK2, DATA2)
        self.memory[TSS_MAIN + 102 : TSS_MAIN + 104] = struct.pack("<H", 104)

    def _registers(self) -> None:
        c = self.cpu
        c.cr0 = 0x11
        c.gdtr_base, c.gdtr_limit = GDT, GDT_LIMIT
        c.idtr_base, c.idtr_limit = IDT, 48 * 8 - 1
        self.load(TR, MAIN_TSS)
        self.load(LDTR, LDT_SEL)
        self.ring(0)

    # --- setting up ------------------------------------------------------------------------------

    def ring(self, cpl: int) -> Lab:
        """Flat segments and a stack for a privilege level."""
        code = (CODE0, CODE1, CODE2, CODE3)[cpl]
        data = (DATA0, DATA1, DATA2, DATA3)[cpl]
        for seg in (ES, SS, DS, FS, GS):
            self.load(seg, data)
        self.load(CS, code)
        self.cpu.set_privilege(cpl)
        self.cpu.set_reg(ESP, (0x8000, STACK1, STACK2, STACK3)[cpl])
        return self

    def real_mode(self) -> Lab:
        """Real mode, 16-bit code at CODE, IVT at 0 leading to the handlers."""
        self.cpu.cr0 = 0x10
        for seg in range(6):
            self.cpu.set_segment(seg, 0, 0, 0xFFFF, 0x93)
        self.cpu.set_segment(CS, CODE >> 4, CODE, 0xFFFF, 0x93)
        self.cpu.set_privilege(0)
        self.cpu.idtr_base, self.cpu.idtr_limit = 0, 0x3FF
        for vector in range(48):
            self.dword(vector * 4, (HANDLERS >> 4) << 16 | vector * 16)
        self.cpu.set_reg(ESP, 0x8000)
        return self

    def v86(self, iopl: int = 3) -> Lab:
        """Virtual-8086 mode, as after an IRET from ring 0."""
        self.cpu.set_flags(FLAG_VM | FLAG_IF | iopl << 12)
        for seg in range(6):
            self.cpu.set_segment(seg, 0, 0, 0xFFFF, 0xF3)
        self.cpu.set_segment(CS, CODE >> 4, CODE, 0xFFFF, 0xF3)
        self.cpu.set_privilege(3)
        self.cpu.set_reg(ESP, 0x7000)
        return self

    def load(self, seg: int, selector: int) -> None:
        """Load a segment register from the GDT without checks."""
        at = GDT + (selector & 0xFFF8)
        low, high = struct.unpack_from("<II", self.memory, at)
        base = low >> 16 | (high & 0xFF) << 16 | high & 0xFF000000
        limit = low & 0xFFFF | high & 0xF0000
        if high & 0x800000:
            limit = limit << 12 | 0xFFF
        self.cpu.set_segment(seg, selector, base, limit, high >> 8 & 0xF0FF)

    def describe(self, selector: int, entry: bytes, table: int = GDT) -> None:
        at = table + (selector & 0xFFF8)
        self.memory[at : at + 8] = entry

    def idt(self, vector: int, entry: bytes) -> None:
        self.memory[IDT + vector * 8 : IDT + vector * 8 + 8] = entry

    def dword(self, at: int, *values: int) -> None:
        struct.pack_into(f"<{len(values)}I", self.memory, at, *values)

    def word(self, at: int, *values: int) -> None:
        struct.pack_into(f"<{len(values)}H", self.memory, at, *values)

    # --- looking -----------------------------------------------------------------------------

    def peek(self, at: int, size: int = 4) -> int:
        return int.from_bytes(self.memory[at : at + size], "little")

    def attr(self, selector: int) -> int:
        """Bits 8-15 of a descriptor's second dword, as they are in memory now."""
        return self.memory[GDT + (selector & 0xFFF8) + 5]

    def sel(self, seg: int) -> int:
        return self.cpu.segment(seg)[0]

    def reg(self, i: int) -> int:
        return self.cpu.reg(i)

    def regs(self) -> list[int]:
        return [self.cpu.reg(i) for i in range(8)]

    # --- running -----------------------------------------------------------------------------

    def run(self, source: str | bytes, bits: int = 32, budget: int = 1000) -> Stop:
        """Run code at CODE to its end: a HLT is appended, outside ring 0 an UD2."""
        origin = CODE - self.cpu.segment(CS)[1]
        code = source if isinstance(source, bytes) else assemble(source, origin, bits)
        code += b"\xf4" if self.cpu.cpl == 0 else b"\x0f\x0b"
        self.memory[CODE : CODE + len(code)] = code
        self.ram.written(CODE, len(code))
        self.cpu.eip = origin
        return self.go_on(budget)

    def go_on(self, budget: int = 1000) -> Stop:
        c = self.cpu
        reason = c.run(budget)
        top = (c.segment(SS)[1] + c.reg(ESP)) & (self.SIZE - 1)
        frame = list(struct.unpack_from("<12I", self.memory, min(top, self.SIZE - 48)))
        vector = None
        place = c.segment(CS)[1] + c.eip - 1 - HANDLERS
        if reason == EXIT_HALT and place % 16 == 0 and 0 <= place < 48 * 16:
            vector = place // 16
        return Stop(reason, vector, c.eip, frame)


def external_lab() -> Lab:
    """A processor that serves a monitor; all of RAM mapped 1:1 for all it reads and writes."""
    lab = Lab(external=True)
    for page in range(Lab.SIZE >> 12):
        for space in (lab.cpu.user, lab.cpu.sup):
            lab.cpu.map_page(space, page << 12, page << 12, 7)
    return lab

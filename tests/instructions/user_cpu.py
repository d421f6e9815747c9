"""A processor in ring 3 with a few pages: what the directed instruction tests run on.

It is an *external* processor, so every fault leaves run() and can be looked at. Linear memory:

    0x10000  code (read, execute)       0x20000 to 0x27FFF  data (read, write)
    0x30000  a read-only page           everything else is not mapped
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bt.engine import AddressSpace, Interp, Ram
from bt.interp.state import (
    ATTR_P,
    ATTR_S,
    CS,
    EXIT_BUDGET,
    EXIT_EXCEPTION,
    EXIT_IO,
    PERM_EXEC,
    PERM_PRESENT,
    PERM_WRITE,
)

CODE = 0x10000
DATA = 0x20000
DATA_SIZE = 0x8000
READ_ONLY = 0x30000
PHYSICAL = {CODE: 0, READ_ONLY: 0x1000, DATA: 0x8000}
RAM_SIZE = 0x10000

CODE_ATTR = 0xC00B | ATTR_S | ATTR_P | 0x60
DATA_ATTR = 0xC003 | ATTR_S | ATTR_P | 0x60


@dataclass(frozen=True)
class Fault:
    """How a run ended: the exception, and CR2 for #PF."""

    vector: int
    error: int
    address: int | None


@dataclass
class Ports:
    """A bus that gives numbers away and remembers what it was asked."""

    cpu: Interp | None = None
    wants_loop: bool = False
    reads: list[int] = field(default_factory=list)
    writes: list[int] = field(default_factory=list)

    def ask(self) -> None:
        if self.wants_loop and self.cpu is not None:
            self.cpu.recheck = 1

    def read_port(self, port: int, size: int) -> int:
        self.reads.append(port)
        self.ask()
        return len(self.reads)

    def write_port(self, port: int, size: int, value: int) -> None:
        self.writes.append(value)
        self.ask()

    def read_memory(self, address: int, size: int) -> int:
        return (1 << (8 * size)) - 1

    def write_memory(self, address: int, size: int, value: int) -> None:
        pass


class UserCpu:
    """The processor, with shorthands."""

    def __init__(self) -> None:
        self.memory = bytearray(RAM_SIZE)
        self.ram = Ram(self.memory, RAM_SIZE, 1 << 12)
        self.ports = Ports()
        self.cpu = Interp(self.ram, self.ports, True)
        self.ports.cpu = self.cpu
        self.cpu.cr0 = 0x11
        self.space = AddressSpace(self.ram)
        self.cpu.use_spaces(self.space, AddressSpace(self.ram))
        self.map(CODE, PHYSICAL[CODE], PERM_EXEC)
        self.map(READ_ONLY, PHYSICAL[READ_ONLY], 0)
        for offset in range(0, DATA_SIZE, 0x1000):
            self.map(DATA + offset, PHYSICAL[DATA] + offset, PERM_WRITE)
        for seg in range(6):
            self.segment(seg)
        self.cpu.set_privilege(3)
        self.cpu.set_flags(0x3202)  # IOPL 3: the ports are open

    def map(self, la: int, pa: int, perm: int) -> None:
        self.cpu.map_page(self.space, la, pa, perm | PERM_PRESENT)

    def segment(self, seg: int, base: int = 0, limit: int = 0xFFFF_FFFF) -> None:
        attributes = CODE_ATTR if seg == CS else DATA_ATTR
        self.cpu.set_segment(seg, 0x23 if seg == CS else 0x2B, base, limit, attributes)

    def code(self, text: str) -> int:
        """Put code (hex) at CODE and point EIP there; returns its length."""
        code = bytes.fromhex(text)
        self.ram.written(PHYSICAL[CODE], 64)
        self.memory[:64] = code + b"\xcc" * (64 - len(code))
        self.cpu.eip = CODE
        return len(code)

    def set_regs(self, **values: int) -> None:
        for name, value in values.items():
            self.cpu.set_reg(REGISTERS[name], value)

    def reg(self, name: str) -> int:
        return self.cpu.reg(REGISTERS[name])

    def regs(self) -> list[int]:
        return [self.cpu.reg(number) for number in range(8)]

    def poke(self, la: int, data: bytes) -> None:
        at = PHYSICAL[DATA] + la - DATA
        self.memory[at : at + len(data)] = data

    def peek(self, la: int, size: int) -> bytes:
        at = PHYSICAL[DATA] + la - DATA
        return bytes(self.memory[at : at + size])

    def run(self, budget: int = 1) -> Fault | int | None:
        """None: the budget ran out, as asked; else the fault, or another EXIT_* reason."""
        reason = self.cpu.run(budget)
        if reason == EXIT_BUDGET:
            return None
        if reason != EXIT_EXCEPTION:
            return int(reason)
        error = self.cpu.fault_error if self.cpu.fault_has_error else 0
        vector = self.cpu.fault_vector
        return Fault(vector, error, self.cpu.cr2 if vector == 14 else None)

    def finish(self) -> Fault | int | None:
        """run() for one instruction, taken up again as often as a long REP pauses."""
        while True:
            end = self.run()
            if end != EXIT_IO:
                return end


REGISTERS = {"eax": 0, "ecx": 1, "edx": 2, "ebx": 3, "esp": 4, "ebp": 5, "esi": 6, "edi": 7}

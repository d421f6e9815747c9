"""A whole machine for a few instructions: tables, two rings, and a handler for every vector.

    lab = MachineLab("translate", cpl=3)
    lab.machine.enable("X86_VMWARE_BACKDOOR")
    end = lab.run("mov eax, 0x564d5868; mov ecx, 10; mov edx, 0x5658; in eax, dx")
    assert end.vector is None and lab.reg("ebx") == 0x564D5868

Ring 0 code ends with HLT, ring 3 code with INT 30h; every other vector leads to a HLT of its own.
The I/O permission bitmap is closed, IOPL is 0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cache

import bt.assembler
from bt.interp.state import CS, DS, ES, FS, GS, SS, TR
from monitor import Machine, Outcome

GDT, IDT, TSS, STACK0, STACK3, CODE, HANDLERS, DATA = (
    0x1000, 0x2000, 0x3000, 0x9000, 0xA000, 0x10000, 0x20000, 0x30000
)  # fmt: skip
CODE0, DATA0, CODE3, DATA3, CODE16, DATA16, CODE16_3, DATA16_3 = (
    0x08, 0x10, 0x1B, 0x23, 0x30, 0x38, 0x43, 0x4B
)  # fmt: skip
TSS_SELECTOR = 0x28
DONE = 0x30
UD, GP, PF = 6, 13, 14

DESCRIPTORS = {
    CODE0: 0xC09A, DATA0: 0xC092, CODE3: 0xC0FA, DATA3: 0xC0F2,
    CODE16: 0x009A, DATA16: 0x0092, CODE16_3: 0x00FA, DATA16_3: 0x00F2,
}  # fmt: skip


@cache
def assemble(source: str, bits: int = 32) -> bytes:
    return bt.assembler.assemble(source, CODE, bits)


@dataclass
class End:
    """How a run ended: at a vector's handler, or (None) with the code's own end."""

    outcome: Outcome
    vector: int | None
    frame: tuple[int, ...] = field(default=())  # doublewords from the top of the stack


class MachineLab:
    """One machine in one mode, at CPL 0 or 3, in 16- or 32-bit code."""

    def __init__(self, mode: str, cpl: int = 0, bits: int = 32, **machine: int) -> None:
        self.machine = Machine(memory_mb=1, mode=mode, **machine)
        self.cpl, self.bits = cpl, bits
        self._tables()

    def _tables(self) -> None:
        write = self.machine.memory.write
        for selector, attr in DESCRIPTORS.items():
            limit = 0xFFFFF if attr & 0x8000 else 0xFFFF
            base = 0 if attr & 0x8000 else CODE if attr & 8 else 0
            write(GDT + (selector & ~7), descriptor(base, limit, attr))
        write(GDT + TSS_SELECTOR, descriptor(TSS, 0x68, 0x8B))
        for vector in range(DONE + 1):
            at = HANDLERS + vector * 16
            write(at, b"\xf4")
            dpl = 3 if vector == DONE else 0
            write(IDT + 8 * vector, struct.pack("<HHHH", at & 0xFFFF, CODE0, 0x8E00 | dpl << 13,
                                                at >> 16))  # fmt: skip
        write(TSS + 4, struct.pack("<II", STACK0, DATA0))
        write(TSS + 102, struct.pack("<H", 0x68))  # the bitmap begins at the limit: all closed

    def _registers(self) -> None:
        cpu = self.machine.processor.ideal
        cpu.gdtr_base, cpu.gdtr_limit = GDT, 0x4F
        cpu.idtr_base, cpu.idtr_limit = IDT, 8 * (DONE + 1) - 1
        cpu.set_segment(TR, TSS_SELECTOR, TSS, 0x68, 0x8B)
        code, data = {
            (0, 32): (CODE0, DATA0), (3, 32): (CODE3, DATA3),
            (0, 16): (CODE16, DATA16), (3, 16): (CODE16_3, DATA16_3),
        }[self.cpl, self.bits]  # fmt: skip
        wide = self.bits == 32
        limit = 0xFFFFFFFF if wide else 0xFFFF
        cpu.set_segment(CS, code, 0 if wide else CODE, limit, DESCRIPTORS[code] | 1)
        for seg in (ES, SS, DS, FS, GS):
            cpu.set_segment(seg, data, 0, limit, DESCRIPTORS[data] | 1)
        cpu.set_privilege(self.cpl)
        cpu.set_reg(4, STACK3 if self.cpl else STACK0)
        cpu.set_flags(0x202 if self.cpl else 2)
        cpu.eip = CODE if wide else 0
        self.machine.processor.restarted()

    def load(self, source: str | bytes) -> MachineLab:
        """Assemble and place the code, and the registers at their start."""
        code = source if isinstance(source, bytes) else assemble(source, self.bits)
        self.end_of_code = CODE + len(code)
        ending = b"\xcd\x30" if self.cpl else b"\xf4"
        self.machine.load_flat(code + ending, CODE, esp=STACK0)
        self._registers()
        return self

    def run(self, source: str | bytes | None = None, budget: int = 1_000_000) -> End:
        """Run to the end of the code, or to an exception's handler."""
        if source is not None:
            self.load(source)
        outcome = self.machine.run(max_instructions=budget)
        eip = self.machine.registers["eip"]
        vector = (eip - HANDLERS) // 16 if outcome.kind == "stuck" and eip >= HANDLERS else None
        if vector == DONE or vector is None:
            return End(outcome, None)
        top = self.machine.registers["esp"]
        return End(outcome, vector, struct.unpack("<6I", self.machine.memory.read(top, 24)))

    def reg(self, name: str) -> int:
        return self.machine.registers[name]


def descriptor(base: int, limit: int, attr: int) -> bytes:
    """A segment descriptor; attr as in the manual's bits 8-23 of the second dword, >> 8."""
    low = (limit & 0xFFFF) | (base & 0xFFFF) << 16
    high = (base >> 16) & 0xFF | attr << 8 | limit & 0xF0000 | base & 0xFF000000
    return struct.pack("<II", low, high)

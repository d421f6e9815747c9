"""A small kernel around a few lines of assembly, to run them in every mode.

Around the program stands what a 32-bit program of ring 0 or 3 needs: a GDT, an IDT whose every
vector writes a line into a log, a TSS with a ring 0 stack, the interrupt controllers, and
identity-mapped pages if asked for.

    machine = make(Kernel("mov ax, 0x23 \\n mov ds, ax \\n int 0x31"), "translate")
    machine.run(max_instructions=100_000)
    machine.registers["ds"]                 # 0x23

Conventions for the program, which starts at CODE in ring 0 or 3:

    int 0x31                ends the run (AL is the status of the debug-exit device)
    mov dword ptr [RESUME], label   after a fault, go on there (0: a fault ends the run)
    out 0x21, 0xFE          opens IRQ 0, vector 0x20; its handler logs and returns

A line of the log: vector, error code, EIP, CS, EFLAGS, CR2, ESP before and EAX, as eight
doublewords from LOG on; LOG_END holds the address of the next one.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import bt.assembler
from monitor.guests.assembler import assemble
from monitor.machine import Machine
from monitor.vmm.physical_map import HOLE

MEMORY_MB = 4

# Where things are, physical and linear
BASE = 0x1000
GDT, IDT, TSS, LOG_END, RESUME, LOG = 0x1000, 0x1800, 0x2000, 0x2F00, 0x2F04, 0x3000
UNEXPECTED = 0x2F08  # 1 after a fault that nobody expected
START = 0x2E00  # what the boot code finds there: see Kernel._start()
STACK0, STACK3, BOOT, CODE, DATA = 0x9000, 0xA000, 0xB000, 0x10000, 0x30000
DIRECTORY, TABLES = 0x40000, 0x41000
HOLE_START = HOLE.start  # beyond lies no RAM up to 1 MiB
HIGH = 0xFF800000  # from here on the monitor would like to live

CODE0, DATA0, CODE3, DATA3, MAIN_TSS, FREE = 0x08, 0x10, 0x1B, 0x23, 0x28, 0x38
EXIT_VECTOR = 0x31
PRESENT, WRITE, USER, ACCESSED, DIRTY, LARGE, GLOBAL = 1, 2, 4, 0x20, 0x40, 0x80, 0x100
ERROR_CODES = (8, 10, 11, 12, 13, 14, 17)

#: For a program: the shortest period of the timer, an interrupt about every 335 instructions.
TIMER = """
    mov  al, 0x34
    out  0x43, al
    mov  al, 2
    out  0x40, al
    mov  al, 0
    out  0x40, al
    mov  al, 0xfe
    out  0x21, al
"""

NAMES = f"""
GDT = {GDT:#x}
IDT = {IDT:#x}
TSS = {TSS:#x}
LOG = {LOG:#x}
LOG_END = {LOG_END:#x}
RESUME = {RESUME:#x}
UNEXPECTED = {UNEXPECTED:#x}
START_CS = {START:#x}
START_DATA = {START + 4:#x}
START_ESP = {START + 8:#x}
START_FLAGS = {START + 12:#x}
START_PAGING = {START + 16:#x}
START_CR4 = {START + 20:#x}
START_EIP = {START + 24:#x}
DATA = {DATA:#x}
CODE = {CODE:#x}
DIRECTORY = {DIRECTORY:#x}
TABLE = {TABLES:#x}
HIGH = {HIGH:#x}
STACK0 = {STACK0:#x}
STACK3 = {STACK3:#x}
"""


def descriptor(base: int, limit: int, rights: int) -> bytes:
    """A segment descriptor; rights: bits 8 to 23 of the second doubleword."""
    low = (limit & 0xFFFF) | (base & 0xFFFF) << 16
    high = (base >> 16) & 0xFF | rights << 8 | limit & 0xF0000 | base & 0xFF000000
    return struct.pack("<II", low, high)


def gate(offset: int, rights: int, selector: int = CODE0, words: int = 0) -> bytes:
    """A gate; rights: 0x8E an interrupt gate, 0xEE the same for ring 3, 0x8C a call gate..."""
    return struct.pack("<HHBBH", offset & 0xFFFF, selector, words, rights, offset >> 16)


def code16(source: str, at: int = 0) -> str:
    """16-bit code, as a `.byte` line for a 32-bit source."""
    return raw(bt.assembler.assemble(source, at, bits=16))


def raw(code: bytes | str) -> str:
    """Bytes (or their hex digits) as a `.byte` line."""
    data = bytes.fromhex(code) if isinstance(code, str) else code
    return ".byte " + ", ".join(map(hex, data))


@dataclass(frozen=True)
class Assembled:
    image: bytes
    symbols: Mapping[str, int]


@cache
def assembled(source: str, origin: int) -> Assembled:
    result = assemble(lambda _name: NAMES + source, "kernel.asm", origin)
    return Assembled(result.image, result.symbols)


@cache
def _boot_source() -> str:
    return files("monitor.guests").joinpath("small_kernel.asm").read_text(encoding="utf-8")


@dataclass
class Kernel:
    """A program and what surrounds it. `ring` and `flags` are those the program starts with."""

    source: str
    ring: int = 0
    flags: int | None = None
    paging: bool = False
    wp: bool = False
    am: bool = False  # CR0.AM
    cr0: int = 0  # more bits of it
    cr4: int = 0
    cpu: str = "pentiumpro"
    esp: int | None = None
    gdt: dict[int, bytes] = field(default_factory=dict)  # selector -> descriptor
    idt: dict[int, bytes] = field(default_factory=dict)  # vector -> gate
    pages: dict[int, int] = field(default_factory=dict)  # linear page -> PTE
    large: dict[int, int] = field(default_factory=dict)  # linear 4 MiB -> PDE
    memory: dict[int, bytes] = field(default_factory=dict)  # physical -> bytes
    code_at: int = CODE  # physical, where the program's bytes are put
    origin: int = CODE  # linear, where it runs

    def image(self) -> tuple[bytes, int]:
        """All of low memory from BASE on, and the address to start at."""
        boot = assembled(_boot_source() + self._stubs(), BOOT)
        parts = {BOOT: boot.image, self.code_at: self.program.image}
        parts |= {GDT: self._gdt(), IDT: self._idt(boot.symbols), TSS: self._tss()}
        parts[START] = self._start()
        if self.paging:
            parts |= self._tables()
        parts |= {at: data for at, data in self.memory.items() if BASE <= at < HOLE_START}
        end = max(at + len(data) for at, data in parts.items())
        image = bytearray(end - BASE)
        for at, data in parts.items():
            image[at - BASE : at - BASE + len(data)] = data
        return bytes(image), boot.symbols["boot"]

    @property
    def program(self) -> Assembled:
        return assembled(self.source + "\n", self.origin)

    def symbol(self, name: str) -> int:
        return self.program.symbols[name]

    def _start(self) -> bytes:
        """CS, data selector, ESP, EFLAGS, CR0's new bits, CR4 and EIP of the program."""
        flags = self.flags if self.flags is not None else 0x202 if self.ring == 3 else 0x002
        esp = self.esp if self.esp is not None else STACK3 if self.ring == 3 else STACK0
        paging = (0x80010000 if self.wp else 0x80000000) if self.paging else 0
        paging |= self.cr0 | (0x40000 if self.am else 0)
        selectors = (CODE3, DATA3) if self.ring == 3 else (CODE0, DATA0)
        return struct.pack("<7I", *selectors, esp, flags, paging, self.cr4, self.origin)

    @staticmethod
    def _stubs() -> str:
        """Entry points: an error code where the processor pushes none, and the vector."""
        lines = []
        for vector in range(0x40):
            lines.append(f"vector_{vector}:")
            if vector not in ERROR_CODES:
                lines.append("push 0")
            lines.append(f"push {vector}\n jmp handler")
        return "\n".join(lines)

    def _gdt(self) -> bytes:
        table = bytearray(0x200)
        entries = {
            CODE0: descriptor(0, 0xFFFFF, 0xC09B),
            DATA0: descriptor(0, 0xFFFFF, 0xC093),
            CODE3: descriptor(0, 0xFFFFF, 0xC0FB),
            DATA3: descriptor(0, 0xFFFFF, 0xC0F3),
            MAIN_TSS: descriptor(TSS, 0x67 + 0x20, 0x0089),
        }
        for selector, entry in (entries | self.gdt).items():
            table[selector & -8 : (selector & -8) + 8] = entry
        return bytes(table)

    def _idt(self, symbols: Mapping[str, int]) -> bytes:
        table = bytearray(0x800)
        for vector in range(0x40):
            rights = 0xEE if vector in (3, 4) or vector >= 0x30 else 0x8E
            table[8 * vector : 8 * vector + 8] = gate(symbols[f"vector_{vector}"], rights)
        table[8 * EXIT_VECTOR : 8 * EXIT_VECTOR + 8] = gate(symbols["leave_guest"], 0xEE)
        for vector, entry in self.idt.items():
            table[8 * vector : 8 * vector + 8] = entry
        return bytes(table)

    @staticmethod
    def _tss() -> bytes:
        """A ring 0 stack, and an I/O bitmap of 256 ports that lets nobody through."""
        tss = bytearray(0x88)
        tss[4:12] = struct.pack("<II", STACK0, DATA0)
        tss[0x66:0x68] = struct.pack("<H", 0x68)
        tss[0x68:0x88] = b"\xff" * 0x20
        return bytes(tss)

    def _tables(self) -> dict[int, bytes]:
        """A page directory; table by table what `pages` says over an identity map of RAM."""
        entries = {page << 12: page << 12 | PRESENT | WRITE | USER for page in range(1024)}
        entries |= self.pages
        directory = [0] * 1024
        tables: dict[int, bytearray] = {}
        for linear, entry in entries.items():
            number = linear >> 22
            if number not in tables:
                tables[number] = bytearray(4096)
                directory[number] = TABLES + 4096 * (len(tables) - 1) | PRESENT | WRITE | USER
            at = (linear >> 10) & 0xFFC
            tables[number][at : at + 4] = struct.pack("<I", entry)
        for linear, entry in self.large.items():
            directory[linear >> 22] = entry
        parts = {TABLES + 4096 * i: bytes(table) for i, table in enumerate(tables.values())}
        return parts | {DIRECTORY: struct.pack("<1024I", *directory)}


def make(kernel: Kernel, mode: str, **options: Any) -> Machine:
    """The kernel's machine, ready to run; `options` are Machine's."""
    machine = Machine(memory_mb=MEMORY_MB, mode=mode, cpu=kernel.cpu, **options)
    image, start = kernel.image()
    for at, data in kernel.memory.items():
        machine.memory.write(at, data)
    machine.load_flat(image, BASE, eip=start, esp=STACK0)
    return machine


FAULT_TSS, FAULT_TASK = 0x2200, 0x28 + 0x08  # the selector after the main TSS


def fault_task(kernel: Kernel, label: str, *vectors: int) -> Kernel:
    """Let these vectors start a task of their own at `label`, on a stack of its own.

    A fault in ring 0 whose stack is bad can be looked at in no other way. The registers of the
    faulting instruction are then in the main TSS, the error code on the task's stack.
    """
    tss = bytearray(0x68)
    tss[0x1C:0x28] = struct.pack("<III", DIRECTORY, kernel.symbol(label), 2)
    tss[0x38:0x3C] = struct.pack("<I", BOOT - 0x100)
    tss[0x48:0x60] = struct.pack("<6I", DATA0, CODE0, DATA0, DATA0, DATA0, DATA0)
    kernel.memory[FAULT_TSS] = bytes(tss)
    kernel.gdt[FAULT_TASK] = descriptor(FAULT_TSS, 0x67, 0x0089)
    for vector in vectors:
        kernel.idt[vector] = gate(0, 0x85, selector=FAULT_TASK)
    return kernel

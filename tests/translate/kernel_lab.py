"""Small kernels that run bare and under the monitor, and must come out the same.

A test writes a few lines of assembly. Around them stands a small kernel: a GDT, an IDT whose every
vector writes a line into a log, a TSS with a ring 0 stack, and identity-mapped pages if asked for.

    run = agree("mov ax, 0x23 \\n mov ds, ax \\n int 0x31")     # ring 0, no paging
    assert run.translate.registers["ds"] == 0x23

`agree` runs the same program in `bare` and in `translate` and compares everything the guest has:
registers, every byte of memory (page tables with their accessed and dirty bits included), the
number of instructions, the console. What the two runs did is returned for further checks.

Conventions for the assembly, which starts at CODE in ring 0 or 3:

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
from typing import Any

import numpy as np

import bt.assembler
from monitor import Machine
from monitor.guests.assembler import assemble

MEMORY_MB = 4

# Where things are, physical and linear
BASE = 0x1000
GDT, IDT, TSS, LOG_END, RESUME, LOG = 0x1000, 0x1800, 0x2000, 0x2F00, 0x2F04, 0x3000
UNEXPECTED = 0x2F08  # 1 after a fault that nobody expected
START = 0x2E00  # what the boot code finds there: see Kernel._start()
STACK0, STACK3, BOOT, CODE, DATA = 0x9000, 0xA000, 0xB000, 0x10000, 0x30000
DIRECTORY, TABLES = 0x40000, 0x41000
HOLE_START = 0xA0000  # beyond lies no RAM up to 1 MiB
HIGH = 0xFF800000  # from here on the monitor would like to live

CODE0, DATA0, CODE3, DATA3, MAIN_TSS, FREE = 0x08, 0x10, 0x1B, 0x23, 0x28, 0x38
EXIT_VECTOR = 0x31
PRESENT, WRITE, USER, ACCESSED, DIRTY, LARGE, GLOBAL = 1, 2, 4, 0x20, 0x40, 0x80, 0x100
ERROR_CODES = (8, 10, 11, 12, 13, 14, 17)

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

BOOT_SOURCE = """
boot:
    mov  al, 0xff
    out  0x21, al
    lgdt [gdt_pointer]
    lidt [idt_pointer]
    mov  ax, 0x28
    ltr  ax
    jmp  far 0x08:reload
reload:
    mov  ax, [START_DATA]
    mov  ds, ax
    mov  es, ax
    mov  fs, ax
    mov  gs, ax
    mov  ax, 0x10
    mov  ss, ax
    mov  esp, STACK0
    mov  dword ptr [LOG_END], LOG
    call pics
    mov  eax, [START_CR4]
    test eax, eax
    jz   no_cr4
    mov  cr4, eax
no_cr4:
    mov  eax, [START_PAGING]
    test eax, eax
    jz   no_paging
    mov  eax, DIRECTORY
    mov  cr3, eax
    mov  eax, cr0
    or   eax, [START_PAGING]
    mov  cr0, eax
no_paging:
    xor  eax, eax
    xor  ecx, ecx
    push dword ptr [START_DATA]
    push dword ptr [START_ESP]
    push dword ptr [START_FLAGS]
    push dword ptr [START_CS]
    push dword ptr [START_EIP]
    cmp  dword ptr [esp + 4], 8
    je   same_ring
    iretd
same_ring:
    iretd

pics:
    mov  al, 0x11
    out  0x20, al
    out  0xa0, al
    mov  al, 0x20
    out  0x21, al
    mov  al, 0x28
    out  0xa1, al
    mov  al, 4
    out  0x21, al
    mov  al, 2
    out  0xa1, al
    mov  al, 1
    out  0x21, al
    out  0xa1, al
    mov  al, 0xff
    out  0x21, al
    out  0xa1, al
    ret

; On the stack: EIP CS EFLAGS (ESP SS); below them error and vector.
handler:
    pushad
    push ds
    push es
    mov  ax, 0x10
    mov  ds, ax
    mov  es, ax
    mov  edi, [LOG_END]
    cld
    mov  eax, [esp + 40]
    stosd
    mov  eax, [esp + 44]
    stosd
    mov  eax, [esp + 48]
    stosd
    movzx eax, word ptr [esp + 52]
    stosd
    mov  eax, [esp + 56]
    stosd
    mov  eax, cr2
    stosd
    lea  eax, [esp + 60]
    test byte ptr [esp + 52], 3
    jz   .inner
    mov  eax, [esp + 60]
.inner:
    stosd
    mov  eax, [esp + 36]
    stosd
    mov  [LOG_END], edi
    mov  eax, [esp + 40]
    cmp  eax, 0x20
    jae  .irq
    cmp  eax, 1
    je   .back
    cmp  eax, 3
    je   .back
    cmp  eax, 4
    je   .back
    mov  eax, [RESUME]
    test eax, eax
    jz   finish
    mov  [esp + 48], eax
.back:
    pop  es
    pop  ds
    popad
    lea  esp, [esp + 8]
    iretd
.irq:
    cmp  eax, 0x30
    jae  .back
    mov  al, 0x20
    out  0x20, al
    jmp  .back
finish:
    mov  dword ptr [UNEXPECTED], 1
    mov  al, 0xfe
    out  0xf4, al
    hlt
leave_guest:
    out  0xf4, al
    hlt
    .align 8
gdt_pointer:
    .short 0x1ff
    .long GDT
    .align 8
idt_pointer:
    .short 0x7ff
    .long IDT
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


@dataclass
class Kernel:
    """A program and what surrounds it. `ring` and `flags` are those the program starts with."""

    source: str
    ring: int = 0
    flags: int | None = None
    paging: bool = False
    wp: bool = False
    am: bool = False  # CR0.AM
    cr4: int = 0
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
        boot = assembled(BOOT_SOURCE + self._stubs(), BOOT)
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
        paging |= 0x40000 if self.am else 0
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


@dataclass(frozen=True)
class Line:
    """One line of the handlers' log."""

    vector: int
    error: int
    eip: int
    cs: int
    eflags: int
    cr2: int
    esp: int
    eax: int


@dataclass
class Run:
    """How a program came out in one mode."""

    machine: Machine
    outcome: Any
    registers: dict[str, int]
    count: int

    @property
    def log(self) -> list[Line]:
        end = self.dword(LOG_END)
        lines = range(LOG, end, 32)
        return [Line(*struct.unpack("<8I", self.machine.memory.read(at, 32))) for at in lines]

    @property
    def vectors(self) -> list[int]:
        return [line.vector for line in self.log]

    def dword(self, physical: int) -> int:
        return int(struct.unpack("<I", self.machine.memory.read(physical, 4))[0])

    def memory(self) -> Any:
        return self.machine.memory.map()

    @property
    def exits(self) -> dict[str, int]:
        return dict(self.machine.statistics()["exits"])

    @property
    def kinds(self) -> dict[str, int]:
        return dict(self.machine.statistics()["by_kind"])

    @property
    def patches(self) -> dict[str, int]:
        return dict(self.machine.statistics()["patches"])


def make(kernel: Kernel, mode: str) -> Machine:
    """The kernel's machine, ready to run."""
    machine = Machine(memory_mb=MEMORY_MB, mode=mode)
    image, start = kernel.image()
    for at, data in kernel.memory.items():
        machine.memory.write(at, data)
    machine.load_flat(image, BASE, eip=start, esp=STACK0)
    return machine


def run(kernel: Kernel, mode: str, most: int = 2_000_000) -> Run:
    """Run to the end, which must come before `most` instructions are over."""
    machine = make(kernel, mode)
    outcome = machine.run(max_instructions=most, timeout=120)
    return look(machine, outcome)


def look(machine: Machine, outcome: Any) -> Run:
    return Run(machine, outcome, machine.registers, machine.statistics()["instructions"])


@dataclass
class Agreement:
    bare: Run
    translate: Run


def agree(kernel: Kernel | str, ends: str | None = "exit", **options: Any) -> Agreement:
    """Run bare and translated; both must end alike with everything the same.

    `ends`: how they shall end; None: as they like, also by a fault that nobody expected.
    """
    most = options.pop("most", 2_000_000)
    if isinstance(kernel, str):
        kernel = Kernel(kernel, **options)
    bare, translate = run(kernel, "bare", most), run(kernel, "translate", most)
    if ends is not None:
        assert bare.outcome.kind == ends, f"{bare.outcome}, log {bare.log}"
        assert not bare.dword(UNEXPECTED), f"log {bare.log}"
    compare(bare, translate)
    return Agreement(bare, translate)


def compare(bare: Run, other: Run) -> None:
    """The same end, and the same of everything the guest can see."""
    ends = [(run.outcome.kind, run.outcome.status) for run in (bare, other)]
    found = differences(bare, other)
    assert ends[0] == ends[1] and not found, "\n".join(map(str, (*ends, *found)))


def differences(bare: Run, other: Run, most: int = 12) -> list[str]:
    """Differences as text: registers, instruction count, console, log, memory."""
    found = [
        f"{name}: bare {value:#x}, other {other.registers[name]:#x}"
        for name, value in bare.registers.items()
        if other.registers[name] != value
    ]
    if bare.count != other.count:
        found.append(f"instructions: bare {bare.count}, other {other.count}")
    if bare.machine.debug_console != other.machine.debug_console:
        found.append("the debug console")
    for mine, theirs in zip(bare.log, other.log, strict=False):
        if mine != theirs:
            found.append(f"log: bare {mine}, other {theirs}")
            break
    if len(bare.log) != len(other.log):
        found.append(f"log: {len(bare.log)} lines bare, {len(other.log)} lines")
    places = np.flatnonzero(bare.memory() != other.memory())
    for at in places[:most]:
        a, b = int(bare.memory()[at]), int(other.memory()[at])
        found.append(f"memory {at:#x}: bare {a:#04x}, other {b:#04x}")
    return found


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


def agree_all_along(kernel: Kernel, chunks: tuple[int, ...] = (1,), most: int = 20_000) -> None:
    """Run bare and translated in pieces of so many instructions; the same after every piece."""
    for chunk in chunks:
        bare, other = make(kernel, "bare"), make(kernel, "translate")
        for done in range(0, most, chunk):
            ends = [machine.run(max_instructions=chunk) for machine in (bare, other)]
            states = [
                (end.kind, one.registers) for end, one in zip(ends, (bare, other), strict=True)
            ]
            assert states[0] == states[1], f"after {done} + {chunk}: {states}"
            if ends[0].kind != "instructions":
                break
        compare(look(bare, ends[0]), look(other, ends[1]))
        assert ends[0].kind == "exit"

"""Small kernels that run bare and under the monitor, and must come out the same.

A test writes a few lines of assembly; monitor/guests/small_kernel.py is the kernel around them and
says what the conventions are.

    run = agree("mov ax, 0x23 \\n mov ds, ax \\n int 0x31")     # ring 0, no paging
    assert run.translate.registers["ds"] == 0x23

`agree` runs the same program in `bare` and in `translate` and compares everything the guest has:
registers, every byte of memory (page tables with their accessed and dirty bits included), the
number of instructions, the console. What the two runs did is returned for further checks.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from patience import PATIENCE

from monitor import Machine
from monitor.guests.small_kernel import (
    ACCESSED,
    BOOT,
    CODE,
    CODE0,
    DATA,
    DATA0,
    DIRECTORY,
    DIRTY,
    FAULT_TASK,
    FAULT_TSS,
    FREE,
    GDT,
    GLOBAL,
    HIGH,
    IDT,
    LARGE,
    LOG,
    LOG_END,
    PRESENT,
    STACK3,
    TABLES,
    TSS,
    UNEXPECTED,
    USER,
    WRITE,
    Kernel,
    assembled,
    code16,
    descriptor,
    fault_task,
    gate,
    make,
    raw,
)

__all__ = [  # what the tests of small kernels need, from here and from the package
    "ACCESSED",
    "BOOT",
    "CODE",
    "CODE0",
    "DATA",
    "DATA0",
    "DIRECTORY",
    "DIRTY",
    "FAULT_TASK",
    "FAULT_TSS",
    "FREE",
    "GDT",
    "GLOBAL",
    "HIGH",
    "IDT",
    "LARGE",
    "LOG",
    "LOG_END",
    "PRESENT",
    "STACK3",
    "TABLES",
    "TSS",
    "UNEXPECTED",
    "USER",
    "WRITE",
    "Agreement",
    "Kernel",
    "Line",
    "Run",
    "agree",
    "agree_all_along",
    "assembled",
    "code16",
    "compare",
    "descriptor",
    "differences",
    "fault_task",
    "gate",
    "look",
    "make",
    "raw",
    "run",
]


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


def run(kernel: Kernel, mode: str, most: int = 2_000_000) -> Run:
    """Run to the end, which must come before `most` instructions are over."""
    machine = make(kernel, mode)
    outcome = machine.run(max_instructions=most, timeout=PATIENCE)
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

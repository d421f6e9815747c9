"""Virtual processors under the microscope: a machine, a few bytes of code, and its parts by name.

    lab = flat("inc eax", "jmp $")          # translate mode, no paging, ring 0, at ORIGIN
    lab.step(3)
    assert lab.blocks() == [ORIGIN]

`lab.cpu` is the processor, `lab.cache` its translation cache, `lab.pages` its code pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from kernel_lab import Kernel, make
from patience import PATIENCE

from bt.assembler import assemble
from monitor import Machine

ORIGIN = 0x10000
STACK = 0x9000


@dataclass
class Lab:
    machine: Machine

    @property
    def cpu(self) -> Any:
        return self.machine.processor

    @property
    def cache(self) -> Any:
        return self.cpu.cache

    @property
    def pages(self) -> Any:
        return self.cpu.code_pages

    def reg(self, name: str) -> int:
        return self.machine.registers[name]

    def step(self, count: int = 1) -> None:
        assert self.machine.step(count).kind == "instructions"

    def blocks(self) -> list[int]:
        """Guest addresses of the blocks that can be entered."""
        return sorted(block.eip for block in self.cache.live_blocks())

    def figures(self) -> dict[str, Any]:
        return dict(self.machine.statistics()["tc"])

    def write(self, at: int, code: str | bytes) -> None:
        data = assemble(code, at) if isinstance(code, str) else code
        self.machine.write_physical(at, data)


def flat(*code: str, mode: str = "translate", without: tuple[str, ...] = ()) -> Lab:
    """A machine at the first of some lines of assembly, in flat protected mode."""
    machine = Machine(memory_mb=2, mode=mode, without=without)
    machine.load_flat(assemble("\n".join(code), ORIGIN), ORIGIN, esp=STACK)
    return Lab(machine)


def lab(kernel: Kernel, mode: str = "translate") -> Lab:
    """A small kernel's machine, standing at the first instruction of its program."""
    machine = make(kernel, mode)
    assert machine.run(until_address=kernel.origin, timeout=PATIENCE).kind == "address"
    machine.processor.set_breakpoints(set())
    return Lab(machine)


def same_at_every_step(kernel: Kernel, most: int = 300) -> None:
    """Bare and translated, one instruction at a time: registers and all of memory after each."""
    bare, other = lab(kernel, "bare").machine, lab(kernel).machine
    for done in range(most):
        ends = [one.step().kind for one in (bare, other)]
        assert ends[0] == ends[1], f"after {done}: {ends}"
        assert bare.registers == other.registers, f"after {done}"
        places = np.flatnonzero(bare.memory.map() != other.memory.map())
        assert not len(places), f"after {done}, at {bare.registers['eip']:#x}: {places[:4]}"
        if ends[0] != "instructions":
            return
    raise AssertionError("the program did not end")

"""How the processor starts: what a loader promises the guest about its registers.

A protected-mode start is flat: every segment has base 0 and limit 4 GiB, CR0 is PE only, paging
and interrupts are off, and the loader has written the GDT that the selectors name. (With a table
of the embedder's own the segments are what that says.) A real-mode
start takes its segment registers from `registers` ("cs", "ds", "es", "fs", "gs", "ss"; each base
is the selector times 16).

Example: Linux gets `StartState(eip=0x100000, esp=0x90000, registers={"esi": 0x90000},
code_selector=0x10, data_selector=0x18, gdt=(0x1000, 0x1F))`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.vmm.errors import UserError

GENERAL = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip", "eflags")
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")


@dataclass(frozen=True)
class StartState:
    """Registers that are not named are 0. Names are lower case."""

    eip: int
    esp: int = 0
    registers: dict[str, int] = field(default_factory=dict)
    protected: bool = True
    code_selector: int = 0
    data_selector: int = 0
    gdt: tuple[int, int] | None = None  # base and limit of the GDT; None: real mode
    own_table: bool = False  # the GDT is the embedder's: the selectors' descriptors are in memory

    @property
    def code_base(self) -> int:
        """Linear address of CS:0."""
        return 0 if self.protected else self.code_selector << 4


def check_registers(registers: Mapping[str, int], allowed: tuple[str, ...]) -> dict[str, int]:
    """A copy of `registers`. UserError for an unknown name or a value that does not fit."""
    for name, value in registers.items():
        if name not in allowed:
            raise UserError(f"unknown start register {name!r}; choose from {', '.join(allowed)}")
        bits = 16 if name in SEGMENTS else 32
        if not 0 <= value < 1 << bits:
            raise UserError(
                f"start register {name}={value:#x} does not fit into {bits} bits; choose a value "
                "that does"
            )
    return dict(registers)

"""What a guest does through FS and GS, bare and under the monitor.

A stub stands for an access only if the register is reserved, and the monitor would reserve the one
that is not used. So `both` runs a kernel with each of the two reserved for good, and once as the
monitor likes; each time everything must be as it is bare.
"""

from __future__ import annotations

from kernel_lab import (
    DATA,
    GDT,
    UNEXPECTED,
    Kernel,
    Run,
    compare,
    descriptor,
    look,
    make,
    run,
)
from patience import PATIENCE

from bt.interp.state import FS, GS
from bt.reserved import RESERVED
from monitor import Machine
from monitor.vmm.translating import TranslatingProcessor

MOST = 2_000_000  # instructions of a run
NEVER = 1 << 40  # uses of the other register that nothing outweighs

# Segments by name: base, limit and rights as for `descriptor`, for ring 0 and 3 alike
SEGMENTS = {
    "flat": (0, 0xFFFFF, 0xC0F3),
    "small": (DATA, 0xFF, 0x40F3),
    "odd": (DATA + 0x23, 0x101, 0x40F3),
    "one byte": (DATA + 8, 0, 0x40F3),
    "three bytes": (DATA + 8, 2, 0x40F3),
    "read-only": (DATA, 0xFFF, 0x40F1),
    "code": (DATA, 0xFFF, 0x40FA),
    "expand-down": (DATA, 0x7F, 0x40F7),
    "wraps": (0xFFFFF000, 0xFFFFF, 0xC0F3),
    "high": (0x80030000, 0xFFFFF, 0xC0F3),
    "below zero": (0xFFFFFF80, 0xFFFFF, 0xC0F3),
    "16-bit": (DATA, 0xFFFF, 0x00F3),
}
SELECTORS = {name: 0x60 + 8 * i + 3 for i, name in enumerate(SEGMENTS)} | {"null": 0}
assert max(SELECTORS.values()) < 0x200 and GDT == 0x1000


def with_segments(kernel: Kernel) -> Kernel:
    """The kernel with all of SEGMENTS in its GDT."""
    for name, segment in SEGMENTS.items():
        kernel.gdt[SELECTORS[name] & ~7] = descriptor(*segment)
    return kernel


def load(register: str, name: str) -> str:
    """Source that loads a segment register by way of AX."""
    return f"mov ax, {SELECTORS[name]:#x} \n mov {register}, ax \n"


def monitored(kernel: Kernel, reserved: int | None = None) -> Machine:
    """A translating machine; `reserved`: with this register reserved for good, in every context."""
    machine = make(kernel, "translate")
    processor = machine.processor
    assert isinstance(processor, TranslatingProcessor)
    if reserved is not None:
        for choice in processor.translator.choices:
            choice.now = RESERVED[reserved]
            choice.uses[FS + GS - reserved] = NEVER
        processor.forget_translations()
    return machine


def translated(kernel: Kernel, reserved: int | None = None) -> Run:
    """A run in the monitor, to the end."""
    machine = monitored(kernel, reserved)
    return look(machine, machine.run(max_instructions=MOST, timeout=PATIENCE))


def both(kernel: Kernel) -> dict[int | None, Run]:
    """By the register that is reserved (None: as the monitor likes): runs that all came out the
    same as bare."""
    with_segments(kernel)
    bare = run(kernel, "bare", MOST)
    assert bare.outcome.kind == "exit", f"{bare.outcome}, log {bare.log}"
    assert not bare.dword(UNEXPECTED), f"log {bare.log}"
    runs = {reserved: translated(kernel, reserved) for reserved in (FS, GS, None)}
    for one in runs.values():
        compare(bare, one)
    return runs


def both_all_along(kernel: Kernel, chunk: int = 1, most: int = 20_000) -> None:
    """Bare and with each register reserved, in pieces: the same after each of them."""
    with_segments(kernel)
    machines = [make(kernel, "bare"), monitored(kernel, FS), monitored(kernel, GS)]
    for done in range(0, most, chunk):
        ends = [machine.run(max_instructions=chunk) for machine in machines]
        for end, machine in zip(ends[1:], machines[1:], strict=True):
            states = (ends[0].kind, machines[0].registers), (end.kind, machine.registers)
            assert states[0] == states[1], f"after {done} + {chunk}: {states}"
        if ends[0].kind != "instructions":
            break
    assert ends[0].kind == "exit"
    for end, machine in zip(ends[1:], machines[1:], strict=True):
        compare(look(machines[0], ends[0]), look(machine, end))

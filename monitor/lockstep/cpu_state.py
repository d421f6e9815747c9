"""Everything a program could find out about a virtual processor, as one tuple that compares fast.

    state_of(machine) == state_of(other)          the same processor to any program
    explain(state, other_state)                   [("eflags", "00000246", "00000046")]

The x87 data registers are read as a program reads them (x87_image.py).
"""

from __future__ import annotations

from operator import attrgetter

from monitor.machine import Machine
from monitor.vmm.registers import GENERAL
from monitor.vmm.x87_image import x87_unit

Value = int | bytes | str

ATTRIBUTES = (
    *("eip", "cr0", "cr2", "cr3", "cr4", "cpl", "gdtr_base", "gdtr_limit"),
    *("idtr_base", "idtr_limit", "tsc_offset", "a20_mask", "intr"),
    *("nmi_pending", "nmi_blocked"),
    *("fpu_cw", "fpu_sw", "fpu_top", "fpu_tag", "fpu_ip", "fpu_cs"),
    *("fpu_dp", "fpu_ds", "fpu_op", "ferr"),
    *("msr_sysenter_cs", "msr_sysenter_esp", "msr_sysenter_eip", "msr_apicbase"),
)
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr")
SEGMENT_PARTS = ("selector", "base", "limit", "attributes")
DEBUG = (0, 1, 2, 3, 6, 7)
STACK = tuple(f"st{i}" for i in range(8))
NAMES = (
    *("instructions", "eflags", "interrupt shadow", "halted", "interrupts taken"),
    *("port reads", "port writes", "console bytes"),
    *GENERAL,
    *(f"dr{i}" for i in DEBUG),
    *ATTRIBUTES,
    *(f"{segment} {part}" for segment in SEGMENTS for part in SEGMENT_PARTS),
    *STACK,
)
COUNTS = frozenset({"instructions", "interrupts taken", "port reads", "port writes"})

_attributes = attrgetter(*ATTRIBUTES)


def state_of(machine: Machine) -> tuple[Value, ...]:
    """The values of NAMES, in that order."""
    machine.processor.sync()
    cpu = machine.processor.ideal
    count = machine.processor.count()
    board, loop = machine.board, machine.loop
    accesses = board.accesses
    reg, segment, debug = cpu.reg, cpu.segment, cpu.debug_register
    return (
        count,
        cpu.flags(),
        cpu.shadow_at == count,
        loop.halted,
        loop.interrupts,
        accesses["port_reads"],
        accesses["port_writes"],
        machine.output.total,
        *(reg(0), reg(1), reg(2), reg(3), reg(4), reg(5), reg(6), reg(7)),
        *(debug(0), debug(1), debug(2), debug(3), debug(6), debug(7)),
        *_attributes(cpu),
        *(*segment(0), *segment(1), *segment(2), *segment(3)),
        *(*segment(4), *segment(5), *segment(6), *segment(7)),
        *x87_unit().registers(cpu),
    )


def explain(one: tuple[Value, ...], other: tuple[Value, ...]) -> list[tuple[str, str, str]]:
    """Name and both values, for people, of all that differs."""
    return [
        (name, _text(name, a), _text(name, b))
        for name, a, b in zip(NAMES, one, other, strict=True)
        if a != b
    ]


def _text(name: str, value: Value) -> str:
    if isinstance(value, bytes):
        return value[::-1].hex()
    if isinstance(value, bool) or not isinstance(value, int):
        return str(value)
    return f"{value:,}" if name in COUNTS else f"{value:08x}"

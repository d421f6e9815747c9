"""Everything a program could find out about a virtual processor, as one tuple that compares fast.

    state_of(machine) == state_of(other)          the same processor to any program
    explain(state, other_state)                   [("eflags", "00000246", "00000046")]

That is the processor's state (bt/interp/architecture.py), and what its machine has done with it.
"""

from __future__ import annotations

from operator import itemgetter

from bt.interp import architecture
from monitor.machine import Machine

DONE = (
    *("interrupts taken", "port reads", "port writes", "memory reads", "memory writes"),
    "console bytes",
)
NAMES = (*DONE, *architecture.NAMES)
COUNTS = frozenset({*DONE, "icount"})

_values = itemgetter(*architecture.NAMES)


def state_of(machine: Machine) -> tuple[int, ...]:
    """The values of NAMES, in that order."""
    machine.processor.sync()
    accesses = machine.board.accesses
    return (
        machine.loop.interrupts,
        accesses["port_reads"],
        accesses["port_writes"],
        accesses["memory_reads"],
        accesses["memory_writes"],
        machine.output.total,
        *_values(machine.processor.ideal.save_state()),
    )


def explain(one: tuple[int, ...], other: tuple[int, ...]) -> list[tuple[str, str, str]]:
    """Name and both values, for people, of all that differs."""
    return [
        (name, _text(name, a), _text(name, b))
        for name, a, b in zip(NAMES, one, other, strict=True)
        if a != b
    ]


def _text(name: str, value: int) -> str:
    return f"{value:,}" if name in COUNTS else f"{value:08x}"

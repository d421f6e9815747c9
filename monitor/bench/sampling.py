"""The profile of a stretch too long to step through: a sample of its instructions.

The bare machine stops every so many instructions, and the instruction that comes next is looked up
in the instruction table. The distances vary, so that no loop of the guest keeps step with them, and
come from a fixed sequence, so that a profile is the same every time.

What can be counted is not sampled. Exceptions and system calls are, by breakpoints on the handlers
that the guest's IDT names (SDM volume 3, 6.11), interrupts by the machine, and port accesses by
the board. Instructions that a sample could not read, on a page that is about to be faulted in, are
left out of it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache

from bt.lengths import LONGEST, locate
from monitor.bench.classes import SIMPLE, class_of
from monitor.bench.profile import Profile
from monitor.bench.rows import Counts
from monitor.machine import Machine
from monitor.vmm.errors import UserError
from monitor.vmm.outcome import Outcome

EXCEPTIONS = range(32)  # vectors of exceptions
SYSTEM_CALL = 0x80
GATE_BYTES = 8
PRESENT = 0x80
PAGE = 4096
SEED = 1999
TIME_LIMIT = 1800.0


class Sampler:
    """Goes through a stretch of a bare machine, `apart` instructions at a time on the average."""

    def __init__(self, apart: int) -> None:
        self._apart = apart
        self._random = random.Random(SEED)
        self._samples: Counter[str] = Counter()
        self._exceptions = self._system_calls = 0
        self._gates: dict[int, int] = {}  # handler to vector
        self._table = b""

    def run(self, machine: Machine, text: str | None, last: int | None = None) -> Outcome:
        """To where the console shows the text, or the guest ends, or to an instruction count."""
        try:
            while True:
                self._look_at_gates(machine)
                distance = 1 + int(self._random.random() * (2 * self._apart - 1))
                if last is not None:
                    distance = min(distance, last - machine.instructions)
                outcome = self._through(machine, text, distance)
                if outcome.kind != "instructions" or machine.instructions == last:
                    return outcome
                kind = _class_at(machine)
                if kind is not None:
                    self._samples[kind] += 1
        finally:
            machine.debug.breakpoints.clear()

    def _through(self, machine: Machine, text: str | None, distance: int) -> Outcome:
        """So many instructions; handlers on the way are counted."""
        end = machine.instructions + distance
        while True:
            left = end - machine.instructions
            outcome = machine.run(until=text, timeout=TIME_LIMIT, max_instructions=left)
            if outcome.kind != "address":
                return outcome
            if self._gates[machine.registers["eip"]] == SYSTEM_CALL:
                self._system_calls += 1
            else:
                self._exceptions += 1

    def _look_at_gates(self, machine: Machine) -> None:
        """The IDT may have changed."""
        table = _interrupt_table(machine)
        if table != self._table:
            self._table = table
            self._gates = _handlers(table)
            machine.debug.breakpoints.clear()
            machine.debug.breakpoints.update(self._gates)

    def profile(self, counts: Counts) -> Profile:
        """The whole stretch, of which this was the sample."""
        known = {"port": counts.port_accesses, "software_interrupt": self._system_calls}
        classes = extrapolate(self._samples, known, counts.instructions)
        return Profile(classes, self._exceptions + counts.interrupts)


def extrapolate(
    samples: Mapping[str, int], known: Mapping[str, int], instructions: int
) -> dict[str, int]:
    """Instructions by class: those known, and the sampled shares of all others. Whole numbers,
    whose sum is `instructions`.

    >>> extrapolate({"simple": 7, "branch": 2, "port": 1}, {"port": 10}, 100)
    {'branch': 20, 'port': 10, 'simple': 70}
    """
    sampled = {name: n for name, n in samples.items() if name not in known}
    others, total = instructions - sum(known.values()), sum(sampled.values())
    classes = {name: others * n // total for name, n in sampled.items()}
    classes[SIMPLE] = classes.get(SIMPLE, 0) + others - sum(classes.values())
    classes.update(known)
    return {name: n for name, n in sorted(classes.items()) if n}


def _interrupt_table(machine: Machine) -> bytes:
    """The gates of interest, or nothing where the table cannot be read (yet)."""
    base = machine.system_registers["idtr_base"]
    try:
        return (machine.read_memory(base, GATE_BYTES * len(EXCEPTIONS))
                + machine.read_memory(base + GATE_BYTES * SYSTEM_CALL, GATE_BYTES))  # fmt: skip
    except UserError:
        return b""


def _handlers(table: bytes) -> dict[int, int]:
    """Where the present 32-bit gates lead, with their vectors."""
    handlers = {}
    vectors = (*EXCEPTIONS, SYSTEM_CALL)
    for vector, at in zip(vectors, range(0, len(table), GATE_BYTES), strict=False):
        gate = table[at : at + GATE_BYTES]
        if gate[5] & PRESENT:
            handlers[int.from_bytes(gate[:2] + gate[6:], "little")] = vector
    return handlers


def _class_at(machine: Machine) -> str | None:
    """The class of the instruction at EIP; None where it cannot be read."""
    at = machine.registers["eip"]
    here = min(LONGEST, PAGE - at % PAGE)
    try:
        code = machine.read_memory(at, here)
    except UserError:
        return None
    with suppress(UserError):  # the last one on its page
        code += machine.read_memory(at + here, LONGEST - here)
    return _class_of(code)


@lru_cache(maxsize=1 << 16)
def _class_of(code: bytes) -> str | None:
    found = locate(code, 0, 32)
    return None if found is None or found.row is None else class_of(found.row)

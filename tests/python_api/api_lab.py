"""The same guest in every mode, and what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from patience import PATIENCE

from bt.assembler import assemble
from monitor import Machine
from monitor.vmm.outcome import Outcome

MODES = ("bare", "trap", "translate")
modes = pytest.mark.parametrize("mode", MODES)
ORIGIN = 0x100000
ESP = 0x90000


def asm(source: str, origin: int = ORIGIN, bits: int = 32) -> bytes:
    return assemble(source, origin, bits=bits)


@dataclass
class Life:
    """One guest's, from the load to the end."""

    machine: Machine
    outcome: Outcome
    said: list[object] = field(default_factory=list)  # whatever the test's functions noted

    @property
    def registers(self) -> dict[str, int]:
        return self.machine.registers

    def dword(self, physical: int) -> int:
        return int.from_bytes(self.machine.read_physical(physical, 4), "little")

    def summary(self) -> dict[str, object]:
        """What must be the same in every mode."""
        return {
            "outcome": self.outcome,
            "registers": self.registers,
            "instructions": self.machine.instructions,
            "memory": hashlib.sha256(self.machine.memory.map().tobytes()).hexdigest(),
            "consoles": (self.machine.console, self.machine.debug_console),
            "said": self.said,
        }


def live(
    mode: str,
    source: str,
    prepare: Callable[[Machine, list[object]], object] = lambda machine, said: None,
    most: int = 200_000,
) -> Life:
    """Flat 32-bit code of ring 0 at ORIGIN, run to its end."""
    machine = Machine(memory_mb=4, mode=mode)
    said: list[object] = []
    prepare(machine, said)
    machine.load_flat(asm(source), ORIGIN, esp=ESP)
    return Life(machine, machine.run(timeout=PATIENCE, max_instructions=most), said)


def agree(
    source: str,
    prepare: Callable[[Machine, list[object]], object] = lambda machine, said: None,
    trap: bool = True,
) -> Life:
    """Bare and translated, and trapped if the code has nothing that goes wrong there.

    They end at a HLT that nothing wakes.
    """
    first = live("bare", source, prepare)
    assert first.outcome.kind == "stuck", first.outcome
    for mode in MODES[1 if trap else 2 :]:
        assert live(mode, source, prepare).summary() == first.summary(), mode
    return first

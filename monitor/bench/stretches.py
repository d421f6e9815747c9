"""Linux from marker to marker: what a load of the macro rows did, without what came before it.

The guest's script prints "<name", runs the load, and prints ">name", what came of it, and "=name"
(loads/frame.sh). The machine leaves its loop at the very byte, so both ends are the same
instruction in every setup, and statistics are taken there. A marker's own output is outside, but
for the end of the line "<name".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from monitor.bench.rows import Counts, Setup
from monitor.bench.runner import counts_of, make
from monitor.guests import linux
from monitor.machine import Machine
from monitor.vmm.errors import MonitorBug
from monitor.vmm.outcome import Outcome

TIME_LIMIT = 1800.0
BOOT = "boot"
UNTIL = "until"

Run = Callable[[Machine, str], Outcome]
"""Runs a machine until its console shows a text."""


@dataclass(frozen=True)
class Stretch:
    """One load: counts, processor seconds, the console's end when it had ended, and its digest."""

    counts: Counts
    seconds: float
    console: bytes
    digest: str  # of all that the console showed until then


def begin(name: str) -> str:
    return f"<{name}\r\n"


END = "\n>"


def done(name: str) -> str:
    return f"={name}\r\n"


def run_until(machine: Machine, text: str) -> Outcome:
    return machine.run(until=text, timeout=TIME_LIMIT)


class Journey:
    """A machine with Linux in it, which goes through the script's loads one after the other."""

    def __init__(self, setup: Setup, program: str) -> None:
        self.machine = make(setup, linux.MEMORY_MB)
        self.setup = setup
        linux.start(self.machine, program)

    def through(self, name: str, run: Run = run_until) -> Stretch:
        """The next load; `run` is how its own instructions are gone through."""
        if name != BOOT:
            self._to(begin(name))
        before = counts_of(self.machine.statistics())
        begun = time.process_time()
        self._to(END, run)
        spent = time.process_time() - begun
        counts = counts_of(self.machine.statistics()) - before
        self._to(done(name))
        return Stretch(counts, spent, self.machine.console, self.machine.output.digest())

    def _to(self, text: str, run: Run = run_until) -> None:
        outcome = run(self.machine, text)
        if outcome.kind != UNTIL:
            tail = self.machine.output.last(400).decode(errors="replace")
            raise MonitorBug(f"Linux, {self.setup}: {outcome.kind} before {text!r}\n"
                             f"{self.machine.debug.where()}\n{tail}")  # fmt: skip

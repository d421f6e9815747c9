"""Machines with the guest in them, given commands on the serial line.

Of ours, time is CPU time of this process from the line to the next prompt, and statistics are taken
at the prompt's last byte, which is the same instruction in both modes. Of QEMU, it is that of its
whole process (peers/qemu.py), and there are no statistics.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.crossings.program import APPEND, DONE, PROMPT
from benchmarks.peers import qemu
from benchmarks.timing import BenchmarkError
from monitor import Machine
from monitor.bench.rows import Counts
from monitor.bench.runner import counts_of
from monitor.guests import linux

LIMIT = 900.0  # seconds of a boot or a command


@dataclass(frozen=True)
class Spent:
    """What one command took. `flushes` are those of the shadows."""

    seconds: float
    counts: Counts = field(default_factory=Counts)
    flushes: int = 0


class Guest(Protocol):
    """Linux with the program, at its prompt; `boot` is what it took to get there."""

    name: str
    boot: Spent

    def do(self, command: str, rounds: int) -> Spent:
        """Have it done."""

    def close(self) -> None:
        """Give the machine up."""


class OurGuest:
    """One in a machine in this process."""

    def __init__(self, mode: str, cpu: str, initrd: Path) -> None:
        self.name = mode
        self._machine = Machine(memory_mb=linux.MEMORY_MB, mode=mode, cpu=cpu)
        self._machine.load_linux(linux.KERNEL, initrd=initrd, cmdline=APPEND)
        self.boot = self._to_prompt("")

    def do(self, command: str, rounds: int) -> Spent:
        """From prompt to prompt."""
        return self._to_prompt(f"{command} {rounds}\n")

    def close(self) -> None:
        """Nothing has to be ended."""

    def _to_prompt(self, line: str) -> Spent:
        machine = self._machine
        before, length = machine.statistics(), len(machine.console)
        machine.send(line)
        begun = time.process_time()
        outcome = machine.run(until=PROMPT, timeout=LIMIT)
        seconds = time.process_time() - begun
        text = machine.console[length:].decode(errors="replace")
        if outcome.kind != "until" or (line and not answered(text)):
            tail = f"{outcome.kind} after {line!r}\n{text[-500:]}"
            raise BenchmarkError(f"Linux, {self.name}: {tail}")
        after = machine.statistics()
        return Spent(seconds, counts_of(after) - counts_of(before),
                     _flushes(after) - _flushes(before))  # fmt: skip


class QemuGuest:
    """One in QEMU."""

    def __init__(self, initrd: Path) -> None:
        self.name = qemu.NAME
        self._qemu = qemu.Qemu(linux.KERNEL, initrd, APPEND, linux.MEMORY_MB)
        try:
            self._qemu.wait_for(PROMPT)
        except BenchmarkError:
            self.close()
            raise
        self.boot = Spent(self._qemu.seconds())

    def do(self, command: str, rounds: int) -> Spent:
        """From prompt to prompt."""
        before = self._qemu.seconds()
        self._qemu.send(f"{command} {rounds}\n")
        text = self._qemu.wait_for(PROMPT)
        seconds = self._qemu.seconds() - before
        if not answered(text):
            raise BenchmarkError(f"Linux, {self.name}: {command} {rounds}\n{text[-500:]}")
        return Spent(seconds)

    def close(self) -> None:
        """End the process."""
        self._qemu.close()


def answered(text: str) -> bool:
    """Did the program do as it was told, and say nothing else?"""
    return text.split() == [DONE, PROMPT.strip()]


def _flushes(statistics: dict[str, dict[str, int]]) -> int:
    return statistics.get("shadow", {}).get("flushes", 0)

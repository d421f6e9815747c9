"""A guest of monitor/guestbook/rows.py, run as `vp guest run --expect` does, and what is left."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from patience import PATIENCE

from monitor import Machine, Outcome
from monitor.cli.quantities import count
from monitor.cli.run_machine import machine_of, type_as
from monitor.guestbook import bringing
from monitor.guestbook.guest import Guest
from monitor.settings import guest_places

MADE = tempfile.TemporaryDirectory(prefix="guest-cds-")


@dataclass(frozen=True)
class Life:
    """What there was to see, and the machine in numbers."""

    outcome: Outcome
    typed: bool  # all that the row types
    screen: str
    console: str
    instructions: int
    registers: dict[str, int]
    memory: str  # a digest of RAM


def needed(guest: Guest) -> None:
    """Skip where a file is absent."""
    lacking = bringing.missing(guest)
    if lacking:
        pytest.skip(f"guests/ has no {', '.join(lacking)}: `make guests`, or tests' shared folder")


@cache
def place(name: str) -> str:
    """Where a file lies; a CD is made here, whatever else there is."""
    if name not in bringing.CDS:
        return str(guest_places.find(name))
    path = Path(MADE.name) / name
    bringing.write_cd(path, bringing.CDS[name], lambda part: Path(place(part)))
    return str(path)


def made(guest: Guest, mode: str) -> tuple[Machine, list[str]]:
    """The machine of a row, about to start, and the words that attend it."""
    words = guest.options({name: place(name) for name in guest.files})
    return machine_of(["--mode", mode, *words]), guest.attended()


@cache
def life(guest: Guest, mode: str) -> Life:
    """The whole of it, once."""
    machine, words = made(guest, mode)
    typist = type_as(machine, words)
    most = count(guest.most)
    outcome = machine.run(until=guest.expect, max_instructions=most, timeout=PATIENCE)
    memory = hashlib.sha256(machine.memory.read(0, machine.memory.size)).hexdigest()
    screen = machine.screen.text if machine.settings.vga != "none" else ""
    console = machine.console.decode("latin-1").replace("\r\n", "\n")
    return Life(
        outcome, typist.done, screen, console, machine.instructions, machine.registers, memory
    )


def state(machine: Machine) -> dict[str, object]:
    """All that has to be the same in the end, as JSON has it."""
    found = {
        "registers": machine.registers,
        "instructions": machine.instructions,
        "now": machine.clock.now(),
        "board": machine.board.snapshot(),
        "memory": hashlib.sha256(machine.memory.map()).hexdigest(),
    }
    if machine.settings.vga != "none":
        found["picture"] = hashlib.sha256(machine.screen.array.tobytes()).hexdigest()
        found["text"] = machine.screen.text
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]

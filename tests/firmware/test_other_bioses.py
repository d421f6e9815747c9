"""BIOSes that others wrote, none of which knows this machine: bare and translated alike.

A row is a file, what it says on the way at port 402h, and what it says last.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from bios_lab import MODES, said
from patience import PATIENCE

from monitor import Machine

BOCHS = Path("/usr/share/bochs")
FOUND_BOARD = (
    b"PIIX3/PIIX4 init: elcr=",
    b"device_id=0x1237",
    b"device_id=0x7113",
    b"MP table addr",
)


@dataclass(frozen=True)
class Row:
    """One BIOS."""

    path: Path
    says: tuple[bytes, ...] = ()
    ends: bytes = b"No bootable device."


ROWS = [
    Row(BOCHS / "BIOS-bochs-latest", (b"Starting rombios32", b"ram_size=0x02000000", *FOUND_BOARD)),
    Row(BOCHS / "BIOS-bochs-legacy"),
    Row(BOCHS / "BIOS-qemu-latest", (b"Starting rombios32", *FOUND_BOARD)),
]


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.path.name)
def test_it_starts(row: Row) -> None:
    if not row.path.is_file():
        pytest.skip(f"no {row.path}: Debian's package bochsbios")
    lives = []
    for mode in MODES:
        machine = Machine(memory_mb=32, mode=mode, chipset="i440fx")
        machine.load_bios(row.path)
        while row.ends not in said(machine) and machine.instructions < 4_000_000:
            machine.run(max_instructions=200_000, timeout=PATIENCE)
        log = said(machine)
        places = [log.find(text) for text in (*row.says, row.ends)]
        assert -1 not in places and places == sorted(places), (mode, log.decode("latin-1"))
        lives.append((log, machine.registers, machine.instructions))
    assert lives[0] == lives[1]

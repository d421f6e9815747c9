"""FreeDOS boots through twenty checkpoints, each restored in a process of its own, in turns bare
and translated; and comes to the same prompt as without any, to the last bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from guest_lives import state
from patience import PATIENCE

from monitor import Machine
from monitor.firmware.rom_files import BIOS, VGA_BIOS, find

TESTS = Path(__file__).resolve().parents[1]
DISK = TESTS.parents[1] / "shared" / "guests" / "freedos722.img"
PATHS = os.pathsep.join((str(TESTS), str(Path(__file__).parent)))
PLACES = 20
PROMPT = "A:\\>"
MODES = ("bare", "translate")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.guest,
    pytest.mark.skipif(not DISK.exists(), reason=f"there is no {DISK}"),
    pytest.mark.skipif(find(BIOS) is None or find(VGA_BIOS[True]) is None,
                       reason="no SeaBIOS: Debian's package seabios, or `make guests`"),
]  # fmt: skip


def go_on(path: Path, mode: str, count: int) -> dict[str, object]:
    """In a process of its own: restore, run, and put aside again."""
    machine = Machine.restore(path, mode=mode, drives={"fda": DISK})
    machine.run(max_instructions=count)
    machine.snapshot().save(path)
    return state(machine)


def test_freedos_boots_through_twenty_checkpoints(tmp_path: Path) -> None:
    machine = Machine(memory_mb=16, mode="translate", chipset="i440fx", vga="std",
                      drives={"fda": DISK})  # fmt: skip
    machine.load_bios(boot="order=a")
    path = tmp_path / "dos.vpcheck"
    machine.snapshot().save(path)
    assert machine.wait_for_text(PROMPT, timeout=PATIENCE).kind == "until"
    whole, step = state(machine), machine.instructions // PLACES
    counts = [step] * (PLACES - 1) + [machine.instructions - step * (PLACES - 1)]
    for number, count in enumerate(counts):
        line = [sys.executable, __file__, str(path), MODES[number % 2], str(count)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, check=False,
                              env={**os.environ, "PYTHONPATH": PATHS})  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert PROMPT in str(whole["text"])
    assert json.loads(done.stdout) == whole


if __name__ == "__main__":
    print(json.dumps(go_on(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))

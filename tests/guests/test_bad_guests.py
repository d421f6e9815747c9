"""A guest that goes wrong ends with a report of where and why, in every mode; nothing hangs."""

from __future__ import annotations

from patience import PATIENCE

import subprocess
import sys
from pathlib import Path

import pytest
from bad_guests import BAD_GUESTS, MEMORY_MB, ORIGIN, BadGuest

from monitor.config import MODES

REPORT = ("guest registers after", "  eax=", "  cs=", "  eip=")


def vp_run(image: Path, *options: object) -> subprocess.CompletedProcess[str]:
    """`vp run` as a process of its own: a crash of the interpreter is a failure, not the end."""
    line = [sys.executable, "-m", "monitor", "run", "--flat", f"{image}@{ORIGIN:#x}", "--quiet",
            "--memory", str(MEMORY_MB), *map(str, options)]  # fmt: skip
    return subprocess.run(
        line, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
    )  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("guest", BAD_GUESTS, ids=lambda guest: guest.name)
def test_it_ends_with_a_report(guest: BadGuest, mode: str, tmp_path: Path) -> None:
    image = tmp_path / "guest.bin"
    image.write_bytes(guest.image)
    done = vp_run(image, "--mode", mode, "--timeout", guest.seconds)
    told = done.stderr
    assert done.returncode == 1, told
    ends = guest.ends if mode != "trap" else (*guest.ends, "triple fault", "time limit", "halted")
    assert any(end in told.splitlines()[0] for end in ends), told
    for words in REPORT:
        assert words in told, told
    assert "code at eip:" in told
    # A bare processor has no exits, and ring 3 may spin without one.
    assert mode != "translate" or "last exits, oldest first:" in told, told


@pytest.mark.parametrize("clock", ["icount", "host"])
def test_the_time_limit_ends_a_guest_that_sleeps(clock: str, tmp_path: Path) -> None:
    """Timers alone, interrupts on: the guest never ends, and its time passes at once or not."""
    image = tmp_path / "guest.bin"
    image.write_bytes(b"\xfb\xf4\xeb\xfc")  # sti; hlt; jmp back
    done = vp_run(image, "--clock", clock, "--timeout", "0.3")
    assert done.returncode == 1
    assert "vp: " in done.stderr and "code at eip:" in done.stderr

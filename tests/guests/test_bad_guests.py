"""A guest that goes wrong ends with a report of where and why, in every mode; nothing hangs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bad_guests import BAD_GUESTS, MEMORY_MB, ORIGIN, TIMEOUT, BadGuest
from patience import PATIENCE
from vp_server import VpServer

from monitor.settings.machine import MODES

SECONDS = 0.3  # of a guest that does not end by itself
REPORT = ("guest registers after", "  eax=", "  cs=", "  eip=")


VpRun = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def server() -> Iterator[VpServer]:
    with VpServer() as vp:
        yield vp


@pytest.fixture
def vp_run(server: VpServer, tmp_path: Path) -> VpRun:
    """`vp run` as a process of its own: a crash of the interpreter is a failure, not the end."""

    def run(image: bytes, *options: object) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "guest.bin"
        path.write_bytes(image)
        return server.run("run", "--flat", f"{path}@{ORIGIN:#x}", "--quiet",
                          "--memory", MEMORY_MB, *options)  # fmt: skip

    return run


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("guest", BAD_GUESTS, ids=lambda guest: guest.name)
def test_it_ends_with_a_report(guest: BadGuest, mode: str, vp_run: VpRun) -> None:
    # Who may go on for ever is ended by the limit; on a slow host it must not end the others.
    endless = TIMEOUT in guest.ends or mode == "trap"
    done = vp_run(guest.image, "--mode", mode, "--timeout", SECONDS if endless else PATIENCE)
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
def test_the_time_limit_ends_a_guest_that_sleeps(clock: str, vp_run: VpRun) -> None:
    """Timers alone, interrupts on: the guest never ends, and its time passes at once or not."""
    sleeper = b"\xfb\xf4\xeb\xfc"  # sti; hlt; jmp back
    done = vp_run(sleeper, "--clock", clock, "--timeout", SECONDS)
    assert done.returncode == 1
    assert "vp: " in done.stderr and "code at eip:" in done.stderr

"""A batch of worlds on Bochs, Debian's debugger build.

Our ROM stands in the BIOS' place and has kernel, template and worlds in it, so that Bochs is
through with its start in a moment. When the kernel has run all worlds it executes XCHG BX, BX, at
which Bochs' debugger stops, and the debugger writes the records to a file.

Debian's build has only displays that need somewhere to draw: it is given a terminal of its own.
"""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

from tests.bochs import layout as at
from tests.bochs.kernel import ROM_BASE, rom
from tests.bochs.record import Record, parse
from tests.bochs.world import batch

PACKAGES = "bochs bochs-term bochsbios vgabios"
MISSING = f"Bochs is not installed (Debian: apt install {PACKAGES})"
TERMINAL = Path("/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so")
VGA_BIOS = Path("/usr/share/vgabios/vgabios.bin")
POLL_SECONDS = 0.02
ROOM, ROOM_PER_WORLD = 1 << 18, 1024  # bytes for records; an arena that is all changed takes 80 KiB

CONFIGURATION = """\
display_library: term
sound: driver=dummy
cpu: model=bx_generic, count=1, ips=50000000, reset_on_triple_fault=1
cpuid: level=6, family=6, model=1, stepping=9, mmx=1, sep=0, simd=none, x86_64=0, apic=xapic, vmx=0
clock: sync=none, time0=946684800
memory: guest={memory}, host={memory}
romimage: file={folder}/rom, address={rom:#x}
vgaromimage: file={vga_bios}
magic_break: enabled=1
log: {folder}/log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
"""


class BochsError(Exception):
    """Bochs did not run the worlds to their end; the text has what it said."""


def available() -> bool:
    """Is what we need of Bochs installed?"""
    return bool(shutil.which("bochs")) and TERMINAL.exists() and VGA_BIOS.exists()


def bochs_records(template: bytes, worlds: list[bytes]) -> list[Record | None]:
    """What each world comes to; None for one that destroys the kernel around it.

    Such a world takes the rest of its batch with it, so the batch is halved until it is found.
    """
    room = ROOM + ROOM_PER_WORLD * len(worlds)
    limit = 5 + len(worlds) / 50
    try:
        records = list(parse(run_bochs(template, batch(worlds), len(worlds), room, limit)))
        if len(records) == len(worlds):
            return [*records]
    except (ValueError, BochsError):
        pass
    if len(worlds) == 1:
        return [None]
    half = len(worlds) // 2
    return [*bochs_records(template, worlds[:half]), *bochs_records(template, worlds[half:])]


def run_bochs(
    template: bytes, worlds: bytes, count: int, output: int, limit: float = 60.0
) -> bytes:
    """The records of `count` worlds: `output` bytes of memory from layout.OUTPUT on.

    BochsError if it has not ended after `limit` seconds of processor time.
    """
    with tempfile.TemporaryDirectory(prefix="bochs-") as name:
        folder = Path(name)
        (folder / "rom").write_bytes(rom(template, worlds))
        (folder / "bochsrc").write_text(
            CONFIGURATION.format(
                folder=folder, memory=at.MEMORY_MB, vga_bios=VGA_BIOS, rom=ROM_BASE
            )
        )
        dump = folder / "output"
        go_on = "c\n" * (1 + count)  # it stops at a shutdown, too
        (folder / "go").write_text(f'{go_on}writemem "{dump}" {at.OUTPUT:#x} {output:#x}\nq\n')
        said = _on_a_terminal(["bochs", "-q", "-f", "bochsrc", "-rc", "go"], folder, limit)
        if not dump.exists() or dump.stat().st_size != output:
            log = (folder / "log").read_text(errors="replace") if (folder / "log").exists() else ""
            raise BochsError(f"Bochs wrote no records.\n{said[-2000:]}\n{log[-3000:]}")
        return dump.read_bytes()


def _on_a_terminal(command: list[str], folder: Path, limit: float) -> str:
    """Run a command that insists on a terminal; what it wrote there."""
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    output: list[bytes] = []
    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=folder,
        env={**os.environ, "TERM": "vt100"},
        start_new_session=True,
    )
    os.close(slave)
    bochs = psutil.Process(process.pid)
    try:
        while process.poll() is None:
            with contextlib.suppress(OSError):  # nothing there yet, or the other end is closed
                output.append(os.read(master, 1 << 16))
            if sum(bochs.cpu_times()[:2]) > limit:  # not by the clock: others may be at work, too
                said = b"".join(output).decode(errors="replace")
                raise BochsError(f"Bochs did not end in {limit:.0f} s of work.\n{said[-2000:]}")
            time.sleep(POLL_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(master)
    return b"".join(output).decode(errors="replace")

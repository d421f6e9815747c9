"""The real gdb in batch mode against a machine of this process.

    session = debug("bare", "break *0x100000", "continue", "info registers eip")
    session.says("eip  0x100000")        # spaces stand for any white space
    session.outcome, session.machine     # after gdb has ended

gdb runs the commands and ends, which detaches it; the machine then runs to its own end. PORT in a
command is the server's.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import debuggee
import pytest
from patience import PATIENCE

from monitor import Machine, Outcome
from monitor.checkpoint.rewind import Rewind
from monitor.gdb.server import GdbServer

GDB = shutil.which("gdb")
needs_gdb = pytest.mark.skipif(GDB is None, reason="gdb is not installed (Debian: apt install gdb)")

PREPARE = ("set pagination off", "set confirm off", "set width 0", "set architecture i386",
           f"set tcp connect-timeout {PATIENCE:.0f}",
           f"set remotetimeout {PATIENCE:.0f}")  # fmt: skip

Script = Callable[[Machine, subprocess.Popen[str]], None]


@dataclass(frozen=True)
class Session:
    """What came of it."""

    machine: Machine
    outcome: Outcome
    output: str

    def says(self, *texts: str) -> None:
        """Each of these is in gdb's output, one behind the other."""
        at = 0
        for text in texts:
            pattern = r"\s+".join(re.escape(word) for word in text.split())
            found = re.compile(pattern).search(self.output, at)
            assert found is not None, f"{text!r} is not in:\n{self.output}"
            at = found.end()


def debug(
    mode: str,
    *commands: str,
    load: Callable[[Machine], None] = debuggee.load,
    memory_mb: int = debuggee.MEMORY_MB,
    symbols: Path | None = None,
    meanwhile: Script | None = None,
    until: str | None = None,
) -> Session:
    """gdb's commands against a guest in this mode; `meanwhile` runs beside them in a thread."""
    machine = Machine(memory_mb=memory_mb, mode=mode)
    load(machine)
    return debug_machine(
        machine, *commands, symbols=symbols, meanwhile=meanwhile, until=until
    )


def debug_machine(
    machine: Machine,
    *commands: str,
    symbols: Path | None = None,
    meanwhile: Script | None = None,
    until: str | None = None,
    rewind: Rewind | None = None,
) -> Session:
    """The same with a machine of the test's own; with `rewind` gdb can go back in time."""
    with GdbServer(machine, 0, wait=True, rewind=rewind) as server:
        first = [*PREPARE, *([] if symbols is None else [f"symbol-file {symbols}"])]
        lines = [*first, "target remote 127.0.0.1:PORT", *commands]
        gdb = start_gdb(*(line.replace("PORT", str(server.port)) for line in lines))
        helper = None
        if meanwhile is not None:
            helper = threading.Thread(target=meanwhile, args=(machine, gdb), daemon=True)
            helper.start()
        try:
            outcome = server.run(until=until, timeout=PATIENCE)
            output, _ = gdb.communicate(timeout=PATIENCE)
        finally:
            gdb.kill()
            gdb.wait()
        if helper is not None:
            helper.join(PATIENCE)
    return Session(machine, outcome, output)


def start_gdb(*commands: str) -> subprocess.Popen[str]:
    assert GDB is not None
    return subprocess.Popen(
        [GDB, "-q", "-nx", "-nh", "-batch", *(word for each in commands for word in ("-ex", each))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

"""Measuring one process: its time on a CPU and its peak memory.

CPU time is what the kernel charged the process, so other work on the machine disturbs it less than
a clock on the wall does. Peak memory is the kernel's ru_maxrss; a child starts with its parent's
figure, so nothing below the benchmark's own 30 MB or so can be told apart.
"""

from __future__ import annotations

import contextlib
import os
import pty
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

POLL_SECONDS = 0.02


class BenchmarkError(Exception):
    """A program that was to be measured could not do its work."""


@dataclass(frozen=True)
class Measured:
    """What one process took."""

    seconds: float
    peak_kilobytes: int
    output: str
    status: int


def measure(command: Sequence[str | Path], limit: float = 900.0) -> Measured:
    """Run a command to its end."""
    with TemporaryFile() as output:
        process = _start(command, subprocess.DEVNULL, output.fileno(), {})
        status, usage = _reap(process, limit, lambda: False)
        output.seek(0)
        return _measured(usage, output.read(), os.waitstatus_to_exitcode(status))


def measure_on_terminal(
    command: Sequence[str | Path],
    finished: Callable[[bytes], bool],
    limit: float = 900.0,
    environment: Mapping[str, str] | None = None,
) -> Measured:
    """Run a command that insists on a terminal, to its end or until it has done its work.

    `finished` is asked again and again, with all that was said on the terminal.
    """
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    output = bytearray()

    def drain_and_ask() -> bool:
        with contextlib.suppress(OSError):  # nothing there yet, or the other end is closed
            output.extend(os.read(master, 1 << 16))
        return finished(bytes(output))

    try:
        process = _start(command, slave, slave, {"TERM": "vt100", **(environment or {})})
        status, usage = _reap(process, limit, drain_and_ask)
    finally:
        os.close(slave)
        os.close(master)
    return _measured(usage, bytes(output), os.waitstatus_to_exitcode(status))


def _start(
    command: Sequence[str | Path], stdin: int, stdout: int, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [str(word) for word in command],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise BenchmarkError(f"{command[0]} is not installed") from error


def _reap(
    process: subprocess.Popen[bytes], limit: float, finished: Callable[[], bool]
) -> tuple[int, resource.struct_rusage]:
    """Wait for the process, or end it when its work is done; its status and usage."""
    deadline = time.monotonic() + limit
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return status, usage
        late = time.monotonic() > deadline
        if late or finished():
            process.kill()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if late:
                raise BenchmarkError(f"{process.args!r} did not end within {limit:.0f} seconds")
            return status, usage
        time.sleep(POLL_SECONDS)


def _measured(usage: resource.struct_rusage, output: bytes, status: int) -> Measured:
    seconds = usage.ru_utime + usage.ru_stime
    return Measured(seconds, usage.ru_maxrss, output.decode(errors="replace"), status)

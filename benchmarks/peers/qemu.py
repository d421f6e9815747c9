"""QEMU's translator (TCG), Debian's package, with a Linux that takes commands on its serial line.

The kernel is handed over as ours is, without a boot loader; SeaBIOS runs before it, which is some
hundredths of a second. Time is CPU time of the whole process (clock_getcpuclockid(3)), read before
a line is sent and after the prompt has come back: the guest waits for input then, and QEMU sleeps.
Its guest's timer ticks by the clock on the wall, so on a busy host it ticks more often for the same
work than ours does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import shutil
import subprocess
import time
from pathlib import Path

from benchmarks.timing import BenchmarkError

PROGRAM = "qemu-system-i386"
NAME = "QEMU TCG"
NEEDED = "Debian: apt install qemu-system-x86"
CPU = "pentium2"  # it has no Pentium Pro
LIMIT = 900.0


class Qemu:
    """A machine from its start; `wait_for` first, then `send` and `wait_for` in turn."""

    def __init__(self, kernel: Path, initrd: Path, append: str, memory: int) -> None:
        if shutil.which(PROGRAM) is None:
            raise BenchmarkError(f"QEMU is not installed ({NEEDED})")
        command = [PROGRAM, "-accel", "tcg", "-cpu", CPU, "-m", str(memory), "-nodefaults"]
        command += ["-display", "none", "-serial", "stdio", "-no-reboot"]
        command += ["-kernel", str(kernel), "-initrd", str(initrd), "-append", append]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, start_new_session=True
        )
        self._clock = _cpu_clock(self._process.pid)

    def seconds(self) -> float:
        """CPU time so far."""
        return time.clock_gettime(self._clock)

    def send(self, text: str) -> None:
        """Type on the serial line."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: wait_for says so
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()

    def wait_for(self, text: str) -> str:
        """What the serial line says until then. BenchmarkError if it never comes."""
        assert self._process.stdout is not None
        found, deadline = b"", time.monotonic() + LIMIT
        with selectors.DefaultSelector() as ready:
            ready.register(self._process.stdout, selectors.EVENT_READ)
            while text.encode() not in found:
                if not ready.select(deadline - time.monotonic()):
                    raise BenchmarkError(f"{NAME}: no {text!r} within {LIMIT:.0f} seconds")
                more = os.read(self._process.stdout.fileno(), 1 << 16)
                if not more:
                    raise BenchmarkError(f"{NAME} ended:\n{found[-500:].decode(errors='replace')}")
                found += more
        return found.decode(errors="replace")

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def boot_seconds(kernel: Path, initrd: Path, append: str, memory: int, ready: str) -> float:
    """CPU time of a boot until the serial line shows this."""
    machine = Qemu(kernel, initrd, append, memory)
    try:
        machine.wait_for(ready)
        return machine.seconds()
    finally:
        machine.close()


def version() -> str:
    """What it says it is."""
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def _cpu_clock(pid: int) -> int:
    clock = ctypes.c_int()
    if ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock)) != 0:
        raise BenchmarkError(f"{NAME} has no clock for its CPU time")
    return clock.value

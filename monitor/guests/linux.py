"""Debian's unmodified Linux as a benchmark's guest: its files, its command lines, its start.

`make guests` fetches kernel and busybox and makes the initramfs. A benchmark's own first program
goes behind that in an archive of its own: the kernel unpacks archives that stand one behind the
other (Documentation/driver-api/early-userspace/buffer-format.rst).
"""

from __future__ import annotations

import gzip
from pathlib import Path

from monitor.loaders import cpio
from monitor.machine import Machine
from monitor.vmm.errors import UserError

GUESTS = Path(__file__).resolve().parents[2] / "guests"
KERNEL, INITRD = GUESTS / "vmlinuz", GUESTS / "initramfs.cpio.gz"
PLAIN = "console=ttyS0,115200 noapic nolapic nosmp acpi=off reboot=k panic=1"
QUICK = f"{PLAIN} cryptomgr.notests noisapnp mitigations=off quiet"
PROMPT = "/ # "
MEMORY_MB = 128
PROGRAM = "bench"


def missing() -> str:
    """Which of the guest's files are missing, in words; empty if none is."""
    names = [path.name for path in (KERNEL, INITRD) if not path.exists()]
    return f"guests/ has no {' and no '.join(names)}: `make guests` fetches them" if names else ""


def check() -> None:
    """Raises UserError where the guest's files are missing."""
    if missing():
        raise UserError(missing())


def with_program(initrd: bytes, program: str) -> bytes:
    """The initramfs with a shell script for the kernel to start with."""
    added = cpio.archive({PROGRAM: cpio.program(program.encode())})
    return initrd + gzip.compress(added, mtime=0)


def start(machine: Machine, program: str) -> None:
    """Load Linux, which shall run the script as its first process."""
    initrd = with_program(INITRD.read_bytes(), program)
    machine.load_linux(KERNEL, initrd, f"{QUICK} rdinit=/{PROGRAM}")

"""What `vp run` says of a run on standard error: a line when it begins, and one when it has ended.

    vp: running kernel guests/vmlinuz in mode translate, 128 MiB; Ctrl-A h for help
    ...
    vp: the guest reset itself; 1,234,567,890 instructions in 21.30 s, 58.0 MIPS, mode translate

All the figures come only with --report. A run that ended badly says where the guest was, and trap
mode, which runs guests to see what they are told wrongly, says what that was.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from monitor.settings.config import ImageConfig, LimitConfig
from monitor.settings.machine import Settings
from monitor.writing import ending

if TYPE_CHECKING:
    from monitor import Machine
    from monitor.cli.session import Finished

CALLED = {"kernel": "kernel", "multiboot": "Multiboot image", "elf": "ELF executable",
          "flat": "flat image", "bios": "BIOS"}  # fmt: skip


def say(line: str) -> None:
    """A line on standard error, now. A file's name in it cannot act on a terminal."""
    text = "".join(c if c.isprintable() else "?" for c in line)
    print(text, file=sys.stderr, flush=True)


def opening_line(
    image: ImageConfig, settings: Settings, takes_keys: bool, begun: str = ""
) -> str:
    """What runs, and how."""
    begun = begun or f"running {CALLED[image.kind]} {image.path}"
    without = f" without {', '.join(settings.without)}" if settings.without else ""
    line = f"vp: {begun} in mode {settings.mode}{without}, {settings.memory_mb} MiB"
    return f"{line}; Ctrl-A h for help" if takes_keys else line


def tell(
    machine: Machine, finished: Finished, limits: LimitConfig, *, quiet: bool, full: bool
) -> None:
    """How it went. `quiet`: only if it went badly; `full`: with every figure."""
    from monitor.cli import report

    outcome, statistics = finished.outcome, machine.statistics()
    line = report.closing_line(ending.sentence(outcome, limits.until), statistics)
    badly = finished.signal is None and ending.wants_explanation(outcome, limits.until)
    if full or badly or not quiet:
        _end_the_guest_s_line(machine)
    if full:
        report.print_statistics(statistics)
    elif not quiet:
        report.print_wrong_answers(statistics)
    if badly:
        report.print_end(line, machine.debug.where())
    elif full or not quiet:
        report.print_end(line)


def _end_the_guest_s_line(machine: Machine) -> None:
    """Where standard error goes to the same place, a prompt of the guest's has a line to itself."""
    try:
        shared = os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (OSError, ValueError):  # not this process's own streams
        return
    if shared and machine.output.last(1) not in (b"", b"\n"):
        print(file=sys.stderr, flush=True)

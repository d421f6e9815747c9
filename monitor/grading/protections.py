"""What this host lets us protect, in words: `vp lab grade --check-host`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from monitor.grading import landlock, seccomp
from monitor.grading.confine import readable_places
from monitor.grading.limits import Limits
from monitor.vmm.errors import UserError


@dataclass(frozen=True)
class Protection:
    against: str
    how: str
    there: bool


def of_this_host(limits: Limits) -> list[Protection]:
    """Each with how this host does it, or what it lacks."""
    filters, version = seccomp.available(), landlock.version()
    return [
        Protection("running for ever", f"{limits.cpu} s of processor time, {limits.wall} s in all",
                   True),
        Protection("using up memory", f"ended at {limits.memory} MiB in use", True),
        Protection("printing without end", f"ended after {limits.output >> 20} MiB", True),
        Protection("processes, writing files, signals, network",
                   "a system-call filter" if filters else
                   "needs Linux on x86-64 with seccomp: no grading here", filters),
        Protection("reading your files",
                   f"Landlock, version {version}" if version else
                   "needs Linux 5.13 with Landlock: submissions can read what you can",
                   version > 0),
    ]  # fmt: skip


def require(folders: Iterable[Path]) -> str:
    """UserError where grading would not be safe; a line to warn with where it is less so."""
    if not seccomp.available():
        raise UserError(
            f"this host ({os.uname().sysname}, {os.uname().machine}) cannot confine a submission; "
            "grade on Linux on x86-64, `vp lab grade --check-host` says what is missing"
        )
    if not landlock.version():
        return "this kernel has no Landlock: submissions cannot change your files, but read them"
    for folder in folders:
        for place in readable_places():
            if folder.resolve().is_relative_to(place):
                return f"{folder} lies in {place}, which submissions can read; better keep it apart"
    return ""

"""How much memory a process uses: resident or swapped pages, and what lies in files in memory.

A file of memfd_create(2) keeps its pages when it is no longer mapped, as long as it is open. If it
is both it counts twice; the monitor closes the files of guest RAM once they are mapped.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

BLOCK = 512  # of st_blocks, whatever the file system's
_FIELDS = re.compile(r"^Vm(?:RSS|Swap):\s*(\d+) kB$", re.MULTILINE)


def of(process: int) -> int:
    """Bytes; 0 if it has ended."""
    place = Path("/proc") / str(process)
    try:
        pages = sum(map(int, _FIELDS.findall((place / "status").read_text()))) * 1024
        return pages + sum(_in_memory(each) for each in (place / "fd").iterdir())
    except OSError:
        return 0


def _in_memory(descriptor: Path) -> int:
    with suppress(OSError):  # closed in the meantime
        if os.readlink(descriptor).startswith("/memfd:"):
            return descriptor.stat().st_blocks * BLOCK
    return 0


def first_to_go() -> None:
    """Should the host itself run out of memory, it ends this process before others."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")

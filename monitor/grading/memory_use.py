"""How much memory a process uses: its pages, resident or swapped, and the tables that map them.

That is all of it, since the filter lets a submission have no shared memory (policy.py). What the
kernel keeps besides is bounded: 32 descriptors' pipes and their like, about 2 MiB.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

_FIELDS = re.compile(r"^(?:VmRSS|VmSwap|VmPTE|HugetlbPages):\s*(\d+) kB$", re.MULTILINE)


def of(process: int) -> int:
    """Bytes; 0 if it has ended."""
    try:
        status = (Path("/proc") / str(process) / "status").read_text()
    except OSError:
        return 0
    return sum(map(int, _FIELDS.findall(status))) * 1024


def first_to_go() -> None:
    """Should the host itself run out of memory, it ends this process before others."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")

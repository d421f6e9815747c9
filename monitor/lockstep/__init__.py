"""The same guest bare and translated, compared as they go (comparison.py).

What is compared stands in cpu_state.py, the two machines in pair.py, guests to compare in
subjects.py. `python -m monitor.lockstep` does it.
"""

from __future__ import annotations

from monitor.lockstep.comparison import Difference, Lockstep, Report, Stage
from monitor.lockstep.subjects import (
    EMBEDDED_STAGES,
    embedded_guest,
    linux_guest,
    linux_stages,
)

__all__ = [
    "EMBEDDED_STAGES",
    "Difference",
    "Lockstep",
    "Report",
    "Stage",
    "embedded_guest",
    "linux_guest",
    "linux_stages",
]

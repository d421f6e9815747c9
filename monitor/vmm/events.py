"""Exits as a stream of events: what happened between stretches of guest code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ExitEvent:
    """One exit of the engine to the monitor, or one interrupt delivered to the guest."""

    reason: str  #: as `statistics()["exits"]` counts them, or "interrupt 0x20"
    eip: int  #: the guest's
    count: int  #: guest instructions completed


Listener = Callable[[ExitEvent], None]

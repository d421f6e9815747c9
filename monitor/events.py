"""Exits as a stream of events: what happened between stretches of guest code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ExitEvent:
    """reason: as statistics()["exits"] counts them, or "interrupt N"; eip: the guest's; count:
    guest instructions completed."""

    reason: str
    eip: int
    count: int


Listener = Callable[[ExitEvent], None]

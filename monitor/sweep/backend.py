"""Where the points of a sweep are run: what the two places have in common.

A worker that dies is not the fault of the point that it was running, or it is: the point is tried
once more by another worker (a cluster tries as often as it is configured to), and ends as a row
with `ended` = died if that one dies too. The next `vp sweep` of the same spec tries it again.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from monitor.sweep.grid import Point
from monitor.sweep.task import Job, Row

Task = tuple[int, Point]  # the point and its number in the grid
Rows = Generator[tuple[int, Row], None, None]


class Backend(Protocol):
    """A place: LocalBackend, DaskBackend."""

    @property
    def running(self) -> int:
        """How many points are on their way."""
        ...

    def run(self, job: Job, tasks: Sequence[Task]) -> Rows:
        """Rows as they are finished. Closing the generator ends what still runs."""
        ...

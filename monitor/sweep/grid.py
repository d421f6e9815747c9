"""The grid of a sweep: its axes, and its points in the order of the table.

There is nothing to leave out of the modes bare and trap. These have one point where translate has
one for every set of ablations, and so the grid of

    mode = ["bare", "translate"], without = ["", "chaining", "stubs"]

has four points for each guest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from monitor.settings.machine import CPU
from monitor.sweep.guests import Guest

TRANSLATE = "translate"
Without = tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """The axes. No memory: each guest has its own."""

    mode: tuple[str, ...] = (TRANSLATE,)
    without: tuple[Without, ...] = ((),)
    memory: tuple[int, ...] = ()
    clock: tuple[str, ...] = ("icount",)
    cpu: tuple[str, ...] = (CPU,)
    repetitions: int = 1


@dataclass(frozen=True)
class Point:
    """One row of the table to come."""

    guest: str
    mode: str
    without: Without
    memory_mb: int
    clock: str
    repetition: int
    cpu: str = CPU

    def cells(self) -> dict[str, Any]:
        """As columns of the table."""
        return {
            "guest": self.guest,
            "mode": self.mode,
            "without": " ".join(self.without),
            "memory_mb": self.memory_mb,
            "clock": self.clock,
            "cpu": self.cpu,
            "repetition": self.repetition,
        }

    def at(self, settings: Mapping[str, Any]) -> Point:
        """The point that differs in these settings only."""
        changed = replace(self, **settings)
        return changed if changed.mode == TRANSLATE else replace(changed, without=())


KEY = tuple(Point("", "", (), 0, "", 0).cells())


def points(guests: Sequence[Guest], grid: Grid) -> list[Point]:
    """Every point, in the order of the table."""
    return [point for guest in guests for point in _points(guest, grid)]


def _points(guest: Guest, grid: Grid) -> Iterator[Point]:
    for mode in grid.mode:
        for without in grid.without if mode == TRANSLATE else ((),):
            for memory in grid.memory or (guest.memory_mb,):
                for clock, cpu in product(grid.clock, grid.cpu):
                    for repetition in range(1, grid.repetitions + 1):
                        yield Point(guest.name, mode, without, memory, clock, repetition, cpu)


def running_order(grid_points: Sequence[Point]) -> list[int]:
    """Their numbers as they are run: a repetition runs everything once, so that a slow minute of
    the host meets all rows alike."""
    return sorted(range(len(grid_points)), key=lambda number: grid_points[number].repetition)

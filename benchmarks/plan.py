"""How thorough a run of the benchmarks is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BenchmarkPlan:
    """`quick`: shorter runs and fewer repeats, for a first look; the limits are the same."""

    quick: bool = False
    peers_only: bool = False

    @property
    def repeats(self) -> int:
        """How often a short measure is taken of the same machines; the least counts."""
        return 4 if self.quick else 7

    @property
    def placements(self) -> int:
        """How often it is taken again with machines made anew."""
        return 2 if self.quick else 4

    @property
    def long_repeats(self) -> int:
        """The same for what takes ten seconds or more."""
        return 1 if self.quick else 2

    def scaled(self, count: int) -> int:
        """A number of guest instructions or rounds, a fifth of it when quick."""
        return count // 5 if self.quick else count

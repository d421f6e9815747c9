"""What `vp scan` counts: sensitive instructions, by instruction and by class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bt.scanner import Finding
    from monitor.loaders.images import Region


class Totals:
    """Counts by instruction and by class."""

    def __init__(self) -> None:
        self.rows: Counter[tuple[str, str, str, bool, str]] = Counter()

    @classmethod
    def of(cls, found: Iterable[tuple[Region, Finding]]) -> Totals:
        totals = cls()
        for _, finding in found:
            totals.add(finding)
        return totals

    def add(self, finding: Finding) -> None:
        name, group, kind = finding.mnemonic, finding.group, finding.sensitivity.value
        self.rows[(name, kind, group, finding.traps_in_ring3, finding.why)] += 1

    def by_class(self) -> dict[str, int]:
        counts = Counter(dict.fromkeys(("privileged", "critical"), 0))
        for (_, kind, _, _, _), count in self.rows.items():
            counts[kind] += count
        return dict(counts)

    @property
    def untrapped(self) -> int:
        return sum(count for (_, _, _, traps, _), count in self.rows.items() if not traps)

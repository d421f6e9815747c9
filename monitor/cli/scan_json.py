"""`vp scan --json`: the regions, the sensitive instructions in them, and the totals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bt.scanner import Finding
    from monitor.cli.scan_totals import Totals
    from monitor.loaders.images import Region


def document(
    regions: Sequence[Region],
    shown: Iterable[tuple[Region, Finding]],
    totals: Totals,
) -> dict[str, Any]:
    """`shown` is what --limit leaves of them; the totals count all."""
    return {
        "regions": [
            {"name": each.name, "address": each.address, "bytes": len(each.code),
             "bits": each.bits}
            for each in regions
        ],
        "instructions": [_instruction(region, finding) for region, finding in shown],
        "by_class": totals.by_class(),
        "not_trapped": totals.untrapped,
        "totals": [
            {"mnemonic": name, "class": kind, "group": group, "traps_in_ring3": traps, "why": why,
             "count": count}
            for (name, kind, group, traps, why), count in totals.rows.most_common()
        ],
    }  # fmt: skip


def _instruction(region: Region, finding: Finding) -> dict[str, Any]:
    return {
        "region": region.name,
        "address": finding.address,
        "bytes": finding.bytes.hex(),
        "text": finding.text,
        "mnemonic": finding.mnemonic,
        "class": finding.sensitivity.value,
        "group": finding.group,
        "traps_in_ring3": finding.traps_in_ring3,
        "why": finding.why,
    }

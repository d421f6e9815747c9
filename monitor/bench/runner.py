"""Runs a workload in a setup, and counts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from monitor.bench.rows import Counts, Setup, Workload
from monitor.machine import Machine

TIME_LIMIT = 600.0


def execute(workload: Workload, setup: Setup) -> tuple[Counts, float, str]:
    """Counts, processor seconds, and how it ended."""
    machine = loaded(workload, setup)
    begun = time.process_time()
    outcome = machine.run(timeout=TIME_LIMIT)
    spent = time.process_time() - begun
    ended = outcome.kind if outcome.kind != "exit" or outcome.status == 1 else "failed"
    return counts_of(machine.statistics()), spent, ended


def loaded(workload: Workload, setup: Setup) -> Machine:
    machine = Machine(memory_mb=workload.memory_mb, mode=setup.mode, without=setup.without)
    machine.load_multiboot(workload.image)
    return machine


def counts_of(statistics: Mapping[str, Any]) -> Counts:
    """The part of a machine's statistics that repeats exactly."""
    shadow, cache = statistics.get("shadow", {}), statistics.get("tc", {})
    return Counts(
        instructions=statistics["instructions"],
        by_kind={kind: n for kind, n in statistics["by_kind"].items() if n},
        exits=dict(statistics.get("exits", {})),
        fills=shadow.get("fills", 0),
        translated=cache.get("guest_instructions_translated", 0),
        lookups=cache.get("lookups", 0),
        world_switches=statistics["world_switches"],
        port_accesses=sum(statistics["devices"].values()),
        wrong=sum(row["count"] for row in statistics.get("wrong_answers", ())),
    )

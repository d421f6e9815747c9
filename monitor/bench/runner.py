"""Runs a workload in a setup, and counts.

How many instructions the engine executed takes a run of its own (engine_count.py). Workloads have
no timers, so that it is the same run. `execute` measures, and `engine_instructions` counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from monitor.bench.engine_count import everything_counts
from monitor.bench.rows import TRANSLATE, Counts, Setup, Workload
from monitor.extensions import Extensions
from monitor.machine import Machine

TIME_LIMIT = 600.0

_extensions: ContextVar[Extensions | None] = ContextVar("extensions", default=None)


@contextmanager
def extended(extensions: Extensions | None) -> Iterator[None]:
    """Translating machines that are made inside have these extensions."""
    token = _extensions.set(extensions)
    try:
        yield
    finally:
        _extensions.reset(token)



def execute(
    workload: Workload,
    setup: Setup,
    seconds: float = TIME_LIMIT,
    instructions: int | None = None,
) -> tuple[Counts, float, str]:
    """Counts, processor seconds, and how it ended. It is stopped after so many seconds, or guest
    instructions."""
    machine = loaded(workload, setup)
    begun = time.process_time()
    outcome = machine.run(timeout=seconds, max_instructions=instructions)
    spent = time.process_time() - begun
    ended = outcome.kind if outcome.kind != "exit" or outcome.status == 1 else "failed"
    return counts_of(machine.statistics()), spent, ended


def engine_instructions(
    workload: Workload,
    setup: Setup,
    seconds: float = TIME_LIMIT,
    instructions: int | None = None,
) -> int:
    """What the engine and the ideal processor execute for it, stubs included."""
    with everything_counts():
        machine = loaded(workload, setup)
    machine.run(timeout=seconds, max_instructions=instructions)
    return machine.instructions


def make(setup: Setup, memory_mb: int) -> Machine:
    """A machine whose turns are always as long, so that nothing depends on the host's speed: where
    the engine's instructions are counted, a turn may end inside a stub (engine_count.py)."""
    extensions = _extensions.get() if setup.mode == TRANSLATE.mode else None
    machine = Machine(memory_mb=memory_mb, mode=setup.mode, without=setup.without,
                      extensions=extensions)  # fmt: skip
    machine.loop.steady = True
    return machine


def loaded(workload: Workload, setup: Setup) -> Machine:
    """A machine about to run the workload."""
    machine = make(setup, workload.memory_mb)
    machine.load_multiboot(workload.image, firmware_state="raw")
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
        interrupts=statistics["interrupts"],
        wrong=sum(row["count"] for row in statistics.get("wrong_answers", ())),
    )

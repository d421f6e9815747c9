"""The research bench: what a guest's operations cost, bare and under the monitor (`vp bench`).

    from monitor import bench

    results = bench.run("nano", only=["in", "callret"])
    results.figure("in", "translate").cycles
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.bench.results import Results


def run(
    suite: str = "nano", only: Sequence[str] = (), rounds: int | None = None, model: str = ""
) -> Results:
    """What `vp bench SUITE` counts, by a cost model (its name or file); UserError as there."""
    from monitor.bench import suites
    from monitor.bench.model import DEFAULT, load
    from monitor.bench.results import Options

    found = suites.make(suite, Options(load(model or DEFAULT), only, rounds))
    return found.results(list(found.plan.measure()))

"""What an operation of the user's own costs at a point of the grid, as columns of its row.

The row's counts are those of one run, start-up and all, as every guest's are. These columns tell
them apart as `vp bench own` does (monitor/bench/apart.py), with runs of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from monitor.bench.apart import Cost
from monitor.bench.figures import decimal
from monitor.bench.model import Model
from monitor.bench.own_plan import Bounds, OwnPlan, priced
from monitor.bench.rows import Setup
from monitor.sweep.grid import Point
from monitor.sweep.guests import OwnImage

PLACES = 2
STEADY = "steady:"
COLUMNS: Mapping[str, Callable[[Cost], Fraction]] = {
    STEADY: lambda cost: cost.steady.cycles,
    "native:": lambda cost: cost.steady.native,
    "stubs:": lambda cost: cost.steady.stubs,
    "first pass:": lambda cost: cost.first.cycles,
    "once:": lambda cost: cost.once.cycles,
    "translation:": lambda cost: cost.once.translation,
}  # and the model's name: cycles of a steady pass, parts of them, and what is paid once


def columns(
    image: OwnImage, point: Point, models: Sequence[Model], seconds: float
) -> dict[str, Any]:
    """Nothing where trap mode led the guest astray. Raises UserError for an operation that cannot
    be measured, TooLongError for one that cannot be in so many seconds."""
    plan = OwnPlan([image.operation], [Setup(point.mode, point.without)], image.rounds, 1,
                   models[0], Bounds(seconds), point.memory_mb, engine=False)  # fmt: skip
    rows = list(plan.measure())
    found: dict[str, Any] = {}
    for model in models:
        [cost] = plan.costs(priced(rows, plan.subjects, model)).values()
        if cost is None:
            return {}
        found |= {kind + model.name: decimal(of(cost), PLACES) for kind, of in COLUMNS.items()}
    return found

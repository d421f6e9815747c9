"""The suite `ablations`: what leaving a technique out changes, and must not (ablation.py)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from monitor.bench import ablation
from monitor.bench.ablation import EXPECTED
from monitor.bench.figures import decimal
from monitor.bench.results import Options, Results, Suite
from monitor.bench.rows import ENDED_WELL, Row
from monitor.vmm.errors import UserError

HEAD = ("without", "guest", "instructions", "figure", "shall be", "with it", "without it", "is",
        "cycles", "guest's life")  # fmt: skip
YES, NO = "as it shall", "NOT SO"
SAME = "the same"
NOTES = (
    "cycles: without the technique, in times of those with it. guest's life: processor and RAM "
    "step by step, and the console, beside the bare machine.",
    "Adaptive retranslation cannot be left out: this translator has none (docs/benchmarks.md).",
)


class Ablations(Suite):
    """Each technique left out, with what must change and what must not (ablation.py)."""

    name = "ablations"

    def __init__(self, options: Options) -> None:
        super().__init__(options, ablation.ROUNDS)
        if options.host_clock:
            raise UserError("vp bench ablations compares counts: it has no --clock host")
        self.plan = ablation.AblationPlan(ablation.choose(options.only), self.rounds, options.model)

    def results(self, rows: Sequence[Row]) -> Results:
        pairs = list(zip(rows[::2], rows[1::2], strict=True))
        return Results(
            self.name,
            f"What it changes to leave a technique out; cycles of a {self.options.model.title}",
            self.options.model,
            HEAD,
            [_line(with_it, without) for with_it, without in pairs],
            rows,
            NOTES,
            self.about(),
            failed=not all(_direction(*pair) and _same(*pair) for pair in pairs),
        )


def _line(with_it: Row, without: Row) -> tuple[str, ...]:
    technique = without.setup.without[0]
    expected = EXPECTED[technique]
    return (
        technique,
        with_it.workload,
        str(without.counts.instructions),
        expected.figure,
        "more" if expected.more else "fewer",
        str(expected.of(with_it.counts)),
        str(expected.of(without.counts)),
        YES if _direction(with_it, without) else NO,
        decimal(Fraction(without.cycles, with_it.cycles), 2),
        SAME if _same(with_it, without) else NO,
    )


def _direction(with_it: Row, without: Row) -> bool:
    return EXPECTED[without.setup.without[0]].holds(with_it.counts, without.counts)


def _same(with_it: Row, without: Row) -> bool:
    return with_it.ended == without.ended == ENDED_WELL

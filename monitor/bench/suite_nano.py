"""The suite `nano`: single operations, in every setup (nano.py)."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.bench import figures, nano, suite, tables
from monitor.bench.figures import Figure
from monitor.bench.results import Options, Pictures, Results, Suite
from monitor.bench.rows import Row


class Nano(Suite):
    """The nanobenchmarks: single operations, each in every setup (nano.py)."""

    name = nano.NAME

    def __init__(self, options: Options) -> None:
        super().__init__(options, nano.ROUNDS)
        self._operations = nano.choose(options.only)
        self.plan = suite.SuitePlan(nano.sources(self._operations), nano.SETUPS, self.rounds,
                               options.repetitions, options.model)  # fmt: skip

    def results(self, rows: Sequence[Row]) -> Results:
        found, host_clock = figures.operations(rows, self._operations), self.options.host_clock
        return Results(
            self.name,
            f"One operation, of {self.rounds} in a loop; cycles of a {self.options.model.title}",
            self.options.model,
            tables.OPERATION.head(host_clock),
            tables.lines(found, host_clock, tables.OPERATION),
            rows,
            _wrong_answers(found),
            self.about(),
            lambda: _pictures(found),
            found,
        )


def _pictures(found: Sequence[Figure]) -> Pictures:
    from monitor.bench import plots  # matplotlib is not everybody's

    return [
        ("What an operation costs, bare, trapped and translated.", plots.operations(found)),
        ("Cycles that an operation takes more when one technique is left out.",
         plots.ablations(found)),
        ("What the translating monitor spends the cycles on.",
         plots.spending(found, "cycles for one operation, translated")),
    ]  # fmt: skip


def _wrong_answers(found: Sequence[Figure]) -> list[str]:
    wrong = sorted({figure.operation for figure in found if figure.wrong})
    if not wrong:
        return []
    return [f"(wrong): trap mode let critical instructions give wrong answers in "
            f"{', '.join(wrong)}; its cycles there buy no right result"]

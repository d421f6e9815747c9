"""The suite `talk`: the table of 1999, with stand-ins (talk.py)."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.bench import suite, talk
from monitor.bench.results import Options, Pictures, Results, Suite
from monitor.bench.rows import Row

STAND_INS = ("Stand-ins, not the talk's programs: what they share is where the instructions run. "
             "docs/benchmarks.md says why the figures differ.")  # fmt: skip


class Talk(Suite):
    """The table of the talk of 1999, with stand-ins (talk.py)."""

    name = "talk"

    def __init__(self, options: Options) -> None:
        super().__init__(options, talk.ROUNDS)
        self._programs = talk.choose(options.only)
        self.plan = suite.SuitePlan(talk.sources(self._programs), talk.SETUPS, self.rounds,
                               options.repetitions, options.model)  # fmt: skip

    def results(self, rows: Sequence[Row]) -> Results:
        found, host_clock = talk.slowdowns(rows, self._programs), self.options.host_clock
        return Results(
            self.name,
            f"The talk's table with stand-ins; cycles of a {self.options.model.title}",
            self.options.model,
            talk.head(host_clock),
            talk.lines(found, host_clock),
            rows,
            [STAND_INS],
            self.about(),
            lambda: _pictures(found),
            slowdowns=found,
        )


def _pictures(found: Sequence[talk.Slowdown]) -> Pictures:
    from monitor.bench import plots  # matplotlib is not everybody's

    return [
        ("Slowdown of the stand-ins by the model, beside the talk's figures (under 10% is drawn "
         "as 10%).", plots.slowdowns(found)),
    ]  # fmt: skip

"""The suite `macro`: loads of Linux, bare and translated (macro.py)."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.bench import figures, macro, tables
from monitor.bench.figures import Figure
from monitor.bench.results import Options, Pictures, Results, Suite
from monitor.bench.rows import Row
from monitor.guests import linux

NO_TRAP = "There is no trap mode here: Linux does not get through its boot in it."


class Macro(Suite):
    """Loads of Linux, bare and translated (macro.py)."""

    name = "macro"

    def __init__(self, options: Options) -> None:
        super().__init__(options, macro.ROUNDS)
        self._loads = macro.choose(options.only)
        linux.check()
        self.plan = macro.MacroPlan(self._loads, self.rounds, options.repetitions, options.model,
                               timed=options.host_clock)  # fmt: skip

    def results(self, rows: Sequence[Row]) -> Results:
        found = figures.loads(rows, [load.name for load in self._loads])
        host_clock = self.options.host_clock
        return Results(
            self.name,
            f"Loads of Linux, {self.rounds} rounds each; cycles of a {self.options.model.title}",
            self.options.model,
            tables.LOAD.head(host_clock),
            tables.lines(found, host_clock, tables.LOAD),
            rows,
            [*(f"{load.name}: {load.what}" for load in self._loads), NO_TRAP],
            self.about() | {"loads": " ".join(load.name for load in self._loads)},
            lambda: _pictures(found, host_clock),
            found,
        )


def _pictures(found: Sequence[Figure], host_clock: bool) -> Pictures:
    from monitor.bench import plots  # matplotlib is not everybody's

    return [
        ("What a load takes translated, in times of what it takes bare.",
         plots.loads(found, host_clock)),
        ("What the translating monitor spends a load's cycles on.",
         plots.spending(found, "parts of the load's cycles, translated", share=True)),
    ]  # fmt: skip

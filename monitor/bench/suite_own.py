"""The suite `own`: operations of the user's own, from files, in every setup (own_file.py)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from monitor.bench import own_file, tables
from monitor.bench.apart import Cost
from monitor.bench.figures import Spread, decimal
from monitor.bench.nano import KERNEL, ROUNDS, SETUPS, USER
from monitor.bench.own_file import Settings
from monitor.bench.own_plan import USUAL, Bounds, OwnPlan
from monitor.bench.results import Options, Pictures, Results, Suite
from monitor.bench.rows import Row, Setup
from monitor.bench.tables import NONE, REASONS, SLOWDOWN, WRONG
from monitor.vmm.errors import UserError

NAME = "own"
HEAD = ("operation", "setup", "instructions", "engine", "exits", "cycles", "to bare", "native",
        "stubs", "monitor", "first pass", "once", "translation")  # fmt: skip
TIMES = ("ns", "ns least", "ns most", *SLOWDOWN)
PLACES, CYCLE_PLACES = 2, 1
NS = 1e9
WORDS = (
    "instructions to monitor: a steady pass, in which nothing is done for the first time any more; "
    "its cycles are native, stubs and monitor. first pass: cycles of the first. once: what all "
    "passes together cost beyond steady ones, and translation of that."
)


@dataclass(frozen=True)
class Asked:
    """What is asked of the user's files. `settings`: values of names in them. `ring` is 0 or 3."""

    files: Sequence[Path]
    settings: Settings = field(default_factory=dict)
    setups: Sequence[Setup] = SETUPS
    ring: int = 0
    bounds: Bounds = USUAL


class Own(Suite):
    """Operations of one's own, each in every setup (own_file.py). Raises UserError."""

    name = NAME
    plan: OwnPlan

    def __init__(self, options: Options, asked: Asked) -> None:
        super().__init__(options, ROUNDS)
        if not asked.files:
            raise UserError("vp bench own takes a file of assembly: vp bench own FILE.asm")
        self._asked = asked
        loop = USER if asked.ring else KERNEL
        found = [one for path in asked.files for one in own_file.load(path, asked.settings, loop)]
        self.plan = OwnPlan(own_file.choose(found, options.only), asked.setups, self.rounds,
                            options.repetitions, options.model, asked.bounds)  # fmt: skip

    def results(self, rows: Sequence[Row]) -> Results:
        found, host_clock = self.plan.costs(rows), self.options.host_clock
        known = [one for one in found.values() if one is not None]
        return Results(
            self.name,
            f"A pass, of {self.rounds} in a loop; cycles of a {self.options.model.title}",
            self.options.model,
            (*HEAD, *(TIMES if host_clock else ()), REASONS),
            [line(name, setup, one, host_clock) for (name, setup), one in found.items()],
            rows,
            [WORDS, *_notes(found)],
            self.about(),
            lambda: _pictures(known),
            known,
        )

    def about(self) -> dict[str, Any]:
        settings = {name: " ".join(map(str, values))
                    for name, values in self._asked.settings.items()}  # fmt: skip
        files = " ".join(str(path) for path in self._asked.files)
        return {**super().about(), "files": files, "ring": self._asked.ring, "set": settings}


def line(operation: str, setup: Setup, one: Cost | None, host_clock: bool) -> tuple[str, ...]:
    """A line of the table; of what trap mode led astray nothing is known."""
    if one is None:
        nothing = (NONE,) * (len(HEAD) - 2 + (len(TIMES) if host_clock else 0))
        return (operation, f"{setup}{WRONG}", *nothing, "")
    steady = one.steady
    return (
        operation,
        f"{setup}{WRONG if one.wrong else ''}",
        *(_exact(value, PLACES) for value in (steady.instructions, steady.engine, steady.exits)),
        decimal(steady.cycles, CYCLE_PLACES),
        _exact(one.steady_ratio, PLACES),
        *(decimal(value, CYCLE_PLACES) for value in (
            steady.native, steady.stubs, steady.monitor + steady.translation, one.first.cycles,
            one.once.cycles, one.once.translation)),
        *(_times(one) if host_clock else ()),
        tables.reasons(steady.reasons),
    )  # fmt: skip


def _exact(value: Fraction | None, places: int) -> str:
    return NONE if value is None else decimal(value, places)


def _times(one: Cost) -> list[str]:
    slowdown = [NONE] * 3 if one.slowdown is None else [f"{n:.2f}" for n in _each(one.slowdown)]
    return [*(f"{n * NS:.0f}" for n in _each(one.seconds)), *slowdown]


def _each(spread: Spread) -> tuple[float, float, float]:
    return spread.middle, spread.least, spread.most


def _notes(found: Mapping[tuple[str, Setup], Cost | None]) -> list[str]:
    notes = []
    astray = _labels(name for (name, _), one in found.items() if one is None)
    wrong = _labels(one.operation for one in found.values() if one is not None and one.wrong)
    if wrong:
        notes.append(f"(wrong): trap mode let critical instructions give wrong answers in "
                     f"{wrong}; its cycles there buy no right result")  # fmt: skip
    if astray:
        notes.append(f"(wrong) without figures: wrong answers led {astray} astray, so "
                     "that the loop did not come to its end")  # fmt: skip
    return notes


def _labels(names: Iterable[str]) -> str:
    """Each label once, whatever was set."""
    return ", ".join(dict.fromkeys(name.partition(" ")[0] for name in names))


def _pictures(found: Sequence[Cost]) -> Pictures:
    from monitor.bench import plots_own  # matplotlib is not everybody's

    if not found:
        return ()
    return [
        ("What a steady pass is made of.", plots_own.steady(found)),
        ("What is paid once, by the first passes.", plots_own.once(found)),
    ]

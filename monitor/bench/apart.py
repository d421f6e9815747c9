"""What an operation costs, told apart: its first pass, what happens once, and a steady pass.

An operation's loop runs for one pass, for R, and for half as many, and so does the loop with nothing
in it, which is subtracted.

    first    what the loop of one pass costs: all is cold, and translated on the way
    steady   what the second half of the R passes costs, each: nothing is done for the first time
             any more
    once     what R passes cost beyond R steady ones: translation, chaining, shadow fills

Of each there are the counts, and cycles by what they are spent on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction

from monitor.bench.figures import Figure, Measured, figure_of
from monitor.bench.model import real_exits
from monitor.bench.rows import ENDED_WELL, Row

STUBS = ("stub", "lookup")  # parts of the cost model that are code in the translation cache
TRANSLATION = "translate"
NATIVE = "native"

Read = Callable[[Row], int]
ByPasses = Mapping[int, list[Row]]  # repetitions of a loop by its number of passes


@dataclass(frozen=True)
class Share:
    """A part of an operation's cost. `engine` is None where it was not counted; `parts` are cycles
    by the parts of the cost model, none on the bare machine, which has no monitor."""

    instructions: Fraction
    engine: Fraction | None
    in_stubs: Fraction  #: guest instructions that a stub simulated
    emulated: Fraction
    exits: Fraction
    fills: Fraction
    translated: Fraction  #: guest instructions that the translator read
    cycles: Fraction
    parts: Mapping[str, Fraction]
    reasons: Mapping[str, Fraction]

    @property
    def stubs(self) -> Fraction:
        """Cycles in stubs and lookups."""
        return sum((self.parts.get(name, Fraction(0)) for name in STUBS), Fraction(0))

    @property
    def translation(self) -> Fraction:
        """Cycles of the translator."""
        return self.parts.get(TRANSLATION, Fraction(0))

    @property
    def monitor(self) -> Fraction:
        """Cycles of exits, emulation, fills, chaining and whatever else the monitor does."""
        known = (NATIVE, TRANSLATION, *STUBS)
        return sum((n for name, n in self.parts.items() if name not in known), Fraction(0))

    @property
    def native(self) -> Fraction:
        """Cycles of instructions as the hardware runs them."""
        return self.cycles - self.stubs - self.translation - self.monitor


@dataclass(frozen=True)
class Cost(Figure):
    """A figure of R passes, start-up and all, and what it is made of."""

    first: Share  #: the first pass
    steady: Share  #: a pass when nothing is done for the first time any more
    once: Share  #: all that R passes cost beyond that
    steady_ratio: Fraction | None  #: a steady pass over the bare machine's


def lengths(passes: int) -> list[int]:
    """How often the loops run, in passes: a steady pass is the difference of the last two.

    >>> lengths(2000), lengths(3), lengths(1)
    ([1, 1000, 2000], [1, 3], [1, 2])
    """
    last = max(passes, 2)
    return sorted({1, last // 2, last})


@dataclass(frozen=True)
class Loops:
    """An operation's rows and those of the loop that is subtracted, by the number of passes.
    `passes` is R."""

    full: ByPasses
    empty: ByPasses
    passes: int

    @property
    def ended_well(self) -> bool:
        return all(row.ended == ENDED_WELL for row in self.rows())

    def of(self, passes: int) -> Measured:
        """The average over so many passes."""
        return Measured(self.full[passes], self.empty[passes], passes)

    def _sum(self, passes: int, read: Read) -> int:
        return read(self.full[passes][0]) - read(self.empty[passes][0])

    def first(self, read: Read) -> Fraction:
        return Fraction(self._sum(1, read))

    def steady(self, read: Read) -> Fraction:
        *_, half, last = lengths(self.passes)
        return Fraction(self._sum(last, read) - self._sum(half, read), last - half)

    def once(self, read: Read) -> Fraction:
        return self._sum(self.passes, read) - self.passes * self.steady(read)

    def rows(self) -> Iterator[Row]:
        """One of each loop."""
        for by_passes in (self.full, self.empty):
            for repeated in by_passes.values():
                yield repeated[0]


def cost(loops: Loops, bare: Loops | None) -> Cost:
    """What an operation costs in one setup, beside the same on the bare machine."""
    passes = loops.passes
    figure = figure_of(loops.of(passes), bare.of(passes) if bare else None)
    steady = _share(loops, loops.steady)
    on_bare = bare.steady(lambda row: row.cycles) if bare else None
    return Cost(
        **{part.name: getattr(figure, part.name) for part in fields(figure)},
        first=_share(loops, loops.first),
        steady=steady,
        once=_share(loops, loops.once),
        steady_ratio=steady.cycles / on_bare if on_bare else None,
    )


def _share(loops: Loops, of: Callable[[Read], Fraction]) -> Share:
    counted = all(row.engine is not None for row in loops.rows())
    return Share(
        instructions=of(lambda row: row.counts.instructions),
        engine=of(lambda row: row.engine or 0) if counted else None,
        in_stubs=of(lambda row: row.counts.by_kind.get("stubs", 0)),
        emulated=of(lambda row: row.counts.by_kind.get("emulated", 0)),
        exits=of(lambda row: real_exits(row.counts)),
        fills=of(lambda row: row.counts.fills),
        translated=of(lambda row: row.counts.translated),
        cycles=of(lambda row: row.cycles),
        parts=_by_name(loops, of, lambda row: row.parts),
        reasons=_by_name(loops, of, lambda row: row.counts.exits),
    )


def _by_name(
    loops: Loops, of: Callable[[Read], Fraction], names: Callable[[Row], Mapping[str, int]]
) -> dict[str, Fraction]:
    """Figures by name; those that come to nothing are left out."""
    known = sorted({name for row in loops.rows() for name in names(row)})
    found = {name: of(lambda row, name=name: names(row).get(name, 0))  # type: ignore[misc]
             for name in known}  # fmt: skip
    return {name: value for name, value in found.items() if value}

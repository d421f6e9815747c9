"""The table of the Hot Chips talk of 1999, redone with stand-ins.

The talk measured programs of its time on a Pentium II, native and under VMware's Virtual Platform.
Those programs cannot be had or run here; each row has a guest of ours with the same name for what
it does: where its instructions run, and how often it needs the monitor. The rates are ours too, and
stand in the guests' sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from monitor.bench.figures import Rows, Spread, decimal, slowdown
from monitor.bench.images import workload
from monitor.bench.model import real_exits
from monitor.bench.nano import KERNEL, USER
from monitor.bench.rows import BARE, TRANSLATE, Row, Workload
from monitor.bench.suite import Source
from monitor.bench.tables import LOAD, NONE, REASONS, reasons
from monitor.settings import did_you_mean
from monitor.vmm.errors import UserError

ROUNDS = 1000  # 18 to 30 million instructions: start-up must not count
SETUPS = (BARE, TRANSLATE)
HEAD = ("row", "stands for", "instructions", "engine", "in TC", "exits", "bare", "virtual",
        "slowdown", "talk")  # fmt: skip
HOST_HEAD = ("here", "least", "most")


@dataclass(frozen=True)
class Program:
    """A stand-in. `theirs` is the slowdown that the talk gave, `percent` the same as a number."""

    name: str
    stands_for: str
    loop: str
    theirs: str
    percent: int

    def make(self, rounds: int) -> Workload:
        """Its guest, for so many rounds."""
        return workload(self.name, rounds, loop=self.loop, operation=f"talk_{self.name}")


PROGRAMS = (
    Program("direct", "CPUmark32 (all direct)", USER, "8%", 8),
    Program("patched", "Norton SI32 (all patched)", KERNEL, "30%", 30),
    Program("integer", "SPECint95", USER, "under 10%", 10),
    Program("float", "SPECfp95", USER, "under 10%", 10),
)


@dataclass(frozen=True)
class Slowdown:
    """One program, bare and translated. `cycles` is the slowdown by the model, 0 for none."""

    program: Program
    bare: Row
    virtual: Row
    cycles: Fraction
    times: Spread | None  #: virtual over bare; None where the host measured no time for bare


def choose(names: Sequence[str]) -> list[Program]:
    """The programs with these names; all of them for none. Raises UserError."""
    known = {program.name: program for program in PROGRAMS}
    for name in names:
        if name not in known:
            raise UserError(f"no program {name!r}: {did_you_mean.choose(name, known)}")
    return [known[name] for name in names] or list(PROGRAMS)


def sources(programs: Sequence[Program]) -> list[Source]:
    return [Source(program.name, program.make) for program in programs]


def slowdowns(rows: Sequence[Row], programs: Sequence[Program]) -> list[Slowdown]:
    table = Rows(rows)
    return [
        _slowdown(program, table.of(program.name, BARE), table.of(program.name, TRANSLATE))
        for program in programs
    ]


def _slowdown(program: Program, bare: Sequence[Row], virtual: Sequence[Row]) -> Slowdown:
    cycles = Fraction(virtual[0].cycles, bare[0].cycles) - 1
    times = slowdown([row.seconds for row in virtual], [row.seconds for row in bare])
    return Slowdown(program, bare[0], virtual[0], cycles, times)


def head(host_clock: bool) -> tuple[str, ...]:
    return (*HEAD, *(HOST_HEAD if host_clock else ()), REASONS)


def lines(found: Sequence[Slowdown], host_clock: bool) -> list[tuple[str, ...]]:
    return [(*_line(one), *(_here(one) if host_clock else ()), _reasons(one)) for one in found]


def _line(one: Slowdown) -> tuple[str, ...]:
    counts = one.virtual.counts
    patched = counts.by_kind.get("translated", 0) + counts.by_kind.get("stubs", 0)
    return (
        one.program.name,
        one.program.stands_for,
        str(counts.instructions),
        str(one.virtual.engine),
        f"{decimal(Fraction(100 * patched, counts.instructions), 1)}%",
        str(real_exits(counts)),
        str(one.bare.cycles),
        str(one.virtual.cycles),
        f"{decimal(100 * one.cycles, 1)}%",
        one.program.theirs,
    )


def _reasons(one: Slowdown) -> str:
    return reasons({word: Fraction(n) for word, n in one.virtual.counts.exits.items()}, LOAD)


def _here(one: Slowdown) -> tuple[str, ...]:
    spread = one.times
    if spread is None:
        return (NONE,) * len(HOST_HEAD)
    ratios = (spread.middle, spread.least, spread.most)
    return tuple(f"{100 * (ratio - 1):.0f}%" for ratio in ratios)

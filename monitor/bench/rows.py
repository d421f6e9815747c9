"""Rows: what is measured, and what came out.

A Workload is a guest image with a name. A Setup is how it runs: mode and ablations. A Row is one
run of one workload in one setup: counts, which repeat exactly, and seconds, which do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

Tell = Callable[[str], None]
"""Is told what is being measured now, for a display."""

ENDED_WELL = "exit"
KINDS = ("bare", "direct", "translated", "stubs", "emulated")


def silence(_doing: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Workload:
    """A guest. `body` is where its loop is called, `handlers` where its gates lead."""

    name: str
    image: bytes
    rounds: int
    body: int
    handlers: tuple[int, ...] = ()
    memory_mb: int = 8


@dataclass(frozen=True)
class Setup:
    """How a workload runs."""

    mode: str
    without: tuple[str, ...] = ()

    def __str__(self) -> str:
        """
        >>> str(Setup("bare")), str(Setup("translate", ("stubs",)))
        ('bare', 'translate -stubs')
        """
        return " ".join((self.mode, *(f"-{name}" for name in self.without)))


BARE, TRAP, TRANSLATE = Setup("bare"), Setup("trap"), Setup("translate")


@dataclass(frozen=True)
class Counts:
    """What a run did, in numbers that are the same on every machine and in both builds."""

    instructions: int = 0
    by_kind: Mapping[str, int] = field(default_factory=dict)
    exits: Mapping[str, int] = field(default_factory=dict)
    fills: int = 0  #: pages entered into a shadow
    translated: int = 0  #: guest instructions that the translator read
    lookups: int = 0  #: indirect branches in translated code
    world_switches: int = 0
    port_accesses: int = 0
    interrupts: int = 0  #: from outside, delivered
    wrong: int = 0  #: answers that trap mode got wrong

    def __sub__(self, earlier: Counts) -> Counts:
        """What was done since.

        >>> since = Counts(5, exits={"#PF": 2, "chain": 1}) - Counts(3, exits={"chain": 1})
        >>> since.instructions, since.exits
        (2, {'#PF': 2})
        """
        return Counts(**{
            part.name: _less(getattr(self, part.name), getattr(earlier, part.name))
            for part in fields(self)
        })  # fmt: skip


def _less(now: Any, before: Any) -> Any:
    """The difference of two numbers, or of two mappings' values where it is not 0."""
    if isinstance(now, int):
        return now - before
    return {name: n - before.get(name, 0) for name, n in now.items() if n != before.get(name, 0)}


@dataclass(frozen=True)
class Row:
    """One run.

    `engine`: instructions that were executed for it, by the engine (stubs and all else in the
    translation cache included) and by the ideal processor; None where that was not counted.
    `cycles`: the cost model's estimate, `parts` what a monitor spent them on. `seconds`: processor
    time that the run took here.
    """

    workload: str
    setup: Setup
    rounds: int
    repetition: int
    counts: Counts
    engine: int | None
    cycles: int
    parts: Mapping[str, int]
    seconds: float
    ended: str  #: the outcome's kind: "exit" if it went well

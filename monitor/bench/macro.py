"""Macro rows: loads of a whole operating system, after it has booted.

The guest is Debian's unmodified Linux and busybox. Its first program is a script, put together
here: the frame, the chosen loads (loads/*.sh), and one measured run of each. Boot itself is a load
as well: from the first instruction to the script.

Linux runs bare and translated. Trap mode cannot: in ring 3 PUSHF, POPF and their like answer
wrongly without a trap, and the kernel gives up while it boots (tests/guests/boots.py has that).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.resources import files

from monitor.bench.engine_count import everything_counts
from monitor.bench.model import Model
from monitor.bench.profile import Profile
from monitor.bench.rows import BARE, ENDED_WELL, TRANSLATE, Row, Setup, Tell, silence
from monitor.bench.sampling import Sampler
from monitor.bench.stretches import BOOT, Journey, Stretch
from monitor.settings import did_you_mean
from monitor.vmm.errors import UserError

ROUNDS = 100
SETUPS = (BARE, TRANSLATE)
DIFFERS = "differs"
SAMPLED_BOOT = 100_000  # instructions between two samples
SAMPLED_LOAD = 40  # the same for each round, so that a load has some 20,000 samples however long


@dataclass(frozen=True)
class Load:
    """A load; `what` says it in a line. `file` has the script's part, if there is one."""

    name: str
    what: str
    file: str = ""

    def apart(self, rounds: int) -> int:
        """Instructions between two samples of its profile."""
        return SAMPLED_LOAD * rounds if self.file else SAMPLED_BOOT


PROCESS = Load("process", "a shell starts a program and waits for it", "process.sh")
LOADS = (
    Load(BOOT, "Linux, from its first instruction to its first process"),
    PROCESS,
    Load("context", "two shells hand a byte to each other through pipes", "context.sh"),
    Load("faults", "fresh memory touched; a fork that copies what it writes", "faults.sh"),
    Load("compile", "pipelines of small programs over files, like a build", "compile.sh"),
)


def choose(names: Sequence[str]) -> list[Load]:
    """The loads with these names; all of them for none. Raises UserError."""
    known = {load.name: load for load in LOADS}
    for name in names:
        if name not in known:
            raise UserError(f"no load {name!r}: {did_you_mean.choose(name, known)}")
    return [known[name] for name in names] or list(LOADS)


def script(loads: Sequence[Load], rounds: int) -> str:
    """The guest's first program."""
    scripts = [load for load in loads if load.file]
    parts = [_source("frame.sh"), f"ROUNDS={rounds}\n", *(_source(load.file) for load in scripts)]
    lines = [f'echo ">{BOOT}"', f'echo "={BOOT}"', *(f"measured {load.name}" for load in scripts),
             "reboot -f"]  # fmt: skip
    return "".join(parts) + "\n".join(lines) + "\n"


def _source(name: str) -> str:
    return files("monitor.bench.loads").joinpath(name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Known:
    """What is known of a load before it is measured: its life bare, its profile, and how many
    instructions the engine executes for it."""

    bare: Stretch
    profile: Profile
    engine: int | None


@dataclass(frozen=True)
class MacroPlan:
    """What to run, and how often. With `timed` the bare machine runs again for its time, because
    taking the profile slows it down; `count_engine` costs one more boot."""

    loads: Sequence[Load]
    rounds: int
    repetitions: int
    model: Model
    timed: bool = False
    count_engine: bool = True

    @property
    def size(self) -> int:
        """Rows that it comes to."""
        return len(self.loads) * len(SETUPS) * self.repetitions

    def on_the_way(self) -> list[Load]:
        """All loads there are to go through: nobody gets around booting."""
        return [LOADS[0], *(load for load in self.loads if load.file)]

    def measure(self, tell: Tell = silence) -> Iterator[Row]:
        """Every row of the plan, as it is done. A repetition boots anew, and the machines take
        turns load by load, so that a slow minute of the host meets all of them."""
        program = script(self.loads, self.rounds)
        known = _known(self, program, tell)
        for repetition in range(1, self.repetitions + 1):
            setups = SETUPS if self.timed else (TRANSLATE,)
            journeys = {setup: Journey(setup, program) for setup in setups}
            for load in self.on_the_way():
                for setup in SETUPS:
                    tell(f"{load.name}, {setup}")
                    journey = journeys.get(setup)
                    stretch = journey.through(load.name) if journey else known[load.name].bare
                    if load in self.loads:
                        yield _row(self, load, setup, repetition, stretch, known[load.name])


def _known(plan: MacroPlan, program: str, tell: Tell) -> dict[str, Known]:
    """One journey bare, sampled, and one translated in which everything counts."""
    bare = Journey(BARE, program)
    with everything_counts() if plan.count_engine else nullcontext():
        counted = Journey(TRANSLATE, program) if plan.count_engine else None
    found = {}
    for load in plan.on_the_way():
        tell(f"profile of {load.name}")
        sampler = Sampler(load.apart(plan.rounds))
        stretch = bare.through(load.name, sampler.run)
        engine = counted.through(load.name).counts.instructions if counted else None
        found[load.name] = Known(stretch, sampler.profile(stretch.counts), engine)
    return found


def _row(
    plan: MacroPlan, load: Load, setup: Setup, repetition: int, stretch: Stretch, known: Known
) -> Row:
    counts = stretch.counts
    same = (stretch.digest == known.bare.digest
            and counts.instructions == known.bare.counts.instructions)  # fmt: skip
    engine = counts.instructions if setup == BARE else known.engine
    cycles, parts = plan.model.estimate(counts, known.profile)
    return Row(load.name, setup, plan.rounds, repetition, counts, engine, cycles, parts,
               stretch.seconds, ENDED_WELL if same else DIFFERS)  # fmt: skip

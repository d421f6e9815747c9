"""Does leaving out a technique change the figure that it should, and nothing of the guest's?

Each technique of monitor/vmm/ablations.py has one figure that shows it. A subject (a guest, or a
stretch of its life) runs translated with all techniques, and without one, beside the bare machine:
after every step processor and RAM are compared, as lockstep does (monitor/lockstep/pair.py), and at
the end the console.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from monitor.bench import macro, nano, runner
from monitor.bench.model import Model
from monitor.bench.profile import Profile
from monitor.bench.rows import (
    BARE,
    ENDED_WELL,
    TRANSLATE,
    Counts,
    Row,
    Setup,
    Tell,
    Workload,
    silence,
)
from monitor.bench.sampling import Sampler
from monitor.guests import linux
from monitor.guests.embedded import embedded_image
from monitor.lockstep.pair import Pair
from monitor.machine import Machine
from monitor.vmm.ablations import ABLATIONS
from monitor.vmm.errors import UserError

ROUNDS = 200
DIFFERS = "differs"
GOES_ON = "instructions"


@dataclass(frozen=True)
class Expectation:
    """What shows a technique: a figure, what becomes of it without, and the operation for it."""

    figure: str
    of: Callable[[Counts], int]
    more: bool
    operation: str

    def holds(self, with_it: Counts, without: Counts) -> bool:
        """Is the figure as it shall be?"""
        before, after = self.of(with_it), self.of(without)
        return after > before if self.more else after < before


def _exits(word: str) -> Callable[[Counts], int]:
    return lambda counts: counts.exits.get(word, 0)


def _kind(kind: str) -> Callable[[Counts], int]:
    return lambda counts: counts.by_kind.get(kind, 0)


EXPECTED: Mapping[str, Expectation] = {
    "chaining": Expectation("exits: chain", _exits("chain"), True, "callret"),
    "lookup": Expectation("exits: indirect branch", _exits("indirect branch"), True, "callret"),
    "stubs": Expectation("in stubs", _kind("stubs"), False, "flags"),
    "window": Expectation("exits: emulate", _exits("emulate"), True, "window"),
    "direct": Expectation("run directly", _kind("direct"), False, "usercall"),
    "bytes": Expectation("exits: traced write", _exits("traced write"), True, "mixed"),
}


@dataclass(frozen=True)
class Subject:
    """A guest, or a stretch of its life: to its end, or so many instructions, or a text on the
    console. `step`: instructions from one comparison to the next. `apart`: between two samples
    of its profile."""

    name: str
    load: Callable[[Machine], None]
    memory_mb: int
    step: int
    apart: int
    instructions: int | None = None
    until: str | None = None

    def machine(self, setup: Setup) -> Machine:
        """About to run it."""
        machine = runner.make(setup, self.memory_mb)
        self.load(machine)
        return machine


EMBEDDED, LINUX = "embedded", "linux"
SUBJECTS = (nano.NAME, EMBEDDED, LINUX)
USUAL = (nano.NAME, EMBEDDED)  # Linux takes minutes, and what `make guests` fetches

# Without chaining Linux takes some hundred times as long: a stretch of its beginning, where it
# unpacks itself, has to do. Without any other, it boots and runs some processes.
SLOW = ("chaining",)
SLOW_INSTRUCTIONS = 3_000_000
PROCESSES = 3


def choose(names: Sequence[str]) -> list[str]:
    """The kinds of subject; what is usual for none. Raises UserError."""
    for name in names:
        if name not in SUBJECTS:
            raise UserError(f"no guest {name!r}: choose from {', '.join(SUBJECTS)}")
    if LINUX in names:
        linux.check()
    return list(names or USUAL)


def subject(kind: str, technique: str, rounds: int) -> Subject:
    """What shows the technique best, of this kind."""
    if kind == nano.NAME:
        operation = nano.choose([EXPECTED[technique].operation])[0]
        return _operation(operation.measured(rounds))
    if kind == EMBEDDED:
        return Subject(EMBEDDED, _load_embedded, 8, step=5_000, apart=100)
    program = macro.script([macro.PROCESS], PROCESSES)
    if technique in SLOW:
        return Subject(f"{LINUX}, its beginning", lambda machine: linux.start(machine, program),
                       linux.MEMORY_MB, step=500_000, apart=1_000,
                       instructions=SLOW_INSTRUCTIONS)  # fmt: skip
    return Subject(LINUX, lambda machine: linux.start(machine, program), linux.MEMORY_MB,
                   step=50_000_000, apart=100_000, until=f"={macro.PROCESS.name}\r\n")  # fmt: skip


def _operation(workload: Workload) -> Subject:
    def load(machine: Machine) -> None:
        machine.load_multiboot(workload.image, firmware_state="raw")

    return Subject(workload.name, load, workload.memory_mb, step=100, apart=10)


def _load_embedded(machine: Machine) -> None:
    guest = embedded_image()
    machine.load_flat(guest.image, guest.load_address, eip=guest.entry)


@dataclass(frozen=True)
class AblationPlan:
    """Which kinds of guest; `rounds` is how long the loops of the nanobenchmarks are."""

    kinds: Sequence[str]
    rounds: int
    model: Model

    @property
    def size(self) -> int:
        """Rows that it comes to."""
        return 2 * len(self.kinds) * len(ABLATIONS)

    def measure(self, tell: Tell = silence) -> Iterator[Row]:
        """Two rows for each technique and kind of guest: with it, and without. Several techniques
        share a subject, whose row with all of them is measured once."""
        known: dict[str, tuple[Profile, Row]] = {}
        for technique in ABLATIONS:
            for kind in self.kinds:
                found = subject(kind, technique, self.rounds)
                if found.name not in known:
                    tell(f"{found.name}, with all")
                    profile = _profile(found)
                    known[found.name] = profile, self._row(found, TRANSLATE, profile)
                profile, with_it = known[found.name]
                yield with_it
                tell(f"{found.name}, -{technique}")
                yield self._row(found, Setup(TRANSLATE.mode, (technique,)), profile)

    def _row(self, found: Subject, setup: Setup, profile: Profile) -> Row:
        counts, same = _beside_bare(found, setup)
        cycles, parts = self.model.estimate(counts, profile)
        return Row(found.name, setup, self.rounds, 1, counts, None, cycles, parts, 0.0,
                   ENDED_WELL if same else DIFFERS)  # fmt: skip


def _profile(found: Subject) -> Profile:
    machine, sampler = found.machine(BARE), Sampler(found.apart)
    sampler.run(machine, found.until, found.instructions)
    return sampler.profile(runner.counts_of(machine.statistics()))


def _beside_bare(found: Subject, setup: Setup) -> tuple[Counts, bool]:
    """What the guest's run in the setup counted; was it the bare machine's at every step?"""
    setups = {str(one): one for one in (BARE, setup)}
    pair = Pair(lambda name: found.machine(setups[name]), (str(BARE), str(setup)))
    same = True
    while same:
        step = found.step
        if found.instructions is not None:
            step = min(step, found.instructions - pair.count)
        ended = pair.advance(step, found.until)
        same = pair.agree() and pair.one.output.digest() == pair.other.output.digest()
        if ended.kind != GOES_ON or pair.count == found.instructions:
            break
    return runner.counts_of(pair.other.statistics()), same

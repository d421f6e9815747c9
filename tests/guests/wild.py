"""Random worlds, bare and translated: the same world must end the same, to the last bit.

    python wild.py FIRST COUNT                        # COUNT worlds from seed FIRST on
    python wild.py FIRST COUNT --state worlds.json    # the same, to be continued by the same line
    python wild.py SEED 1 --verbose                   # one world, and what differs
    python wild.py SEED 1 --locate                    # and at which instruction it begins
    python wild.py SEED 1 --forget                    # with the TLBs emptied at each instruction
    python wild.py FIRST COUNT --kind devices         # with devices in memory (wild_devices.py)
    python wild.py FIRST COUNT --kind moving          # that change the physical map
    python wild.py FIRST COUNT --kind pae             # with PAE's page tables (wild_pae.py)
    python wild.py FIRST COUNT --engine free          # on an engine of tests/engine/inexact.py

A seed makes a world: seven of eight are of wild_user.py, much of which runs in ring 3; the eighth
is random bytes (wild_bytes.py). It lives for 4,000 instructions, in both modes. The processors,
descriptor caches and x87 registers included, are compared every 100, and all of RAM at the end
(monitor.lockstep.pair).

Nothing depends on the speed of the host. A world that stays at one instruction, in a REP without
end or an exception without a handler, is stopped by the number of turns of the machine's loop; then
both modes run it once more, to the instruction before, and are compared there.

A world that changes its page tables, invalidates nothing and uses the page may find the old
translation or the new one (SDM vol. 3, 4.10.4.3): bare it depends on what one TLB holds, translated
on what the two shadows and the ideal processor's TLB do. Such a world differs, and with --forget,
where no translation outlives its instruction, it does not. In one that is wrong it still does.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import wild_bytes
import wild_devices
import wild_pae
from wild_code import World
from wild_user import UserWorld

from monitor import Machine
from monitor.lockstep import Lockstep, Stage
from monitor.lockstep.pair import Pair
from monitor.vmm.outcome import Outcome

MEMORY_MB = 2
INSTRUCTIONS = 4000
PATIENCE = 20_000  # turns, where the other mode went on
STAYS = 40  # turns of the machine's loop without an instruction completed
STRIDE = 100  # instructions between two comparisons of the processors
TURN = 50  # instructions of a turn
MODES = ("bare", "translate")
ENGINES = Path(__file__).parent.parent / "engine"  # where those are that are for tests only
engine = "auto"  # of modes other than bare


@lru_cache(maxsize=1)
def world(seed: int, kind: str = "user") -> World:
    """The world of this number."""
    dice = random.Random(seed)
    if kind == "pae":
        return wild_pae.make(dice)
    if kind != "user":
        return wild_devices.make(dice, moving=kind == "moving")
    return wild_bytes.make(dice) if seed % 8 == 0 else UserWorld(dice).world()


def make_world(
    seed: int, kind: str = "user", clock: str = "icount"
) -> Callable[[str], Machine]:
    """What makes a machine with it, for any mode."""

    def make(mode: str) -> Machine:
        model = {"cpu": wild_pae.MODEL} if kind == "pae" else {}
        machine = Machine(memory_mb=MEMORY_MB, mode=mode, engine=engine, clock=clock, **model)
        world(seed, kind).load(machine)
        machine.loop.steady = True  # turns do not depend on the speed of the host,
        machine.loop.most = TURN  # and what has to be emulated is not for long
        return machine

    return make


def live(machine: Machine, instructions: int = INSTRUCTIONS, stays: int = STAYS) -> Outcome:
    """Run a world to its end, or to where it stays for ever: then the outcome is "stopped".

    `stays`: turns without an instruction completed that are taken for ever.
    """
    seen = [-1, 0]  # instructions completed, and turns since

    def look() -> None:
        count = machine.processor.count()
        seen[:] = [count, seen[1] + 1] if count == seen[0] else [count, 0]
        if seen[1] > stays:
            machine.stop()

    machine.loop.on_turn = look
    return machine.run(max_instructions=instructions)


@dataclass
class Verdict:
    """What became of one world."""

    kind: str
    instructions: int
    by_kind: dict[str, int]
    differs: list[str] = field(default_factory=list)


def run_pair(
    seed: int, instructions: int = INSTRUCTIONS, kind: str = "user"
) -> tuple[Pair, list[str]]:
    """Both machines at their ends, or where they first differ; and in what."""
    pair = Pair(make_world(seed, kind), MODES)
    for count in range(STRIDE, instructions + STRIDE, STRIDE):
        left = min(count, instructions) - pair.count
        pair.ends = (live(pair.one, left), live(pair.other, left))
        if "stopped" in (pair.ends[0].kind, pair.ends[1].kind):
            return pair, []
        if not pair.processors_agree():
            break
        if pair.ends[0].kind != "instructions":
            break
    rows = [] if pair.agree() else [f"{n}: bare {a}, translate {b}" for n, a, b in pair.rows()]
    return pair, rows + journals(pair)


def journals(pair: Pair) -> list[str]:
    """Where what the devices saw differs, if there are any."""
    one, other = (getattr(machine, "journal", None) for machine in (pair.one, pair.other))
    if one is None or other is None or one.digest() == other.digest():
        return []
    lines = zip(one.last, other.last, strict=False)
    first = next((f"{a} and {b}" for a, b in lines if a != b), "early, or in length")
    return [f"journal: {one.entries} and {other.entries} entries, the first difference: {first}"]


def compare(seed: int, kind_of_world: str = "user") -> Verdict:
    """Both lives of a world."""
    pair, rows = run_pair(seed, kind=kind_of_world)
    assert pair.ends is not None
    kind = pair.ends[0].kind
    while not rows and stays(pair):
        kind = "stopped"
        before = min(pair.one.instructions, pair.other.instructions)
        rows = catch_up(pair)
        if not before or rows:
            break
        # Compared before the instruction at which it stays. How long it stays at an earlier one,
        # counted in turns, depends on where the budget ends.
        pair, rows = run_pair(seed, before, kind_of_world)
    statistics = pair.other.statistics()
    return Verdict(kind, statistics["instructions"], statistics["by_kind"], rows)


def stays(pair: Pair) -> bool:
    """Did one of them come to where it seems to stay for ever?"""
    return pair.ends is not None and "stopped" in (pair.ends[0].kind, pair.ends[1].kind)


def catch_up(pair: Pair) -> list[str]:
    """One stays and the other went on: with more patience, it has to come as far.

    An exception that repeats itself pushes its frames down the stack, and some day meets something
    else. How many of them a turn has is not the same in both modes.
    """
    slow, fast = sorted((pair.one, pair.other), key=lambda machine: machine.instructions)
    left = fast.instructions - slow.instructions
    if left and live(slow, left, PATIENCE).kind == "stopped":
        return [f"stays behind instruction {slow.instructions:,} in mode {slow.mode} only"]
    return []


@dataclass
class Summary:
    """What became of many."""

    first: int
    worlds: int = 0
    instructions: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    by_kind: Counter[str] = field(default_factory=Counter)
    differing: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, seed: int, verdict: Verdict) -> None:
        self.worlds += 1
        self.instructions += verdict.instructions
        self.kinds[verdict.kind] += 1
        self.by_kind.update(verdict.by_kind)
        if verdict.differs:
            self.differing.append(seed)

    def as_json(self) -> str:
        return json.dumps(vars(self))

    def __str__(self) -> str:
        last = self.first + self.worlds - 1
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.kinds.most_common())
        shares = ", ".join(
            f"{100 * count / max(1, self.instructions):.1f} % {kind}"
            for kind, count in self.by_kind.most_common()
        )
        return (
            f"{self.worlds:,} worlds ({self.first} to {last}), {self.instructions:,} instructions: "
            f"{shares}; ends: {kinds}; {self.worlds / max(0.001, self.seconds):.1f} worlds/s; "
            f"{len(self.differing)} differ: {self.differing[:50]}"
        )


def load_summary(state: Path | None, first: int) -> Summary:
    """What a run before this one has done."""
    if state is None or not state.exists():
        return Summary(first)
    kept = json.loads(state.read_text())
    if kept["first"] != first:
        raise SystemExit(f"{state} is of worlds from {kept['first']} on, not {first}")
    kept |= {name: Counter(kept[name]) for name in ("kinds", "by_kind")}
    return Summary(**kept)


def save_summary(state: Path | None, summary: Summary) -> None:
    if state is not None:
        partial = state.with_suffix(".part")
        partial.write_text(summary.as_json())
        os.replace(partial, state)


def run_worlds(
    first: int,
    count: int,
    state: Path | None = None,
    verbose: bool = False,
    every: int = 50,
    kind: str = "user",
) -> Summary:
    """Compare the worlds that are left to do."""
    summary = load_summary(state, first)
    begun = time.perf_counter() - summary.seconds
    for seed in range(first + summary.worlds, first + count):
        verdict = compare(seed, kind)
        summary.add(seed, verdict)
        summary.seconds = time.perf_counter() - begun
        if verdict.differs:
            print(f"world {seed} differs", *verdict.differs[:8], sep="\n  ", flush=True)
        if verbose:
            print(seed, verdict.kind, verdict.instructions, verdict.by_kind, flush=True)
        if summary.worlds % every == 0:
            save_summary(state, summary)
            if state is not None:
                print(summary, flush=True)
    save_summary(state, summary)
    return summary


def forget(seed: int, kind: str = "user") -> list[str]:
    """What differs where both TLBs, and the shadows, are empty at every instruction."""
    pair = Pair(make_world(seed, kind), MODES)
    for _ in range(INSTRUCTIONS):
        for machine in (pair.one, pair.other):
            machine.processor.restarted()
        pair.ends = (live(pair.one, 1), live(pair.other, 1))
        if not pair.processors_agree() or pair.ends[0].kind != "instructions":
            break
    return [] if pair.agree() else [f"{n}: bare {a}, translate {b}" for n, a, b in pair.rows()]


def locate(seed: int, kind: str = "user") -> None:
    """Print the first difference, to the instruction."""
    stage = Stage(instructions=INSTRUCTIONS, step=1, memory_every=1)
    print(Lockstep(make_world(seed, kind), MODES).run(stage).difference)


def alone(first: int, count: int, mode: str, clock: str, kind: str) -> None:
    """Worlds that nothing is compared with: mode trap gives wrong answers, which is its nature, an
    inexact engine's counts are estimates. But they get to their ends."""
    for seed in range(first, first + count):
        machine = make_world(seed, kind, clock)(mode)
        print(seed, live(machine).kind, machine.instructions, flush=True)
        assert machine.debug.where()


def main() -> int:
    """Exit status 1 if worlds differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--state", type=Path, help="keep what was found in this file, and go on")
    parser.add_argument("--verbose", action="store_true", help="a line for every world")
    parser.add_argument("--locate", action="store_true", help="search for the first difference")
    parser.add_argument("--forget", action="store_true", help="no translation is kept in a TLB")
    parser.add_argument("--alone", metavar="MODE", help="run them in this mode alone")
    parser.add_argument("--kind", choices=("user", "devices", "moving", "pae"), default="user")
    parser.add_argument("--engine", help="what runs guest code where not bare")
    parser.add_argument("--clock", default="icount", help="of worlds that run alone")
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    options = parser.parse_args()
    if options.engine:
        global engine
        engine = options.engine
        sys.path.insert(0, str(ENGINES))
        from inexact import offer

        offer()
    if options.alone:
        alone(options.first, options.count, options.alone, options.clock, options.kind)
        return 0
    if options.forget:
        seeds = range(options.first, options.first + options.count)
        found = {seed: forget(seed, options.kind) for seed in seeds}
        for seed, rows in found.items():
            print(seed, "differs" if rows else "agrees", *rows[:8], sep="\n  ")
        return 1 if any(found.values()) else 0
    if options.locate:
        for seed in range(options.first, options.first + options.count):
            locate(seed, options.kind)
        return 0
    summary = run_worlds(
        options.first, options.count, options.state, options.verbose, kind=options.kind
    )
    print(summary.as_json() if options.json else summary)
    return 1 if summary.differing else 0


if __name__ == "__main__":
    sys.exit(main())

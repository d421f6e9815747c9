"""The integer mix on every machine: instructions per second, and how far the host's CPU is ahead.

More than a billion guest instructions a machine. One round's instructions are counted once, under
Unicorn, where an iteration of a repeated string instruction counts as one instruction; all
machines are held to that count. The machines take turns, and the least time of each counts: for
ours that of the run alone, for the others that of a long process less a short one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks import ours
from benchmarks.peers import bochs, native, unicorn_machine
from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Row, Section, per_second
from benchmarks.timing import BenchmarkError, Measured

SHORT, ROUNDS = 1, 121
OURS = "Virtual Platform, bare"
AIM, LEAST = 350e6, 200e6

Run = Callable[[int], Measured]


def sections(plan: BenchmarkPlan) -> Iterator[Section]:
    """Against the peers, and against what was set out for."""
    rounds = max(SHORT + 1, plan.scaled(ROUNDS))
    per_round = unicorn_machine.instructions(2) - unicorn_machine.instructions(1)
    total = per_round * (rounds - SHORT)
    section = Section(
        f"Integer mix, {total / 1e9:.2f} billion instructions",
        note="ratio: how many times slower than the host's CPU",
    )
    speeds, excuses = _compete(plan, rounds, total)
    for name, speed in speeds.items():
        fastest = speeds["native"]
        section.rows.append(Row(name, per_second(speed), per_second(fastest), fastest / speed))
    section.note = "\n".join((section.note, *excuses))
    yield section
    if OURS in speeds:
        yield _goals(speeds)


def _goals(speeds: dict[str, float]) -> Section:
    ours_ = speeds[OURS]
    section = Section("Integer mix, bare, against what was set out for")
    for name, goal, limit in (("at least", LEAST, 1.0), ("the aim", AIM, None)):
        figures = per_second(ours_), per_second(goal)
        section.rows.append(Row(name, *figures, ours_ / goal, limit, at_least=True))
    for name in (bochs.NAME, unicorn_machine.NAME):
        if name in speeds:
            figures = per_second(ours_), per_second(speeds[name])
            section.rows.append(Row(f"times {name}", *figures, ours_ / speeds[name]))
    return section


def _compete(plan: BenchmarkPlan, rounds: int, total: int) -> tuple[dict[str, float], list[str]]:
    """Instructions per second by machine, fastest peer first, and why some did not run."""
    machines: dict[str, Run] = {
        "native": native.run,
        OURS: _ours,
        unicorn_machine.NAME: unicorn_machine.run,
        bochs.NAME: bochs.integer_mix,
    }
    if plan.peers_only:
        del machines[OURS]
    expected = native.run(rounds).output
    times: dict[str, list[float]] = {name: [] for name in machines}
    excuses: dict[str, str] = {}
    for _ in range(plan.long_repeats):
        for name, run in machines.items():
            if name not in excuses:
                try:
                    times[name].append(_seconds(name, run, rounds, expected))
                except BenchmarkError as error:
                    if name == OURS:
                        raise
                    excuses[name] = f"{name}: {error}"
    speeds = {name: total / min(found) for name, found in times.items() if found}
    return speeds, list(excuses.values())


def _seconds(name: str, run: Run, rounds: int, expected: str) -> float:
    short, long = run(SHORT), run(rounds)
    if long.output != expected:
        raise BenchmarkError(f"{name} computed {long.output!r}, the host {expected!r}")
    return long.seconds - short.seconds


def _ours(rounds: int) -> Measured:
    result = ours.perform(ours.mix_job(rounds))
    return Measured(result.seconds, result.peak, result.console, 0)

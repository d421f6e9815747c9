"""Running a guest on a machine with extensions beside one without, for the tests of the labs.

    alike(make, ("bare", "translate"), hint="Does PUSHF show VSYS?")

`make(mode)` gives a machine; see monitor/lockstep/comparison.py for what is compared.
"""

from __future__ import annotations

from collections.abc import Callable

from monitor.extensions import Extensions
from monitor.guests.small_kernel import Kernel
from monitor.guests.small_kernel import make as make_kernel
from monitor.labs.cases import Failed, at
from monitor.labs.submission import Refused
from monitor.lockstep import Difference, Lockstep, Stage
from monitor.lockstep.pair import MakeMachine, Pair, Row
from monitor.machine import Machine
from monitor.vmm.outcome import Outcome

CLOSE = Stage(step=1, memory_every=16)  # every instruction, RAM about as often as a block ends
MOST = 300_000  # guest instructions of a test's program
ROWS = 6  # of a difference that are told
OFTEN_ENOUGH = 9973  # instructions between two looks at a long program


def kernel_maker(kernel: Kernel, extended: str, extensions: Extensions) -> MakeMachine:
    """Machines with the kernel; the mode named `extended` has the extensions.

    "handler" is mode trap with extensions, since trap itself is what it is compared with.
    """

    def make(mode: str) -> Machine:
        real = "trap" if mode == "handler" else mode
        return make_kernel(kernel, real, extensions=extensions if mode == extended else None)

    return make


def run_alone(
    make: MakeMachine,
    mode: str,
    hint: str,
    most: int = MOST,
    prepare: Callable[[Machine], None] | None = None,
) -> tuple[Machine, Outcome]:
    """Run to the end, which must come. Refused if the submission ended it."""
    at("by itself")
    machine = make(mode)
    if prepare is not None:
        prepare(machine)
    outcome = machine.run(max_instructions=most)
    raise_if_stopped(outcome)
    if outcome.kind == "instructions":
        raise Failed("the program comes to its end", f"it still runs after {most:,} instructions",
                     hint)  # fmt: skip
    return machine, outcome


def raise_if_stopped(outcome: Outcome) -> None:
    if outcome.kind == "callback":
        raise Refused(outcome.detail)


def alike(
    make: MakeMachine, modes: tuple[str, str], hint: str, *stages: Stage
) -> None:
    """The same in both modes, all along; Failed with the first difference."""
    stages = stages or (CLOSE,)
    every = ", instruction by instruction" if stages[0].step == 1 else ""
    at(f"beside mode {modes[0]}{every}")
    report = Lockstep(make, modes).run(*stages)
    difference = report.difference
    if difference is not None:
        raise Failed(f"the same in every instruction as in mode {modes[0]}", _told(difference),
                     hint)  # fmt: skip


def alike_roughly(make: MakeMachine, modes: tuple[str, str], hint: str, step: int) -> None:
    """The same, for a long program: compared now and then, and not searched for the instruction."""
    at(f"beside mode {modes[0]}")
    pair = Pair(make, modes)
    while True:
        before = pair.count
        outcome = pair.advance(step)
        if pair.ends is not None:
            raise_if_stopped(pair.ends[1])
        if not pair.agree():
            where = f"another within {step:,} instructions after {before:,}"
            told = _rows(where, modes[0], pair.rows())
            raise Failed(f"the same as in mode {modes[0]}", told, hint)
        if outcome.kind != "instructions":
            return


def _told(difference: Difference) -> str:
    where = f"another after {difference.count:,} instructions, behind {difference.instruction}"
    return _rows(where, difference.modes[0], difference.rows)


def _rows(where: str, one: str, rows: tuple[Row, ...]) -> str:
    """Where it was, and what differs."""
    lines = [where]
    lines += [f"{name}: {one} {mine}, yours {theirs}" for name, mine, theirs in rows[:ROWS]]
    if len(rows) > ROWS:
        lines.append(f"and {len(rows) - ROWS} rows more")
    return "\n          ".join(lines)

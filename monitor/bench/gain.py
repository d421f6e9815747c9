"""What a stub of one's own gains: an operation bare, by an exit, as ever, and with the stub.

    found = gain({"smsw": "smsw word ptr [esi]"}, {"smsw": smsw})
    print(found["smsw"])

             cycles  exits  engine
    bare       40.0   0.00    1.00
    exit      500.0   1.00    1.00
    usual     500.0   1.00    1.00
    own         6.0   0.00    4.00

Figures are those of a steady pass (apart.py). The cost model prices a completed stub as one of the
monitor's, whatever is in it; `engine` says how many instructions it really takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from monitor.bench.apart import Share
from monitor.bench.figures import decimal
from monitor.bench.model import DEFAULT
from monitor.bench.nano import KERNEL, ROUNDS
from monitor.bench.own import costs
from monitor.bench.own_loop import OwnOperation
from monitor.bench.rows import BARE, TRANSLATE, Setup
from monitor.bench.runner import extended, loaded
from monitor.extensions import Extensions
from monitor.extensions.problem import Problem
from monitor.lockstep import Lockstep, Stage
from monitor.machine import Machine
from monitor.vmm.errors import MonitorBug, UserError

PASSES = 8  # that are compared
CLOSELY = Stage(step=13, memory_every=130)  # a difference is searched down to its instruction
MOST = 1_000_000  # instructions of those
ROWS = 4  # of a difference that are told
EXIT = "exit"

StubMaker = str | Callable[[Problem], str | None]


@dataclass(frozen=True)
class Gain:
    """A steady pass of an operation."""

    bare: Share  #: on the bare machine
    exit: Share  #: with an exit to the monitor in place of each stub
    usual: Share  #: as the translator does it
    own: Share  #: with the stubs of one's own

    def __str__(self) -> str:
        lines = [f"{'':6}{'cycles':>10}{'exits':>7}{'engine':>8}"]
        for part in fields(self):
            share: Share = getattr(self, part.name)
            engine = "-" if share.engine is None else decimal(share.engine, 2)
            lines.append(f"{part.name:6}{decimal(share.cycles, 1):>10}{decimal(share.exits, 2):>7}"
                         f"{engine:>8}")  # fmt: skip
        return "\n".join(lines)


def gain(
    operations: Mapping[str, str],
    stubs: Mapping[str, StubMaker],
    *,
    rounds: int = ROUNDS,
    model: str = DEFAULT,
    compare: bool = True,
) -> dict[str, Gain]:
    """By operation: what it costs bare, with exits, as ever, and with `stubs`.

    `operations` are kernel code, as `costs` has them, and `stubs` are as `Extensions` has them.

    UserError for an operation or a stub that cannot be used, with its line; and, unless `compare`
    is False, for stubs with which the guest is not the same as bare after every instruction: it
    says what differs. A stub that shall answer something else than the processor is measured
    without.
    """
    own = Extensions(stubs=stubs)
    for name, code in operations.items():
        _check(OwnOperation(name, code.replace(";", "\n"), KERNEL), own, compare)

    def measured(setup: Setup, extensions: Extensions | None) -> dict[str, Share]:
        with extended(extensions):
            found = costs(operations, setups=[str(setup)], rounds=rounds, model=model)
        return {name: found[name, str(setup)].steady for name in operations}

    try:
        bare, usual = measured(BARE, None), measured(TRANSLATE, None)
        exits = measured(TRANSLATE, Extensions(stubs=dict.fromkeys(stubs, EXIT)))
        with_stubs = measured(TRANSLATE, own)
    except MonitorBug as bug:
        raise UserError(f"the stubs lead the guest astray: {bug}") from bug
    return {
        name: Gain(bare[name], exits[name], usual[name], with_stubs[name]) for name in operations
    }


def _check(operation: OwnOperation, extensions: Extensions, compare: bool) -> None:
    """Do the stubs work, and is the guest with them what it is without?"""

    def make(mode: str) -> Machine:
        with extended(extensions):
            return loaded(operation.workload(PASSES), Setup(mode))

    outcome = make(TRANSLATE.mode).run(max_instructions=MOST)
    if outcome.kind == "callback":
        raise UserError(f"operation {operation.name!r}: {outcome.detail}")
    if not compare:
        return
    difference = Lockstep(make).run(CLOSELY).difference
    if difference is not None:
        rows = "; ".join(f"{name}: bare {one}, yours {other}" for name, one, other in
                         difference.rows[:ROWS])  # fmt: skip
        raise UserError(f"operation {operation.name!r}: with the stubs the guest is another one "
                        f"behind {difference.instruction.strip()} ({rows}); compare=False measures "
                        "it all the same")  # fmt: skip

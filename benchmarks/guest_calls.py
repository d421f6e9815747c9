"""What a guest's call costs by where it is handled: in the monitor, by the host application, by a
function of the embedder's.

It is the same command each time, and only the way differs: a function is reached by a hypercall,
directly or in a thread of its own that a time limit needs. A world switch is a way out of the
processor's run loop to the host application and back.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks import images, ours
from benchmarks.alternate import least
from benchmarks.plan import BenchmarkPlan
from benchmarks.report import Row, Section
from monitor import Machine
from monitor.settings.capabilities import X86_VMWARE_BACKDOOR, X86_VMWARE_HYPERCALL
from monitor.vmware.exits import VmwareExit

CALLS = 20_000  # in a slice
ROUND = 5  # instructions
BACKDOOR, HYPERCALL, PORT = range(3)
MODES = ("bare", "trap", "translate")


def sections(plan: BenchmarkPlan) -> Iterator[Section]:
    """One table a mode."""
    if not plan.peers_only:
        for mode in MODES:
            yield _section(plan, mode)


def _section(plan: BenchmarkPlan, mode: str) -> Section:
    makes = {
        "in the monitor": partial(_backdoor, mode),
        "host application": partial(_backdoor, mode, forward=("GETTIME",)),
        "Python function": partial(_hypercall, mode, None),
        "  with time limit": partial(_hypercall, mode, 10.0),
        "(a device's port)": partial(_port, mode),
    }
    calls = plan.scaled(CALLS)
    times = [seconds / calls * 1e6 for seconds in least(plan, calls * ROUND, *makes.values())]
    section = Section(
        f"GETTIME from ring 0, {mode}, by who handles it, against the monitor",
        note="CPU time a call, calls a second, world switches a call",
    )
    for (name, make), time in zip(makes.items(), times, strict=True):
        figure = f"{time:.2f} us  {1e6 / time:9,.0f}/s  {_switches(make()):g}"
        section.rows.append(Row(name, figure, f"{times[0]:.2f} us", time / times[0]))
    return section


def _switches(machine: Machine) -> float:
    """World switches for one call."""
    machine.run(max_instructions=1_000_000)  # past the start
    before = machine.board.host.count
    machine.run(max_instructions=1_000 * ROUND)
    return (machine.board.host.count - before) / 1_000


def _machine(mode: str, call: int) -> Machine:
    image = images.assembly("guest_call", {"ROUNDS": 1, "PAGING": 1, "CALL": call})
    return ours.loaded(mode, image)


def _backdoor(mode: str, forward: tuple[str, ...] = ()) -> Machine:
    machine = _machine(mode, BACKDOOR)
    machine.enable(X86_VMWARE_BACKDOOR, forward=forward)
    return machine


def _hypercall(mode: str, limit: float | None) -> Machine:
    machine = _machine(mode, HYPERCALL)
    machine.enable(X86_VMWARE_HYPERCALL)
    machine.vmware.callback_seconds = limit
    machine.vmware.on_hypercall = _answer
    return machine


def _answer(exit_: VmwareExit) -> None:
    """As little as GETTIME does."""
    exit_.hcall.result = 1
    exit_.hcall.rbx = 0


def _port(mode: str) -> Machine:
    return _machine(mode, PORT)

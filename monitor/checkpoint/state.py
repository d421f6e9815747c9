"""Everything of a machine but its RAM, by names.

What is not here is derived (TLB, shadows, decoded and translated code) or the embedder's (hooks,
breakpoints, listeners, functions of its own). The order in which things are put back matters:
first the count of instructions and the clock, by which chips arm their timers, then the chips,
whose lines reach the processor, then the processor itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from devices.errors import SnapshotError
from devices.shapes import (
    BYTE,
    COUNT,
    FLAG,
    Among,
    Anything,
    Hex,
    Number,
    Record,
    Restoring,
    Shape,
    Table,
    Text,
    exactly,
    maybe,
    named,
    some,
)
from monitor.checkpoint.format import MOST_DATA, BadCheckpoint
from monitor.checkpoint.media import MEDIA, media
from monitor.host.console import PIECE, ConsoleState
from monitor.host.serial_line import SerialLine
from monitor.settings.machine import (
    CHIPSETS,
    CLOCKS,
    CPUS,
    MAX_MEMORY_MB,
    MIN_MEMORY_MB,
    MODES,
    PARTS,
    VGAS,
)
from monitor.vmm.errors import UserError
from monitor.vmm.outcome import Outcome
from monitor.vmware import saved as vmware

if TYPE_CHECKING:
    from monitor.machine import Machine

MOST_KEPT = 4 << 20  # bytes of a console's tail
NO_PORTS = ("mouse", "speaker", "sb16", "apic")
CABLES = ("com1", "debug", *(part for part in PARTS if part not in NO_PORTS))


SETTINGS = Record(
    {
        "vga": Among(frozenset(VGAS)),
        "memory_mb": Number(MIN_MEMORY_MB, MAX_MEMORY_MB),
        "mode": Among(frozenset(MODES)),
        "clock": Among(frozenset(CLOCKS)),
        "chipset": Among(frozenset(CHIPSETS)),
        "cpu": Among(frozenset(CPUS)),
        "start_time": Number(-62_135_596_800, 253_402_300_799),  # years 1 to 9999
        "drives": MEDIA,
        "parts": some(Among(frozenset(PARTS)), len(PARTS)),
    }
)
GUEST = Table(Text(1 << 14), 8)  # words of whoever loaded it
ENDED = Record({"kind": Text(20), "status": maybe(Number(0, 1 << 32)), "detail": Text(1 << 12)})
CONSOLE = Record({"cut": COUNT, "chain": Hex(32)})
MEMORY = Record({"name": Text(200), "size": COUNT, "shown": some(exactly(COUNT, 3), 64)})
STATE: dict[str, Shape] = {
    "instructions": COUNT,
    "now": COUNT,
    "halted": FLAG,
    "interrupts": COUNT,
    "accesses": Record(
        dict.fromkeys(("port_reads", "port_writes", "memory_reads", "memory_writes"), COUNT)
    ),
    "ended": maybe(ENDED),
    "consoles": Table(CONSOLE, len(CABLES)),
    "roms": some(exactly(COUNT, 2), 64),
    "firmware": COUNT,
    "map": Record({
        "shadow_reads": some(BYTE, 64),
        "shadow_writes": some(BYTE, 64),
        "memories": some(MEMORY, 64),
    }),
    "vmware": Anything(),
    "devices": Anything(),
    "processor": Anything(),
}


def settings(machine: Machine) -> dict[str, Any]:
    """What a machine has to be made with, to be this one again."""
    return {
        "memory_mb": machine.memory.size >> 20,
        "mode": machine.mode,
        "clock": machine.settings.clock,
        "chipset": machine.settings.chipset,
        "cpu": machine.settings.cpu,
        "start_time": machine.settings.start_time,
        "drives": media(machine),
        "vga": machine.settings.vga,
        "parts": list(machine.settings.parts),
    }


def check_quiet(machine: Machine) -> None:
    """UserError: the machine is not between two instructions."""
    if machine.loop.executing or machine.board.counter.in_access:
        raise UserError(
            "a checkpoint is taken between two instructions, not from within one: "
            "let run() return first, or ask with machine.checkpoints.when()"
        )
    if machine._guest_calls.hypercalls.waiting is not None:
        raise UserError("a hypercall waits for its answer: run() on before a checkpoint")


def gather(machine: Machine) -> dict[str, Any]:
    """The state by names. UserError: a device of the embedder's has no snapshot."""
    board, loop, processor = machine.board, machine.loop, machine.processor
    processor.sync()
    processor.ideal.set_icount(processor.count())
    ended = board.ended
    return {
        "instructions": processor.count(),
        "now": machine.clock.now(),
        "halted": loop.halted,
        "interrupts": loop.interrupts,
        "accesses": dict(board.accesses),
        "ended": None if ended is None else {
            "kind": ended.kind, "status": ended.status, "detail": ended.detail
        },
        "consoles": {name: _console(line) for name, line in machine.cables.items()},
        "roms": [[place.start, len(place)] for place in machine.roms.ranges],
        "firmware": machine.roms.firmware_size,
        "map": machine.physical_map.snapshot(),
        "vmware": vmware.snapshot(machine._guest_calls, machine._switches),
        "devices": _devices(machine),
        "processor": processor.ideal.save_state(),
    }  # fmt: skip


def _devices(machine: Machine) -> dict[str, Any]:
    try:
        return machine.board.snapshot()
    except SnapshotError as error:
        raise UserError(str(error)) from None


def apply(machine: Machine, state: dict[str, Any]) -> None:
    """Give a new machine this state, RAM being filled. BadCheckpoint: no machine has it."""
    try:
        values = Record(STATE).check(state)
        _apply(machine, values)
    except BadCheckpoint:
        raise
    except (ValueError, UserError) as error:  # SnapshotError, StateError, WrongField
        raise BadCheckpoint(f"the state in it is none of a machine's: {error}") from None


def revert(machine: Machine, state: dict[str, Any]) -> None:
    """Give a machine a state of its own back, RAM being as it was then."""
    machine._guest_calls.forget()
    _set(machine, state, lambda: vmware.revert(machine._guest_calls, state["vmware"]))


def _apply(machine: Machine, values: dict[str, Any]) -> None:
    machine.roms.restore([tuple(each) for each in values["roms"]], values["firmware"])
    calls, switches = machine._guest_calls, machine._switches
    _set(machine, values, lambda: vmware.restore(calls, switches, values["vmware"]))


def _set(machine: Machine, values: dict[str, Any], set_vmware: Callable[[], None]) -> None:
    board, loop, processor = machine.board, machine.loop, machine.processor
    processor.resume_at(values["instructions"])
    machine.clock.resume_at(values["now"])
    set_vmware()
    named("devices", Restoring(board.restore), values["devices"])
    machine.physical_map.restore(values["map"])
    named("processor", Restoring(processor.ideal.load_state), values["processor"])
    processor.resume_at(values["instructions"])
    processor.set_a20(board.pc.a20.enabled)
    processor.set_intr(board.bus.intr)
    loop.halted, loop.interrupts = values["halted"], values["interrupts"]
    board.accesses.update(values["accesses"])
    board.ended = None if values["ended"] is None else Outcome(**values["ended"])
    processor.forget_code()
    processor.restarted()


# --- consoles -------------------------------------------------------------------------------------


def _console(line: SerialLine) -> dict[str, Any]:
    state = line.output.state(MOST_KEPT)
    return {"cut": state.cut, "chain": state.chain.hex()}


def console_data(machine: Machine) -> dict[str, bytes]:
    """What is long: the tails, what waits to be hashed, and what was typed."""
    data: dict[str, bytes] = {}
    for name, line in machine.cables.items():
        state = line.output.state(MOST_KEPT)
        typed = line.peek()
        if len(typed) > MOST_DATA:
            raise UserError(f"{len(typed)} bytes of input wait: too many for a checkpoint")
        data |= {f"{name} kept": state.kept, f"{name} pending": state.pending,
                 f"{name} typed": typed}  # fmt: skip
    return data


def apply_consoles(machine: Machine, state: dict[str, Any], data: dict[str, bytes]) -> None:
    """The consoles' part of apply(), after it."""
    if set(state["consoles"]) != set(machine.cables):
        raise BadCheckpoint("its consoles are not those of the machine in it")
    for name, line in machine.cables.items():
        saved = state["consoles"][name]
        kept, pending, typed = (
            data.pop(f"{name} {part}", b"") for part in ("kept", "pending", "typed")
        )
        chain = bytes.fromhex(saved["chain"])
        whole = saved["cut"] - len(pending)
        wrong = len(pending) >= PIECE or whole < 0 or whole % PIECE
        if wrong or len(chain) != (32 if whole else 0):
            raise BadCheckpoint(f"the figures of {name} do not fit each other")
        line.output.resume(ConsoleState(saved["cut"], chain, pending, kept))
        if typed:
            line.send(typed)
    if data:
        raise BadCheckpoint("it has data that nobody knows")

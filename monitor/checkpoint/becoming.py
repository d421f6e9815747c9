"""A running machine becomes the one in a checkpoint: `machine.checkpoints.load(file)`, `loadvm`.

The file is restored whole into a machine of its own first, so that one that is broken changes
nothing. Then RAM is copied, and the rest taken over as by one who goes back in time (state.revert).
Who runs the machine, its breakpoints, hooks, console and mode stay.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.checkpoint.ram import chunk_frames, touched
from monitor.checkpoint.state import check_quiet, gather, revert, settings
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from monitor.machine import Machine


def become(machine: Machine, source: Path) -> None:
    """Be the machine in a file. UserError, and nothing has changed: it is broken, or other
    hardware."""
    from monitor.checkpoint.snapshot import machine_of

    check_quiet(machine)
    asked = machine.settings
    other = machine_of(source, asked.mode, asked.engine, asked.clock, drives=asked.drives)
    state = gather(other)
    differs = [name for name, same in _hardware(machine, gather(machine), other, state) if not same]
    if differs:
        raise UserError(
            f"{source}: it is of a machine with other {' and '.join(differs)}: "
            "`vp resume` makes such a one"
        )
    _copy_ram(other, machine)
    for plug, drive in machine.storage.items():
        written = other.storage[plug].overlay
        if drive.overlay is not None and written is not None:
            drive.overlay.put_back(written.chunks())
    revert(machine, state)
    for name, mine in machine.cables.items():
        theirs = other.cables[name]
        mine.output.resume(theirs.output.state(len(theirs.output.tail)))
        mine.take()  # what was typed and not read was typed later, or never
        if theirs.waiting:
            mine.send(theirs.take())
    machine.guest = other.guest


def _hardware(
    machine: Machine, now: dict[str, Any], other: Machine, then: dict[str, Any]
) -> list[tuple[str, bool]]:
    """What revert() does not change, and whether both have the same of it."""

    def memories(state: dict[str, Any]) -> list[tuple[str, int]]:
        return [(each["name"], each["size"]) for each in state["map"]["memories"]]

    def guest_interfaces(state: dict[str, Any]) -> tuple[Any, ...]:
        backdoor = state["vmware"]["backdoor"]
        host = None if backdoor is None else backdoor["host"]
        return host, state["vmware"]["hypercall_mode"], state["vmware"]["hypercalls_served"]

    return [
        ("settings", settings(machine) == settings(other)),
        ("ROMs", (now["roms"], now["firmware"]) == (then["roms"], then["firmware"])),
        ("devices", list(now["devices"]) == list(then["devices"])),
        ("device memory", memories(now) == memories(then)),
        ("VMware interfaces", guest_interfaces(now) == guest_interfaces(then)),
    ]


def _copy_ram(source: Machine, target: Machine) -> None:
    """Only chunks that either has touched."""
    theirs, mine = source.physical_map.all_memory(), target.physical_map.all_memory()
    used = {*touched(source.memory, len(theirs)), *touched(target.memory, len(mine))}
    for number in sorted(used):
        chunk_frames(mine, number)[:] = chunk_frames(theirs, number)

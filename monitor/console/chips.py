"""`info` about chips and the machine around them: pic, irq, devices, status, version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import indent
from typing import Any

from devices.i8259 import I8259
from monitor.checkpoint.save import program_version
from monitor.console.command import Context, no_more
from monitor.vmm.errors import UserError


def info_pic(context: Context, rest: str) -> str:
    """The two interrupt controllers, as QEMU writes them."""
    no_more(rest, "info pic")
    pair = context.machine.board.pc.pic
    return "\n".join(_pic(number, each) for number, each in enumerate((pair.master, pair.slave)))


def _pic(number: int, chip: I8259) -> str:
    return (
        f"pic{number}: irr={chip.irr:02x} imr={chip.imr:02x} isr={chip.isr:02x} "
        f"hprio={(chip.lowest + 1) % 8} irq_base={chip.icw2 & 0xF8:02x} "
        f"rr_sel={int(chip.read_isr)} elcr={chip.elcr:02x} "
        f"fnm={int(bool(chip.icw4 & 0x10))} pins={chip.pins:02x}"
    )


def info_devices(context: Context, rest: str) -> str:
    """All devices by name and what they answer; with a name, that device's registers."""
    devices = context.machine.board.devices
    if rest:
        if rest not in devices:
            raise UserError(f"there is no device {rest!r}; there are {', '.join(devices)}")
        return "\n".join(_state(devices[rest].snapshot()))
    lines = [f"{name:14} {type(devices[name]).__name__}" for name in devices]
    ports = [f"  {first:04x}-{last:04x}  {owner}"
             for first, last, owner in context.machine.board.bus.port_ranges()]  # fmt: skip
    return "\n".join([*lines, "ports:", *ports])


def _state(snapshot: Mapping[str, Any]) -> Iterator[str]:
    """What a snapshot holds, numbers in hexadecimal; lists in rows of 16."""
    for name, value in snapshot.items():
        if isinstance(value, Mapping):
            yield f"{name}:"
            yield from (indent(line, "  ") for line in _state(value))
        elif isinstance(value, list):
            cells = [_cell(each) for each in value]
            rows = [" ".join(cells[at : at + 16]) for at in range(0, len(cells), 16)]
            yield f"{name}: {rows[0] if len(rows) == 1 else ''}".rstrip()
            yield from (f"  {row}" for row in rows if len(rows) > 1)
        else:
            yield f"{name}: {_cell(value)}"


def _cell(value: Any) -> str:
    return f"{value:02x}" if type(value) is int else str(value)


def info_status(context: Context, rest: str) -> str:
    """Does it run, and how far has it come?"""
    no_more(rest, "info status")
    machine = context.machine
    if machine.board.ended is not None:
        state = f"ended ({machine.board.ended.kind})"
    else:
        state = "running" if context.attendant.running else "stopped"
    now = machine.board.clock.now() / 1e9
    halted = ", halted" if machine.loop.halted else ""
    return (f"VM status: {state}{halted}, mode {machine.mode}, "
            f"{machine.instructions:,} instructions, {now:.6f} s of guest time")  # fmt: skip


def info_irq(context: Context, rest: str) -> str:
    """How many interrupts were delivered."""
    no_more(rest, "info irq")
    return f"{context.machine.loop.interrupts:,} interrupts delivered"


def info_version(context: Context, rest: str) -> str:
    """Of this program."""
    no_more(rest, "info version")
    return f"virtual-platform {program_version()}"

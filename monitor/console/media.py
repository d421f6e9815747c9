"""Drives, screen and PCI: `info block`, `change`, `eject`, `screendump`, `info pci`."""

from __future__ import annotations

from monitor.console.command import Command, Context, no_more
from monitor.embedding.storage import StorageDrive
from monitor.vmm.errors import UserError

VENDOR, CLASS = 0, 8  # in configuration space


def info_block(context: Context, rest: str) -> str:
    """The drives, and what lies in them."""
    no_more(rest, "info block")
    lines = [_drive(plug, drive) for plug, drive in context.machine.storage.items()]
    return "\n".join(lines) or "the machine has no drives"


def _drive(plug: str, drive: StorageDrive) -> str:
    if drive.size is None:
        return f"{plug}: empty"
    kept = "persistent" if drive.config.persistent else "writes are forgotten"
    what = "read-only" if drive.config.kind == "cdrom" else kept
    return f"{plug}: {drive.source or 'an image in memory'}, {drive.size:,} bytes, {what}"


def _named(context: Context, plug: str) -> StorageDrive:
    drive = dict(context.machine.storage.items()).get(plug)
    if drive is None:
        known = ", ".join(context.machine.storage) or "none"
        raise UserError(f"there is no drive {plug!r}; there are {known}")
    return drive


def _change(context: Context, rest: str) -> str:
    plug, _, name = rest.partition(" ")
    if not name:
        raise UserError("change needs a drive and an image: change cdrom tools.iso")
    _named(context, plug).change(name)
    return ""


def _eject(context: Context, rest: str) -> str:
    plug = rest.removeprefix("-f ")
    if not plug:
        raise UserError("eject needs a drive: eject cdrom")
    _named(context, plug).eject(force=plug != rest)
    return ""


def _screendump(context: Context, rest: str) -> str:
    if not rest:
        raise UserError("screendump needs a file: screendump now.png")
    context.machine.screenshot(rest)
    return ""


def info_pci(context: Context, rest: str) -> str:
    """The functions on the bus: place, class, vendor and device."""
    no_more(rest, "info pci")
    lines = []
    for device, function, target in context.machine.board.bus.pci.functions():
        ids, kind = target.read_config(VENDOR, 4), target.read_config(CLASS, 4)
        lines.append(f"00:{device:02x}.{function}: class {kind >> 16:04x}, "
                     f"{ids & 0xFFFF:04x}:{ids >> 16:04x}")  # fmt: skip
    return "\n".join(lines) or "the machine has no PCI bus: --chipset i440fx"


COMMANDS = {
    "change": Command("DRIVE FILE", "another floppy or CD (change cdrom tools.iso)", _change),
    "eject": Command("[-f] DRIVE", "take it out; -f: also where the guest has locked it", _eject),
    "screendump": Command("FILE", "the screen as a PNG", _screendump, looks=True),
}

"""A machine into a file, section by section: no second copy of its RAM is made."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from monitor.checkpoint import media
from monitor.checkpoint.format import DISK, HEAD, PAGE, STAT, VERSION, Writer
from monitor.checkpoint.ram import chunks, touched
from monitor.checkpoint.state import check_quiet, console_data, gather, settings
from monitor.vmm.errors import UserError
from monitor.writing.whole_file import whole_file

if TYPE_CHECKING:
    from monitor.machine import Machine


def write(machine: Machine, file: BinaryIO) -> int:
    """All of it; the bytes written. OSError from the file, UserError within an instruction."""
    check_quiet(machine)
    writer = Writer(file)
    writer.document(HEAD, {
        "format": VERSION,
        "program": f"virtual-platform {program_version()}",
        "settings": settings(machine),
        "guest": machine.guest,
    })  # fmt: skip
    writer.document(STAT, gather(machine))
    for name, data in console_data(machine).items():
        writer.data(name, data)
    for parts in media.sections(machine):
        writer.section(DISK, *parts)
    memory = machine.physical_map.all_memory()
    for chunk in chunks(memory, touched(machine.memory, len(memory))):
        writer.section(PAGE, *chunk)
    writer.end()
    return writer.size


def save(machine: Machine, path: Path) -> int:
    """A file that is whole or not there; its bytes. UserError: it cannot be written."""
    try:
        with whole_file(path) as file:
            return write(machine, file)
    except OSError as error:
        raise UserError(f"{path}: no checkpoint was written: {error.strerror}") from error


def program_version() -> str:
    """Of this program."""
    try:
        return version("virtual-platform")
    except PackageNotFoundError:  # not installed
        return "unknown"

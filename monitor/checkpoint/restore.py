"""A file into a new machine: whole, or a BadCheckpoint and no machine.

The machine is made first, from the settings in the file and those of whoever restores it, and is
given away only after the file's end was read and found right. What is wrong with the file shows
before any instruction runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from devices.shapes import WrongField, check_names
from monitor.checkpoint import media
from monitor.checkpoint.format import (
    DATA,
    DISK,
    HEAD,
    MOST_DATA,
    PAGE,
    READABLE,
    STAT,
    BadCheckpoint,
    Reader,
    parse,
    split_data,
)
from monitor.checkpoint.ram import Filler
from monitor.checkpoint.state import CABLES, GUEST, SETTINGS, apply, apply_consoles
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from monitor.machine import Machine

HEAD_NAMES = ("format", "program", "settings", "guest")


@dataclass
class Head:
    """What the first section says."""

    program: str
    settings: dict[str, Any]
    guest: dict[str, str]


@dataclass
class _Contents:
    """What has come so far."""

    state: dict[str, Any] | None = None
    data: dict[str, bytearray] = field(default_factory=dict)


Make = Callable[[Head], "Machine"]


def read(file: BinaryIO, make: Make) -> Machine:
    """The machine in a file. `make` makes an empty one for its settings. BadCheckpoint."""
    reader = Reader(file)
    sections = reader.sections()
    kind, payload = next(sections, (b"", b""))
    if kind != HEAD:
        raise BadCheckpoint("it does not begin with its head")
    machine = make(head_of(payload))
    filler = Filler(machine.physical_map.all_memory())
    contents = _Contents()
    for kind, payload in sections:
        if kind == DISK:
            media.put(machine, payload)
        else:
            _take(kind, payload, contents, filler)
    if contents.state is None:
        raise BadCheckpoint("it has no state")
    apply(machine, contents.state)
    apply_consoles(
        machine, contents.state, {name: bytes(data) for name, data in contents.data.items()}
    )
    return machine


def _take(kind: bytes, payload: bytes, contents: _Contents, filler: Filler) -> None:
    if kind == PAGE:
        filler.put(payload)
    elif kind == DATA:
        name, data = split_data(payload)
        contents.data.setdefault(name, bytearray()).extend(data)
        if len(contents.data[name]) > MOST_DATA or len(contents.data) > 3 * len(CABLES):
            raise BadCheckpoint("it has more data than any machine keeps")
    elif kind == STAT and contents.state is None:
        contents.state = parse(payload, "state")
    else:
        raise BadCheckpoint("its sections are not in order")


def head_of(payload: bytes) -> Head:
    """The first section, looked at. BadCheckpoint: of another version, or wrong."""
    head = parse(payload, "head")
    number = head.get("format")
    program = head.get("program")
    by = f", by {program[:60]!r}" if isinstance(program, str) else ""
    if type(number) is not int:
        raise BadCheckpoint("its head does not say of which version it is")
    if number not in READABLE:
        known = ", ".join(map(str, READABLE))
        raise BadCheckpoint(
            f"it was written in version {ascii(number)[:20]} of the format{by}; "
            f"this program reads version {known}"
        )
    try:
        check_names(head, dict.fromkeys(HEAD_NAMES))
        settings = SETTINGS.check(head["settings"])
        guest = GUEST.check(head["guest"])
    except WrongField as error:
        raise BadCheckpoint(f"its head is wrong: {error}") from None
    if not isinstance(program, str):
        raise BadCheckpoint("its head is wrong")
    return Head(program, settings, guest)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A checkpoint's file, to be read. UserErrors of it name the file."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UserError(f"{path}: cannot read the checkpoint: {error.strerror}") from error
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{path}: not a checkpoint that can be restored: {error}") from None

"""What a machine's drives hold, in a checkpoint: what there was, and what the guest wrote over it.

    HEAD   by plug: bytes of the medium (none: it was empty), the image's name, is it persistent
    DISK   a plug, and chunks that were written: number (64 bits) and, compressed, bytes of each

The images themselves are not in it, and their names open nothing: a checkpoint may come from
anybody. Who restores it gives them again, under the plugs that they had, of the same sizes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from devices.shapes import COUNT, FLAG, Record, Table, Text, maybe
from monitor.checkpoint.format import LEVEL, BadCheckpoint, inflate
from monitor.host.overlay import CHUNK
from monitor.settings.drives import PLUGS, Drive
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from monitor.machine import Machine

AT_ONCE = 128  # chunks of one section
_COUNT = struct.Struct("<BH")
_NUMBER = struct.Struct("<Q")
NAME_MOST = 300
MEDIA = Table(
    Record({"size": maybe(COUNT), "name": Text(NAME_MOST), "persistent": FLAG}), len(PLUGS)
)


def media(machine: Machine) -> dict[str, Any]:
    """What is in each drive."""
    return {
        plug: {
            "size": drive.size,
            "name": (drive.source or "")[:NAME_MOST],
            "persistent": drive.config.persistent,
        }
        for plug, drive in machine.storage.items()
    }


def check_media(saved: dict[str, Any], given: tuple[Drive, ...]) -> None:
    """UserError: the drives that were given are not those that the machine had."""
    plugs = {drive.plug: drive for drive in given}
    for plug, was in saved.items():
        if plug not in plugs:
            raise UserError(f"the machine has a drive {plug}: give --{plug} {_called(was)}")
    for plug in plugs:
        if plug not in saved:
            raise UserError(f"the machine in the checkpoint has no drive {plug}: leave it out")


def check_sizes(saved: dict[str, Any], machine: Machine) -> None:
    """UserError: what is in them is something else."""
    for plug, was in saved.items():
        drive = machine.storage[plug]
        if drive.size != was["size"]:
            have = "nothing" if drive.size is None else f"{drive.size:,} bytes"
            had = "nothing" if was["size"] is None else f"{was['size']:,} bytes"
            raise UserError(f"{plug} held {had}, not {have}: give --{plug} {_called(was)}")
        if was["persistent"] != drive.config.persistent:
            word = "persistent" if was["persistent"] else "nonpersistent"
            raise UserError(f"{plug} was {word}: give --{plug} {_called(was)}")


def _called(was: dict[str, Any]) -> str:
    """What to write behind the option."""
    if was["size"] is None:
        return "none"
    name = was["name"] if was["name"] and was["name"].isprintable() else "FILE"
    return name + (",persistent" if was["persistent"] else "")


def sections(machine: Machine) -> Iterator[tuple[bytes, ...]]:
    """The payloads of DISK sections, in parts."""
    for plug, drive in machine.storage.items():
        chunks = sorted(drive.overlay.chunks().items()) if drive.overlay is not None else []
        for at in range(0, len(chunks), AT_ONCE):
            some = chunks[at : at + AT_ONCE]
            label = plug.encode()
            yield (
                _COUNT.pack(len(label), len(some)), label,
                b"".join(_NUMBER.pack(number) for number, _ in some),
                zlib.compress(b"".join(data for _, data in some), LEVEL),
            )  # fmt: skip


def put(machine: Machine, payload: bytes) -> None:
    """A DISK section into a new machine. BadCheckpoint."""
    if len(payload) < _COUNT.size:
        raise BadCheckpoint("a DISK section has no head")
    length, count = _COUNT.unpack_from(payload)
    numbers = _COUNT.size + length
    data = numbers + count * _NUMBER.size
    if count > AT_ONCE or data > len(payload):
        raise BadCheckpoint("a DISK section claims more chunks than it has")
    plug = payload[_COUNT.size : numbers].decode("ascii", "replace")
    drive = dict(machine.storage).get(plug)
    if drive is None or drive.overlay is None:
        raise BadCheckpoint("a DISK section is of no disk that forgets")
    overlay = drive.overlay
    lengths = {}
    for at in range(numbers, data, _NUMBER.size):
        (number,) = _NUMBER.unpack_from(payload, at)
        lengths[number] = overlay.length(number)
    if len(lengths) != count or not all(lengths.values()):
        raise BadCheckpoint("a DISK section has chunks that the disk has not, or one twice")
    whole = inflate(payload[data:], CHUNK * AT_ONCE, sum(lengths.values()))
    chunks, at = overlay.chunks(), 0
    for number, size in lengths.items():
        chunks[number] = whole[at : at + size]
        at += size
    overlay.put_back(chunks)

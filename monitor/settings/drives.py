"""Which drives a machine has, and what lies in them, as `--fda`, `--cdrom` and `--hda` say it.

    --fda FILE                a floppy disk; --fdb
    --hda FILE                a hard disk; --hdb, --hdc, --hdd
    --cdrom FILE              a CD: a drive where --hdc would be
    ...,persistent            what the guest writes goes into the file, not only into memory
    --fda none                a drive with nothing in it; --cdrom none

>>> drives_of({"fda": "dos.img", "hda": "disk.img,persistent", "cdrom": "none"})[1]
Drive(plug='hda', source='disk.img', persistent=True)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike, fspath

from monitor.settings.did_you_mean import choose
from monitor.vmm.errors import UserError

FLOPPIES, DISKS, CDROM = ("fda", "fdb"), ("hda", "hdb", "hdc", "hdd"), "cdrom"
PLUGS = (*FLOPPIES, *DISKS, CDROM)
CDROM_PLACE = "hdc"
EMPTY = "none"
PERSISTENT, NOT_PERSISTENT = ",persistent", ",nonpersistent"

Source = str | PathLike[str] | bytes | None


@dataclass(frozen=True)
class Drive:
    """`source` is a file's name, or bytes; None: a floppy or CD-ROM drive that is empty."""

    plug: str
    source: str | bytes | None
    persistent: bool = False

    def __post_init__(self) -> None:
        if self.plug not in PLUGS:
            raise UserError(f"drive {self.plug!r}: {choose(self.plug, PLUGS)}")
        if self.source is None and self.plug in DISKS:
            raise UserError(f"--{self.plug} {EMPTY}: a disk is not empty; leave the option out")
        if self.persistent and (self.plug == CDROM or not isinstance(self.source, str)):
            what = "a CD is" if self.plug == CDROM else "these bytes are"
            raise UserError(f"--{self.plug}: {what} not written; leave {PERSISTENT} out")

    @property
    def kind(self) -> str:
        """floppy, disk or cdrom."""
        return "floppy" if self.plug in FLOPPIES else "disk" if self.plug in DISKS else CDROM


def parse_drive(plug: str, text: Source) -> Drive:
    """What an option says of a drive. UserError."""
    if text is None or isinstance(text, bytes):
        return Drive(plug, text)
    name = fspath(text)
    if name == EMPTY:
        return Drive(plug, None)
    for ending in (PERSISTENT, NOT_PERSISTENT):
        if name.endswith(ending) and name != ending:
            return Drive(plug, name.removesuffix(ending), ending == PERSISTENT)
    if not name:
        raise UserError(f"--{plug}: name the image, or say {EMPTY}")
    return Drive(plug, name)


def drives_of(asked: Mapping[str, Source] | Iterable[Drive]) -> tuple[Drive, ...]:
    """All that were asked for, in order. UserError: two at one place."""
    if isinstance(asked, Mapping):
        found = [parse_drive(plug, text) for plug, text in asked.items()]
    else:
        found = list(asked)
    plugs = [drive.plug for drive in found]
    if CDROM in plugs and CDROM_PLACE in plugs:
        raise UserError(f"--{CDROM} is where --{CDROM_PLACE} would be: leave one of them out")
    for plug in plugs:
        if plugs.count(plug) > 1:
            raise UserError(f"--{plug} is there twice")
    return tuple(sorted(found, key=lambda drive: PLUGS.index(drive.plug)))

"""The usual formats of floppy disks, told by the size of an image, and the drives that take them.

Manual: IBM PC/AT Technical Reference, "Diskette"; 82077AA datasheet, table 10-1 for the data rates.
All have sectors of 512 bytes, numbered from 1, cylinder by cylinder, both heads of one in turn.

>>> format_of(1474560).sectors, format_of(1474560).rate, format_of(1000)
(18, 500, None)
>>> drive_for(format_of(737280)).name
'1.44M 3.5"'
"""

from __future__ import annotations

from dataclasses import dataclass

from devices.clock import NS_PER_SECOND
from devices.storage.medium import SECTOR

# Drives are so many times as quick as real ones. Guests poll for them, some for every sector, and
# each poll is work for the host: a second of the guest's that it waits costs several of ours.
QUICK = 20
LATE = 8  # the head still meets a sector of which an eighth part, its gap, has gone by


@dataclass(frozen=True)
class FloppyFormat:
    """Cylinders, heads, sectors a track, kbit/s, turns a minute, and the size in inches."""

    cylinders: int
    heads: int
    sectors: int
    rate: int
    inches: float
    rpm: int = 300

    @property
    def size(self) -> int:
        """Bytes of an image."""
        return self.cylinders * self.heads * self.sectors * SECTOR

    @property
    def sector_ns(self) -> int:
        """How long a sector takes to pass the head, with its share of the gaps."""
        return 60 * NS_PER_SECOND // self.rpm // self.sectors // QUICK

    def offset(self, cylinder: int, head: int, sector: int) -> int:
        """Where a sector lies in an image."""
        return ((cylinder * self.heads + head) * self.sectors + sector - 1) * SECTOR

    def next_after(self, moment: int) -> int:
        """The sector under the head; all disks turn from moment 0 on."""
        return moment // self.sector_ns % self.sectors + 1

    def next_pass(self, sector: int, moment: int) -> int:
        """The first moment at which a sector has passed the head, which got there at `moment`."""
        length = self.sector_ns
        wait = (sector * length - moment) % (length * self.sectors)
        if wait < length - length // LATE:
            wait += length * self.sectors  # its beginning has gone by
        return moment + wait


FORMATS = (
    FloppyFormat(40, 1, 8, 250, 5.25),  # 160K
    FloppyFormat(40, 1, 9, 250, 5.25),
    FloppyFormat(40, 2, 8, 250, 5.25),
    FloppyFormat(40, 2, 9, 250, 5.25),  # 360K
    FloppyFormat(80, 2, 9, 250, 3.5),  # 720K
    FloppyFormat(80, 2, 15, 500, 5.25, 360),  # 1.2M
    FloppyFormat(80, 2, 18, 500, 3.5),  # 1.44M
    FloppyFormat(80, 2, 21, 500, 3.5),  # 1.68M
    FloppyFormat(82, 2, 21, 500, 3.5),
    FloppyFormat(80, 2, 36, 1000, 3.5),  # 2.88M
)
BY_SIZE = {each.size: each for each in FORMATS}


@dataclass(frozen=True)
class DriveType:
    """A drive by what it takes; `cmos` is its number in byte 10h of the CMOS memory."""

    name: str
    cmos: int
    inches: float
    rates: tuple[int, ...]
    cylinders: int

    def takes(self, format_: FloppyFormat) -> bool:
        """Can it read such a disk?"""
        return format_.inches == self.inches and format_.rate in self.rates


DRIVES = (
    DriveType('360K 5.25"', 1, 5.25, (250,), 42),
    DriveType('1.2M 5.25"', 2, 5.25, (500,), 84),
    DriveType('1.44M 3.5"', 4, 3.5, (250, 500), 84),
    DriveType('2.88M 3.5"', 5, 3.5, (250, 500, 1000), 84),
)
USUAL_DRIVE = DRIVES[2]


def format_of(size: int) -> FloppyFormat | None:
    """The format of an image of so many bytes, if it has one."""
    return BY_SIZE.get(size)


def drive_for(format_: FloppyFormat | None) -> DriveType:
    """The least drive that takes such a disk; for none, what everybody had."""
    return next((each for each in DRIVES if format_ and each.takes(format_)), USUAL_DRIVE)

"""A floppy drive: motor, head, and the disk in it.

Manual: IBM PC/AT Technical Reference, "Diskette drive"; for the disk change line the 82077AA's
datasheet, "Digital input register". That comes on when the door opens, and stays on until the head
makes a step with a disk in the drive: a guest that looks for it sees a change, and clears it by
seeking.
"""

from __future__ import annotations

from devices.device import Chip
from devices.fields import FLAG, fields, number
from devices.storage.floppy_formats import DriveType, FloppyFormat, format_of
from devices.storage.medium import Medium

LAST_CYLINDER = 255


class FloppyDrive(Chip):
    """One drive. Its disk is the host's; a snapshot has only where the head is."""

    name = "floppy-drive"
    state = fields(cylinder=number(0, LAST_CYLINDER), changed=FLAG, motor=FLAG)
    wiring = ("type", "medium", "format")

    def __init__(self, type_: DriveType, medium: Medium | None = None) -> None:
        self.type = type_
        self.medium: Medium | None = None
        self.format: FloppyFormat | None = None
        self.cylinder = 0
        self.motor = False
        self.insert(medium)

    def reset(self) -> None:
        """There is no such wire; DOR stops the motor."""
        self.motor = False

    # The host's side

    def insert(self, medium: Medium | None) -> None:
        """Another disk, or none. ValueError: one that this drive does not take."""
        format_ = None if medium is None else format_of(medium.size)
        if medium is not None and (format_ is None or not self.type.takes(format_)):
            raise ValueError(f"a {self.type.name} drive takes no disk of {medium.size} bytes")
        self.put(medium)
        self.changed = True

    def put(self, medium: Medium | None) -> None:
        """This disk is in it, and always was."""
        self.medium = medium
        self.format = None if medium is None else format_of(medium.size)

    # The controller's side

    @property
    def ready(self) -> bool:
        """Does something turn under the head?"""
        return self.motor and self.medium is not None

    @property
    def write_protected(self) -> bool:
        """The notch; the line is on with no disk at all, too."""
        return self.medium is None or self.medium.read_only

    def step_to(self, cylinder: int) -> None:
        """Step pulses; the head stops at the ends of its way."""
        to = min(max(cylinder, 0), self.type.cylinders - 1)
        if to != self.cylinder and self.medium is not None:
            self.changed = False
        self.cylinder = to

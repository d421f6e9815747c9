"""What can be wrong with a board, or with what somebody asks of it.

Typed, and each says who stands in whose way: whoever builds a machine, or moves a device while it
runs, has to know which of the two to change.
"""

from __future__ import annotations


class BusError(Exception):
    """A board that cannot be as asked."""


class PortOverlap(BusError):
    """Two devices claim a port."""


class MemoryOverlap(BusError):
    """Two devices claim an address."""


class PciOverlap(BusError):
    """Two functions in one place of a PCI bus."""


class BadRange(BusError):
    """A range that is empty, or not on this bus."""


class NotClaimed(BusError):
    """Somebody gives back what is not his: never claimed, another's, or given back before."""


class Released(BusError):
    """A line or a timer is used after it was given back."""


class UnknownDevice(BusError, KeyError):
    """There is no device of this name."""

    __str__ = Exception.__str__  # KeyError's is the quoted key


class NameTaken(BusError):
    """There is a device of this name already."""


class SnapshotError(ValueError):
    """A snapshot that cannot be taken back, or a device that gives none."""

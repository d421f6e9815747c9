"""A floppy, a disk or a CD that is the host application's, as drives see it.

Each read, write and flush is a request to the other world, and counted there by its kind
("disk read"). What the host cannot do is a sector that the guest cannot have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from devices.storage.medium import MediumError
from monitor.vmm.back_ends import BlockBackEnd
from monitor.vmm.world_switch import WorldSwitch

Result = TypeVar("Result")


class SwitchedMedium:
    """A Medium (devices/storage/medium.py) with a back end. `kind` is what it is called."""

    def __init__(self, door: WorldSwitch, kind: str, back_end: BlockBackEnd) -> None:
        self.size = back_end.size
        self.read_only = back_end.read_only
        self.back_end = back_end
        self._door = door
        self._kind = kind

    def read(self, offset: int, size: int) -> bytes:
        """Exactly so many bytes."""
        self._check(offset, size)
        return self._request("read", self.back_end.read, offset, size)

    def write(self, offset: int, data: bytes) -> None:
        """They are there for who reads next."""
        self._check(offset, len(data))
        self._request("write", self.back_end.write, offset, data)

    def flush(self) -> None:
        """They survive, if that was asked for."""
        self._request("flush", self.back_end.flush)

    def _check(self, offset: int, size: int) -> None:
        if not 0 <= offset <= offset + size <= self.size:
            raise MediumError(f"{size} bytes at {offset} of {self.size}")

    def _request(self, what: str, serve: Callable[..., Result], *args: object) -> Result:
        try:
            return self._door.request(f"{self._kind} {what}", serve, *args)
        except OSError as error:
            raise MediumError(str(error)) from error

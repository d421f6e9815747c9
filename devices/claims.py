"""What a device holds of the bus's addresses: a range of ports, or of physical memory.

A claim is given back by `release`, and goes elsewhere by `move`: a guest that writes a base address
register moves a PCI device's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

from devices.errors import BusError, NotClaimed


class Addresses(Protocol):
    """What a claim asks of its bus."""

    def enter_ports(self, claim: PortClaim) -> None:
        """Take its ports. BusError: it cannot have them, and has none."""

    def leave_ports(self, claim: PortClaim) -> None:
        """Give them back."""

    def enter_memory(self, claim: MemoryClaim) -> None:
        """Take its addresses. BusError: it cannot have them, and has none."""

    def leave_memory(self, claim: MemoryClaim) -> None:
        """Give them back."""


class Claim(ABC):
    """`size` addresses from `first` on that belong to a device."""

    __slots__ = ("_bus", "device", "first", "released", "size")
    what: ClassVar[str]

    def __init__(self, bus: Addresses, first: int, size: int, device: Any) -> None:
        self._bus = bus
        self.first = first
        self.size = size
        self.device = device
        #: Nobody has it (any more).
        self.released = True

    @property
    def end(self) -> int:
        """Behind the last one."""
        return self.first + self.size

    def take(self) -> None:
        """For the bus: enter it there. BusError, and nothing is entered."""
        self._enter()
        self.released = False

    def release(self) -> None:
        """Give it back: nobody answers there. NotClaimed if that was done before."""
        if self.released:
            raise NotClaimed(f"{name_of(self.device)} gives {self} back, and does not have it")
        self.released = True
        self._leave()

    def move(self, first: int) -> None:
        """Be from another address on. BusError, and it is where it was, if it cannot be there."""
        self.release()
        old, self.first = self.first, first
        try:
            self.take()
        except BusError:
            self.first = old
            self.take()
            raise

    def __str__(self) -> str:
        return f"{self.what} {self.first:#x}-{self.end - 1:#x}"

    @abstractmethod
    def _enter(self) -> None: ...

    @abstractmethod
    def _leave(self) -> None: ...


class PortClaim(Claim):
    """I/O ports."""

    __slots__ = ()
    what = "ports"

    def _enter(self) -> None:
        self._bus.enter_ports(self)

    def _leave(self) -> None:
        self._bus.leave_ports(self)


class MemoryClaim(Claim):
    """Registers in physical memory."""

    __slots__ = ()
    what = "memory"

    def _enter(self) -> None:
        self._bus.enter_memory(self)

    def _leave(self) -> None:
        self._bus.leave_memory(self)


def name_of(device: Any) -> str:
    """What messages call a device."""
    return str(getattr(device, "name", type(device).__name__))

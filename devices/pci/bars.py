"""Base address registers: what a function decodes, wherever the guest says.

Manual: PCI Local Bus Specification 2.2, 6.2.5.1.

    PortBar(4, 16, device)              16 I/O ports, read_port() and write_port() of `device`
    RegisterBar(1, 0x1000, device)      registers in memory, read_memory() and write_memory()
    MemoryBar(0, bus.make_memory(...))  memory of the function's own: a frame buffer, at RAM's speed

A size is a power of two, and the register's lower bits read as zeros: a guest writes ones and sees
how many stick. The function answers while its command register lets it, where the address says,
and its handlers are given offsets. Two things keep a guest's nonsense from being ours:

* At address 0 nobody answers: that is a register that was not set.
* Where another device answers already, this one does not (on a board, both would drive the bus).
  It does from the moment that the other one has moved, if that is a PCI function too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from devices.claims import MemoryClaim, PortClaim
from devices.errors import BusError

if TYPE_CHECKING:
    from devices.bus import Bus
    from devices.device import MemoryDevice, PortDevice
    from devices.own_memory import OwnMemory

IO_SPACE = 0x1
PREFETCHABLE = 0x8
LEAST_PORTS, LEAST_MEMORY = 4, 16
MOST_PORTS, MOST_MEMORY = 256, 1 << 31


class Bar(ABC):
    """A base address register by its number, 0 to 5, and what lies behind it."""

    def __init__(self, number: int, size: int, flags: int) -> None:
        least, most = (LEAST_PORTS, MOST_PORTS) if flags & IO_SPACE else (LEAST_MEMORY, MOST_MEMORY)
        if not 0 <= number < 6 or size & size - 1 or not least <= size <= most:
            raise ValueError(f"base address register {number} of {size:#x} bytes")
        self.number = number
        self.size = size
        #: Its lowest bits, as they are read.
        self.flags = flags
        #: Where it answers now.
        self.at: int | None = None
        self._wanted: int | None = None
        self._bus: Bus | None = None

    @property
    def offset(self) -> int:
        """Of the register in configuration space."""
        return 0x10 + 4 * self.number

    @property
    def is_ports(self) -> bool:
        """I/O space, not memory space."""
        return bool(self.flags & IO_SPACE)

    def connect(self, bus: Bus) -> None:
        """For the function: where addresses are taken."""
        self._bus = bus

    def put(self, address: int | None) -> None:
        """Answer from this address on, or nowhere."""
        self._wanted = address or None
        if self._wanted == self.at or self._bus is None:
            return
        was, self.at = self.at, None
        if was is not None:
            self._take_away(was)
        self.retry()
        if was is not None:
            self._bus.pci.moved()

    def retry(self) -> None:
        """Be where the guest wants it, if nobody else is."""
        if self._bus is None or self._wanted is None or self.at is not None:
            return
        try:
            self._place(self._bus, self._wanted)
        except BusError:
            self._bus.pci.block(self)
        else:
            self.at = self._wanted

    @abstractmethod
    def _place(self, bus: Bus, address: int) -> None:
        """Appear. BusError: somebody is there."""

    @abstractmethod
    def _take_away(self, address: int) -> None:
        """Disappear."""


class PortBar(Bar):
    """I/O ports. The device may have `port_widths`, as for `bus.claim_ports`."""

    def __init__(self, number: int, size: int, device: PortDevice) -> None:
        super().__init__(number, size, IO_SPACE)
        self.device = device
        self._claim: PortClaim | None = None

    def _place(self, bus: Bus, address: int) -> None:
        self._claim = bus.claim_ports(address, self.size, self.device)

    def _take_away(self, address: int) -> None:
        if self._claim is not None and not self._claim.released:
            self._claim.release()


class RegisterBar(Bar):
    """Registers in memory."""

    def __init__(self, number: int, size: int, device: MemoryDevice) -> None:
        super().__init__(number, size, 0)
        self.device = device
        self._claim: MemoryClaim | None = None

    def _place(self, bus: Bus, address: int) -> None:
        self._claim = bus.claim_memory(address, self.size, self.device)

    def _take_away(self, address: int) -> None:
        if self._claim is not None and not self._claim.released:
            self._claim.release()


class MemoryBar(Bar):
    """Memory of the function's own, its size a power of two and 4096 at least."""

    def __init__(self, number: int, memory: OwnMemory) -> None:
        super().__init__(number, memory.size, PREFETCHABLE)
        self.memory = memory

    def _place(self, bus: Bus, address: int) -> None:
        self.memory.show(address)

    def _take_away(self, address: int) -> None:
        self.memory.hide(address)

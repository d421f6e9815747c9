"""The board: ports, memory-mapped registers, interrupt lines, timer events and DMA.

What a device takes from the bus, at any time, is an object with a method `release`: a claim of
ports or memory, an interrupt line, a timer. A device may give back what it has from inside its own
callback, in the middle of a guest's instruction. A `Slot` (devices/slot.py) is the bus as one
device sees it, and knows what that device has.

Ranges never overlap; a claim that would is a typed error. An access that
nobody claims reads all ones of its width, as a bus with pull-ups does, and writes vanish. A chip
on an 8-bit bus answers bytes; a wider access is split into bytes at consecutive ports, low byte
first, as the ISA bus does, unless the device says in ``port_widths(offset)`` that it takes it
whole.

Handlers are bound when they are claimed: an access is one dictionary lookup and one call.

>>> from devices.clock import ManualClock
>>> class Seven:
...     def read_port(self, offset, size): return 7
...     def write_port(self, offset, size, value): claim.release()
>>> bus = Bus(ManualClock())
>>> claim = bus.claim_ports(0x300, 2, Seven())
>>> bus.read_port(0x301, 1), bus.write_port(0x300, 1, 0), bus.read_port(0x301, 1)
(7, None, 255)
>>> claim.release()
Traceback (most recent call last):
    ...
devices.errors.NotClaimed: Seven gives ports 0x300-0x301 back, and does not have it
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from devices.claims import MemoryClaim, PciClaim, PortClaim, name_of
from devices.clock import Clock
from devices.device import DataPort, MemoryDevice, PortDevice
from devices.dma import Memory
from devices.errors import BadRange, BusError, MemoryOverlap, PortOverlap
from devices.irq import LINES, InterruptSink, IrqLine, IrqWires
from devices.own_memory import OwnMemory
from devices.pci.slots import DEVICES, FUNCTIONS, PciSlots, PciTarget
from devices.timers import Timer, TimerQueue

PORTS = 0x10000
MEMORY = 1 << 32  # bytes of physical addresses
_BYTES_ONLY = (1,)

# What an access to a port costs the processor. An 8-bit I/O cycle on the ISA bus takes six clocks
# of 8.33 MHz with its usual wait states; with the way to the bus and back that makes about a
# microsecond, which drivers count on when they write to port 80h for a pause.
ISA_CYCLE_NS = 1000

# And one to registers in memory: a read on PCI, eight clocks of 33 MHz with the address phase, the
# turnaround and a few wait states. Writes are posted, but a buffer that is full drains no faster.
MEMORY_CYCLE_NS = 240


__all__ = ["BadRange", "Bus", "BusError", "MemoryOverlap", "PortOverlap"]


class Bus:
    """One board's, in the time of `clock`. `on_intr` is told when INT changes."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.on_intr: Callable[[bool], None] | None = None
        # Told when a range of memory was claimed or given back, also in the middle of an access.
        self.on_memory: Callable[[], None] | None = None
        #: Guest memory, for devices that reach it by themselves.
        self.memory = Memory()
        # Makes memory of a device's own: its name, and bytes.
        self.on_make_memory: Callable[[str, int], OwnMemory] | None = None
        # Switches shadow RAM: first address and end, is it read, is it written.
        self.on_shadow: Callable[[int, int, bool, bool], None] | None = None
        #: Where PCI functions plug in.
        self.pci = PciSlots()
        self._intr = False
        self._timers = TimerQueue()
        self.wires = IrqWires()
        self._port_owner: dict[int, str] = {}
        # Keyed by port << 3 | size, so that a device answers only the widths it knows.
        self._port_reads: dict[int, tuple[Callable[[int, int], int], int]] = {}
        self._port_writes: dict[int, tuple[Callable[[int, int, int], None], int]] = {}
        self._inner: MemoryClaim | None = None  # registers of the processor's own
        self._data_ports: dict[int, tuple[DataPort, int]] = {}
        self._memory: list[MemoryClaim] = []
        self._memory_starts: list[int] = []

    # Ports

    def claim_ports(self, first: int, count: int, device: PortDevice) -> PortClaim:
        """These ports are the device's, which sees them as offsets. PortOverlap, BadRange."""
        claim = PortClaim(self, first, count, device)
        claim.take()
        return claim

    def enter_ports(self, claim: PortClaim) -> None:
        """For a claim: take its ports."""
        first, device, name = claim.first, claim.device, name_of(claim.device)
        if first < 0 or claim.size <= 0 or claim.end > PORTS:
            raise BadRange(f"{name}: ports {first:#x}+{claim.size} are not within 0-0xffff")
        for port in range(first, claim.end):
            if port in self._port_owner:
                raise PortOverlap(
                    f"{name} claims {claim}, but {port:#x} belongs to {self._port_owner[port]}"
                )
        widths = getattr(device, "port_widths", None)
        for offset in range(claim.size):
            port = first + offset
            self._port_owner[port] = name
            for size in widths(offset) if widths else _BYTES_ONLY:
                self._port_reads[port << 3 | size] = (device.read_port, offset)
                self._port_writes[port << 3 | size] = (device.write_port, offset)
                if isinstance(device, DataPort):
                    self._data_ports[port << 3 | size] = (device, offset)

    def leave_ports(self, claim: PortClaim) -> None:
        """For a claim: give its ports back."""
        for port in range(claim.first, claim.end):
            del self._port_owner[port]
            for size in (1, 2, 4):
                self._port_reads.pop(port << 3 | size, None)
                self._port_writes.pop(port << 3 | size, None)
                self._data_ports.pop(port << 3 | size, None)

    def owner_of(self, port: int) -> str | None:
        """The name of the device that answers there, if one does."""
        return self._port_owner.get(port)

    def port_ranges(self) -> list[tuple[int, int, str]]:
        """Who answers where: first port, last port and the device's name, by port."""
        found: list[tuple[int, int, str]] = []
        for port, name in sorted(self._port_owner.items()):
            if found and found[-1][1:] == (port - 1, name):
                found[-1] = found[-1][0], port, name
            else:
                found.append((port, port, name))
        return found

    def read_port(self, port: int, size: int) -> int:
        """IN of 1, 2 or 4 bytes; all ones where nobody answers."""
        entry = self._port_reads.get(port << 3 | size)
        if entry is not None:
            return entry[0](entry[1], size)
        if size == 1:
            return 0xFF
        return sum(self.read_port(port + i, 1) << 8 * i for i in range(size))

    def write_port(self, port: int, size: int, value: int) -> None:
        """OUT of 1, 2 or 4 bytes."""
        entry = self._port_writes.get(port << 3 | size)
        if entry is not None:
            entry[0](entry[1], size, value & (1 << 8 * size) - 1)
        elif size > 1:
            for i in range(size):
                self.write_port(port + i, 1, value >> 8 * i & 0xFF)

    def read_ports(self, port: int, size: int, count: int) -> bytes:
        """Up to `count` elements of a port, if its device gives many at once (DataPort)."""
        device, offset = self._data_ports.get(port << 3 | size, (None, 0))
        return b"" if device is None else device.read_elements(offset, size, count)

    def write_ports(self, port: int, size: int, data: bytes) -> int:
        """The same to it: how many elements were taken."""
        device, offset = self._data_ports.get(port << 3 | size, (None, 0))
        return 0 if device is None else device.write_elements(offset, size, data)

    def port_time(self, port: int, size: int) -> int:
        """Nanoseconds that an access takes: a bus cycle, or one for each byte it is split into."""
        if size == 1 or port << 3 | size in self._port_reads:
            return ISA_CYCLE_NS
        return ISA_CYCLE_NS * size

    # Memory-mapped registers

    def claim_memory(self, first: int, size: int, device: MemoryDevice) -> MemoryClaim:
        """These physical addresses are the device's. MemoryOverlap, BadRange."""
        claim = MemoryClaim(self, first, size, device)
        claim.take()
        return claim

    def enter_memory(self, claim: MemoryClaim) -> None:
        """For a claim: take its addresses."""
        name = name_of(claim.device)
        if claim.first < 0 or claim.size <= 0 or claim.end > MEMORY:
            raise BadRange(f"{name}: no memory range at {claim.first:#x}+{claim.size:#x}")
        at = bisect_right(self._memory_starts, claim.first)
        for other in self._memory[max(0, at - 1) : at + 1]:
            if claim.first < other.end and other.first < claim.end:
                raise MemoryOverlap(
                    f"{name} claims {claim}, but {other.first:#x}-{other.end - 1:#x} "
                    f"belongs to {name_of(other.device)}"
                )
        self._memory.insert(at, claim)
        self._memory_starts.insert(at, claim.first)
        self._memory_news()

    def leave_memory(self, claim: MemoryClaim) -> None:
        """For a claim: give its addresses back."""
        at = self._memory.index(claim)
        del self._memory[at], self._memory_starts[at]
        self._memory_news()

    def place_inner(self, first: int | None, size: int, device: MemoryDevice) -> None:
        """Registers of the processor's own, which it finds before it asks the bus: before RAM too.

        None: nowhere.
        """
        self._inner = None if first is None else MemoryClaim(self, first, size, device)
        self._memory_news()

    def _memory_news(self) -> None:
        if self.on_memory is not None:
            self.on_memory()

    def memory_ranges(self) -> list[tuple[int, int]]:
        """Where devices answer: first address and end of each range, in ascending order."""
        return [(each.first, each.end) for each in self._memory]

    def registers(self) -> tuple[list[tuple[int, int]], tuple[int, int] | None]:
        """The same, and where the processor's own are."""
        inner = self._inner
        return self.memory_ranges(), None if inner is None else (inner.first, inner.end)

    def memory_in(self, first: int, size: int) -> bool:
        """Does a device answer anywhere in this range of physical addresses?"""
        inner = self._inner
        if inner is not None and inner.first < first + size and first < inner.end:
            return True
        at = bisect_right(self._memory_starts, first + size - 1) - 1
        return at >= 0 and first < self._memory[at].end

    def read_memory(self, address: int, size: int) -> int:
        """1, 2 or 4 bytes of a device's memory, little-endian; all ones where nobody answers."""
        found = self._find_memory(address)
        if found is not None and address + size <= found.end:
            return found.device.read_memory(address - found.first, size)
        if size == 1:
            return 0xFF
        return sum(self.read_memory(address + i, 1) << 8 * i for i in range(size))

    def write_memory(self, address: int, size: int, value: int) -> None:
        """1, 2 or 4 bytes into a device's memory."""
        found = self._find_memory(address)
        if found is not None and address + size <= found.end:
            found.device.write_memory(address - found.first, size, value & (1 << 8 * size) - 1)
        elif size > 1:
            for i in range(size):
                self.write_memory(address + i, 1, value >> 8 * i & 0xFF)

    def make_memory(self, name: str, size: int) -> OwnMemory:
        """Memory for a device, in whole pages, all zeros; it appears where show() says.

        BusError: a board by itself has none to give.
        """
        if self.on_make_memory is None:
            raise BusError(f"{name}: there is no memory on this board")
        return self.on_make_memory(name, size)

    # PCI

    def claim_pci(self, device: int, function: int, target: PciTarget) -> PciClaim:
        """A place in PCI's configuration space. PciOverlap, BadRange."""
        if not (0 <= device < DEVICES and 0 <= function < FUNCTIONS):
            raise BadRange(f"PCI device {device}, function {function}: 0 to 31 and 0 to 7")
        claim = PciClaim(self, device * FUNCTIONS + function, 1, target)
        claim.take()
        return claim

    def enter_pci(self, claim: PciClaim) -> None:
        """For a claim: plug its function in."""
        self.pci.enter(claim.first, claim.device)

    def leave_pci(self, claim: PciClaim) -> None:
        """For a claim: pull it out."""
        self.pci.leave(claim.first)

    def shadow(self, first: int, end: int, reads: bool, writes: bool) -> None:
        """For a chipset: is it shadow RAM that is read there, and that is written?"""
        if self.on_shadow is not None:
            self.on_shadow(first, end, reads, writes)

    def memory_time(self, address: int, size: int) -> int:
        """Nanoseconds that an access takes: a bus cycle, or one for each byte it is split into.

        0 where nobody answers.
        """
        found = self._find_memory(address)
        if found is not None and address + size <= found.end:
            return MEMORY_CYCLE_NS
        if size == 1:
            return 0
        return sum(self.memory_time(address + i, 1) for i in range(size))

    def _find_memory(self, address: int) -> MemoryClaim | None:
        inner = self._inner
        if inner is not None and inner.first <= address < inner.end:
            return inner
        at = bisect_right(self._memory_starts, address) - 1
        if at >= 0 and address < self._memory[at].end:
            return self._memory[at]
        return None

    # Time

    def schedule(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        """Call a function once, when the clock shows so many nanoseconds."""
        return self._timers.schedule(when_ns, callback)

    def timer(self, callback: Callable[[], None]) -> Timer:
        """A timer for a device to keep, which can be set again and again, and saved."""
        return self._timers.timer(callback)

    def next_deadline(self) -> int | None:
        """When the next timer is due, in nanoseconds, if one is set."""
        return self._timers.next_deadline()

    def run_due(self) -> None:
        """Fire every timer whose time has come."""
        self._timers.run_due(self.clock.now())

    # Interrupts

    @property
    def intr(self) -> bool:
        """The INT output of the master interrupt controller."""
        return self._intr

    def irq(self, line: int) -> IrqLine:
        """The wire to an input of the interrupt controllers, 0 to 15, as an ISA card drives it."""
        return self._line(line, shared=False)

    def shared_irq(self, line: int) -> IrqLine:
        """The same as a PCI device drives it: up while anybody pulls. For levels."""
        return self._line(line, shared=True)

    def _line(self, line: int, shared: bool) -> IrqLine:
        if not 0 <= line < LINES:
            raise BadRange(f"interrupt line {line}: there are 0 to {LINES - 1}")
        return self.wires.line(line, shared)

    def connect_interrupt_controller(self, sink: InterruptSink) -> None:
        """Where all wires lead from now on."""
        self.wires.sink = sink

    def set_intr(self, level: bool) -> None:
        """For the interrupt controller: drive the INT pin."""
        if level != self._intr:
            self._intr = level
            if self.on_intr is not None:
                self.on_intr(level)

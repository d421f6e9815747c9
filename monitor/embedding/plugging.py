"""The machine's devices by name, and devices of the embedder's own.

    machine = Machine(devices=[Scratch, partial(Disk, image="root.img")])   # part of the machine
    machine.devices.add(Scratch)                     # the same, later; also while it runs
    machine.devices["pit"].counters[0].count(...)    # the chips of the board, and one's own
    machine.devices.unplug("scratch")
    machine.devices.plug_ports(0x300, 2, read=lambda offset, size: 7)
    machine.devices.plug_memory(0xFED00000, 0x100, write=lambda offset, size, value: ...)

A device is made by calling its class, or any function, with the bus (devices/bus.py): there it
claims ports and memory, takes interrupt lines, timers and the clock, and reaches guest memory. What
it takes goes when it is unplugged. A function gets the offset into its range and the size of the
access, 1, 2 or 4 bytes. It runs inside a guest instruction: what it raises, run() raises, with the
guest in front of that instruction or behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from devices.bus import Bus
from devices.claims import MemoryClaim, name_of
from devices.device import Device, MemoryDevice, PortDevice
from devices.errors import BusError
from devices.slot import Slot
from monitor.vmm.board import Board
from monitor.vmm.errors import UserError
from monitor.vmm.physical_map import TOP, DeviceMemory, PhysicalMap

Read = Callable[[int, int], int]
Write = Callable[[int, int, int], None]
MakeDevice = Callable[[Bus], Any]
Made = TypeVar("Made")
WIDTHS = (1, 2, 4)


class Devices(Mapping[str, Any]):
    """All devices of one machine by name. They come and go before a run, between two, or in one:

    a device may plug in another, and unplug itself, from inside a guest's instruction.
    """

    def __init__(self, board: Board, physical_map: PhysicalMap) -> None:
        self._board = board
        self._map = physical_map
        self._slots: dict[str, Slot] = {}  # of those that are not soldered in
        self._open = self._new_slot()  # where the next one will be

    def __getitem__(self, name: str) -> Any:
        """The device of this name: "pit", "uart" and so on, or one of your own."""
        return self._board.devices[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._board.devices)

    def __len__(self) -> int:
        return len(self._board.devices)

    @property
    def bus(self) -> Bus:
        """The bus for a device that is made now: what it takes there is given back by unplug().

        plug() has to follow, so that the machine knows it.
        """
        return self._open

    def add(self, make: Callable[[Bus], Made], name: str | None = None) -> Made:
        """Make a device and plug it in: `make` is its class, or a function that gets the bus.

        UserError: what it claims is taken, is RAM, or is none, or the name is. Then, and if `make`
        raises, nothing is plugged in.
        """
        self._check_name(name)
        slot = self._new_slot()
        try:
            device = make(slot)
            for claim in slot.claims:
                if isinstance(claim, MemoryClaim):
                    self._check_memory(range(claim.first, claim.end))
        except BaseException as error:
            slot.release()
            if isinstance(error, BusError):
                raise UserError(f"cannot plug the device in: {error}") from error
            raise
        self._enter(device, name, slot)
        return device

    def add_all(self, makers: Iterable[MakeDevice] | Mapping[str, MakeDevice]) -> None:
        """Several, each under its own name or under that which is given."""
        named = makers.items() if isinstance(makers, Mapping) else ((None, m) for m in makers)
        for name, make in named:
            self.add(make, name)

    def plug(
        self,
        device: Device | PortDevice | MemoryDevice,
        ports: range | None = None,
        memory: range | None = None,
        name: str | None = None,
    ) -> None:
        """A device by the protocols of `devices.device`, at ports or physical addresses or both.

        It is called by the name, or by its own; "-2" and so on is added where there is one already.
        One with the methods of a chip takes part in reset(), its `coming_irqs` says whether it may
        still wake a halted guest, and its `snapshot` and `restore` make it part of checkpoints.
        UserError: a range is taken, is RAM, or is none, or there is a device of that name.
        """
        self._check_name(name)
        if memory is not None:
            self._check_memory(memory)
            if ports is not None and self.bus.memory_in(memory.start, len(memory)):
                ports = None  # the claim of memory fails, and nothing shall be plugged in by half
        slot = self._open
        try:
            if ports is not None:
                slot.claim_ports(ports.start, len(ports), device)  # type: ignore[arg-type]
            if memory is not None:
                slot.claim_memory(memory.start, len(memory), device)  # type: ignore[arg-type]
        except BusError as error:
            raise UserError(f"cannot plug the device in: {error}") from error
        self._open = self._new_slot()
        self._enter(device, name, slot)

    def unplug(self, name: str) -> Any:
        """Take a device out, and return it: nobody answers any more where it did.

        UserError: there is none of this name, or it is one of the board's chips.
        """
        if name not in self:
            raise UserError(f"there is no device {name!r}; there are {', '.join(self)}")
        if name not in self._slots:
            raise UserError(f"the device {name!r} is soldered to the board")
        device = self[name]
        self._slots[name].release()
        return device

    def _check_name(self, name: str | None) -> None:
        if name is not None and name in self:
            raise UserError(f"there is a device {name!r} already; choose another name")

    def _enter(self, device: object, name: str | None, slot: Slot) -> None:
        """The device in the slot is part of the machine from now on."""
        name = name if name is not None else self._free_name(device)
        self._board.devices.add(name, device)
        self._slots[name] = slot

    def _new_slot(self) -> Slot:
        slot = Slot(self._board.bus, on_release=lambda: self._left(slot))
        return slot

    def _left(self, slot: Slot) -> None:
        """Everything that the device had is given back."""
        if slot is self._open:
            self._open = self._new_slot()
        for name, taken in tuple(self._slots.items()):
            if taken is slot:
                del self._slots[name]
                self._board.devices.remove(name)

    def _free_name(self, device: object) -> str:
        name = free = name_of(device)
        others = 1
        while free in self:
            others += 1
            free = f"{name}-{others}"
        return free

    def plug_ports(
        self,
        first: int,
        count: int = 1,
        read: Read | None = None,
        write: Write | None = None,
        name: str = "device",
    ) -> None:
        """Answer `count` ports from `first` on by functions; without one, ones are read and writes
        vanish.

        An access that lies within the range is one call, whatever its size. UserError: the ports
        belong to another device (the message says to which), or are none.
        """
        self.plug(_Functions(name, count, read, write), ports=range(first, first + count))

    def plug_memory(
        self,
        first: int,
        size: int,
        read: Read | None = None,
        write: Write | None = None,
        name: str = "device",
    ) -> None:
        """Answer `size` bytes of physical memory from `first` on by functions, as plug_ports().

        UserError: there is RAM, ROM or another device.
        """
        self.plug(_Functions(name, size, read, write), memory=range(first, first + size))

    def make_memory(self, size: int, name: str = "device") -> DeviceMemory:
        """Memory of a device's own, which the guest uses at the speed of RAM: a frame buffer.

        In whole pages. `show(address)` makes it appear. UserError: more than a machine has room
        for.
        """
        return self._map.make_memory(name, size)

    def _check_memory(self, memory: range) -> None:
        if not memory or memory.start < 0 or memory.stop > TOP:
            raise UserError(
                f"a device at {memory.start:#x}, {len(memory)} bytes: it needs at least one, and "
                "has to lie in the 4 GiB of physical memory"
            )
        self._map.check_free(memory, f"{len(memory):#x} bytes at {memory.start:#x}")


class _Functions:
    """Two functions as a device; either may be missing."""

    def __init__(self, name: str, count: int, read: Read | None, write: Write | None) -> None:
        self.name = name
        self._count = count
        self._read = read or _all_ones
        self._write = write or _nowhere

    def port_widths(self, offset: int) -> tuple[int, ...]:
        """Accesses that do not leave the range come whole."""
        return tuple(width for width in WIDTHS if offset + width <= self._count)

    def read_port(self, offset: int, size: int) -> int:
        return self._read(offset, size) & (1 << 8 * size) - 1

    def write_port(self, offset: int, size: int, value: int) -> None:
        self._write(offset, size, value)

    read_memory = read_port
    write_memory = write_port


def _all_ones(offset: int, size: int) -> int:
    return (1 << 8 * size) - 1


def _nowhere(offset: int, size: int, value: int) -> None:
    pass

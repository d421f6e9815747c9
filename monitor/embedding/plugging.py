"""Devices of the embedder's own: I/O ports and memory-mapped registers.

    machine.devices.plug_ports(0x300, 2, read=lambda offset, size: 7)
    machine.devices.plug_memory(0xFED00000, 0x100, write=lambda offset, size, value: ...)
    machine.devices.plug(Scratch(machine.devices.bus))

A function gets the offset into its range and the size of the access, 1, 2 or 4 bytes. It runs
inside a guest instruction: what it raises, run() raises, with the guest in front of that
instruction or behind it. A device that interrupts takes a line from `bus.irq(n)`, one that waits a
timer from `bus.schedule(when, function)`, in nanoseconds of `bus.clock`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devices.bus import Bus, BusError
from devices.device import Device, MemoryDevice, PortDevice
from monitor.embedding.roms import Roms
from monitor.vmm.board import Board
from monitor.vmm.errors import UserError
from monitor.vmm.memory import PAGE
from monitor.vmm.processor import Processor

Read = Callable[[int, int], int]
Write = Callable[[int, int, int], None]
WIDTHS = (1, 2, 4)
TOP = 1 << 32


class Devices:
    """Where devices are plugged into the machine; there they stay. Before a run or between two."""

    def __init__(self, board: Board, processor: Processor, roms: Roms) -> None:
        self._board = board
        self._processor = processor
        self._roms = roms

    @property
    def bus(self) -> Bus:
        """The board: for a device that claims its ranges itself, or needs lines, timers, the clock.

        What a device claims while it is made has to be followed by plug(), so that reset() reaches
        it.
        """
        return self._board.bus

    def plug(
        self,
        device: Device | PortDevice | MemoryDevice,
        ports: range | None = None,
        memory: range | None = None,
    ) -> None:
        """A device by the protocols of `devices.device`, at ports or physical addresses or both.

        One with the methods of a chip takes part in reset(), and its `coming_irqs` says whether it
        may still wake a halted guest. UserError: a range is taken, is RAM, or is none.
        """
        if memory is not None:
            self._check_memory(memory)
            if ports is not None and self.bus.memory_in(memory.start, len(memory)):
                ports = None  # the claim of memory fails, and nothing shall be plugged in by half
        try:
            if ports is not None:
                self.bus.claim_ports(ports.start, len(ports), device)  # type: ignore[arg-type]
            if memory is not None:
                self.bus.claim_memory(memory.start, len(memory), device)  # type: ignore[arg-type]
        except BusError as error:
            raise UserError(f"cannot plug the device in: {error}") from error
        self._board.devices.add(self._free_name(device), device)

    def __getitem__(self, name: str) -> Any:
        """The device of this name: "pit", "uart" and so on, or one of your own."""
        return self._board.devices[name]

    def _free_name(self, device: object) -> str:
        name = str(getattr(device, "name", type(device).__name__))
        others = 1
        free = name
        while free in self._board.devices:
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

    def _check_memory(self, memory: range) -> None:
        if not memory or memory.start < 0 or memory.stop > TOP:
            raise UserError(
                f"a device at {memory.start:#x}, {len(memory)} bytes: it needs at least one, and "
                "has to lie in the 4 GiB of physical memory"
            )
        self._roms.check_free(memory.start, len(memory))
        for frame in range(memory.start // PAGE, (memory.stop - 1) // PAGE + 1):
            if self._processor.ram.is_ram(frame * PAGE):
                raise UserError(
                    f"a device cannot lie over RAM, which is at {frame * PAGE:#x}: choose a place "
                    "from 0xa0000 to 0xfffff or behind the end of RAM"
                )


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

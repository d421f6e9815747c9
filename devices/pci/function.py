"""A PCI function: its 256 bytes of configuration space, its base addresses, its interrupt pin.

Manual: PCI Local Bus Specification 2.2, chapter 6.

How to write one::

    class Card(PciFunction):
        name = "card"
        vendor_id, device_id, revision = 0x1234, 0x5678, 2
        class_code = 0x020000                       # base class, subclass, interface
        interrupt_pin = 1                           # INTA#; 0: none
        state = fields(**PciFunction.state, mode=BYTE)
        wiring = (*PciFunction.wiring, "picture")

        def __init__(self, bus, device):
            super().__init__(bus, device)           # 00:device.0 from now on
            self.picture = bus.make_memory("picture", 1 << 20)
            self.add_bar(MemoryBar(0, self.picture))
            self.add_bar(PortBar(1, 16, self))      # read_port(), write_port(), port_widths()
            self.define(0x40, 2, value=0x0003, writable=0x00FF)
            self.mode = 0

        def reset(self):                            # the RST# pin
            super().reset()
            self.mode = 0

        def config_written(self, first, end):       # bytes first to end - 1 were written
            if first <= 0x40 < end: self.look(self.config[0x40])

        def read_port(self, offset, size): ...
        def write_port(self, offset, size, value): self.set_interrupt(True)

Everything else is done here: which bits stick, sizing a base address, being where it says while
the command register allows it, the snapshot. What a function shows at the PC's fixed addresses (VGA
at A0000h, IDE at 1F0h) it claims from the bus itself, and asks `io_enabled`, `memory_enabled`.
Without a chipset on the board the function is plugged in and never found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from devices.bus import Bus
from devices.device import Chip
from devices.fields import FLAG, fields, hex_bytes
from devices.pci.bars import Bar

SIZE = 256
VENDOR_ID, DEVICE_ID, COMMAND, STATUS, REVISION, CLASS_CODE = 0x00, 0x02, 0x04, 0x06, 0x08, 0x09
CACHE_LINE_SIZE, LATENCY_TIMER, HEADER_TYPE, BASE_ADDRESSES = 0x0C, 0x0D, 0x0E, 0x10
SUBSYSTEM_VENDOR_ID, SUBSYSTEM_ID, INTERRUPT_LINE, INTERRUPT_PIN = 0x2C, 0x2E, 0x3C, 0x3D

COMMAND_IO, COMMAND_MEMORY, COMMAND_MASTER = 0x0001, 0x0002, 0x0004
COMMAND_PARITY, COMMAND_SERR = 0x0040, 0x0100
STATUS_MEDIUM = 0x0200  # DEVSEL# timing
STATUS_CLEARS = 0xF900  # errors and aborts: a one that is written clears it
MULTIFUNCTION = 0x80


class PciFunction(Chip):
    """The base of all. `device` is the slot, 0 to 31, `function` 0 to 7 within it."""

    vendor_id: ClassVar[int] = 0xFFFF
    device_id: ClassVar[int] = 0xFFFF
    revision: ClassVar[int] = 0
    class_code: ClassVar[int] = 0
    subsystem: ClassVar[tuple[int, int]] = (0, 0)  # vendor, and its number for it
    interrupt_pin: ClassVar[int] = 0
    multifunction: ClassVar[bool] = False
    command: ClassVar[int] = 0  # after reset
    command_writable: ClassVar[int] = (
        COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_PARITY | COMMAND_SERR
    )
    status: ClassVar[int] = STATUS_MEDIUM

    state = fields(config=hex_bytes(SIZE), intx=FLAG)
    wiring: ClassVar[tuple[str, ...]] = (
        "bus", "bars", "_place", "_claim", "_initial", "_writable", "_clears",
    )  # fmt: skip

    def __init__(self, bus: Bus, device: int, function: int = 0) -> None:
        self.bus = bus
        self.bars: list[Bar] = []
        self._initial = bytearray(SIZE)
        self._writable = bytearray(SIZE)
        self._clears = bytearray(SIZE)
        self.config = bytearray(SIZE)
        #: Does it pull its interrupt pin?
        self.intx = False
        self._header()
        self._claim = bus.claim_pci(device, function, self)
        self._place = self._claim.first

    def _header(self) -> None:
        self.define(VENDOR_ID, 2, self.vendor_id)
        self.define(DEVICE_ID, 2, self.device_id)
        self.define(COMMAND, 2, self.command, self.command_writable)
        self.define(STATUS, 2, self.status, clears=STATUS_CLEARS)
        self.define(REVISION, 1, self.revision)
        self.define(CLASS_CODE, 3, self.class_code)
        self.define(HEADER_TYPE, 1, MULTIFUNCTION if self.multifunction else 0)
        self.define(SUBSYSTEM_VENDOR_ID, 2, self.subsystem[0])
        self.define(SUBSYSTEM_ID, 2, self.subsystem[1])
        self.define(INTERRUPT_LINE, 1, 0, 0xFF if self.interrupt_pin else 0)
        self.define(INTERRUPT_PIN, 1, self.interrupt_pin)

    # What is in configuration space

    def define(
        self, offset: int, size: int, value: int = 0, writable: int = 0, clears: int = 0
    ) -> None:
        """A register: its value after reset, the bits that stick, those that a one clears."""
        for memory, number in (
            (self._initial, value), (self.config, value),
            (self._writable, writable), (self._clears, clears),
        ):  # fmt: skip
            memory[offset : offset + size] = number.to_bytes(size, "little")

    def add_bar(self, bar: Bar) -> None:
        """A base address register, and what it is the address of."""
        bar.connect(self.bus)
        self.bars.append(bar)
        self.define(bar.offset, 4, bar.flags, -bar.size & 0xFFFFFFFF)

    def word(self, offset: int) -> int:
        """Two bytes of configuration space."""
        return int.from_bytes(self.config[offset : offset + 2], "little")

    def long(self, offset: int) -> int:
        """Four bytes of it."""
        return int.from_bytes(self.config[offset : offset + 4], "little")

    @property
    def io_enabled(self) -> bool:
        """Does it answer in I/O space?"""
        return bool(self.config[COMMAND] & COMMAND_IO)

    @property
    def memory_enabled(self) -> bool:
        """Does it answer in memory space?"""
        return bool(self.config[COMMAND] & COMMAND_MEMORY)

    @property
    def master_enabled(self) -> bool:
        """May it reach memory by itself? Only then may it use `bus.memory`."""
        return bool(self.config[COMMAND] & COMMAND_MASTER)

    def set_interrupt(self, level: bool) -> None:
        """Pull the interrupt pin, or let go of it."""
        if level != self.intx:
            self.intx = level
            self.bus.pci.pull(self._place, self.interrupt_pin, level)

    def config_written(self, first: int, end: int) -> None:
        """For a function's own registers: bytes `first` to `end` - 1 of `config` were written."""

    # The bus's side

    def reset(self) -> None:
        """The RST# pin: nothing is decoded."""
        self.config[:] = self._initial
        self._map()
        self.set_interrupt(False)

    def read_config(self, offset: int, size: int) -> int:
        return int.from_bytes(self.config[offset : offset + size], "little")

    def write_config(self, offset: int, size: int, value: int) -> None:
        for at, byte in enumerate(value.to_bytes(size, "little"), offset):
            mask = self._writable[at]
            kept = self.config[at] & ~mask & ~(byte & self._clears[at])
            self.config[at] = kept & 0xFF | byte & mask
        if offset < INTERRUPT_LINE:
            self._map()
        self.config_written(offset, offset + size)

    def _map(self) -> None:
        """Let everything be where the base addresses say."""
        for bar in self.bars:
            enabled = self.io_enabled if bar.is_ports else self.memory_enabled
            address = self.long(bar.offset) & -bar.size
            bar.put(address if enabled else None)

    # Snapshots

    def contradiction(self, state: Mapping[str, Any]) -> str | None:
        config = bytes.fromhex(state["config"])
        if len(config) != SIZE:
            return f"config: {len(config)} bytes are no configuration space"
        for at, byte in enumerate(config):
            if (byte ^ self._initial[at]) & ~self._writable[at] & ~self._clears[at] & 0xFF:
                return f"config: byte {at:#04x} has bits that do not stick"
        return None

    def restored(self) -> None:
        self._map()
        self.bus.pci.pull(self._place, self.interrupt_pin, self.intx, quietly=True)

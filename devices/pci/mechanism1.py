"""PCI configuration mechanism #1: an address at CF8h, the register behind it at CFCh.

Manual: PCI Local Bus Specification 2.2, 3.2.2.3.2; 82441FX datasheet, CONFADD and CONFDATA.

    CF8h  31 enable   23:16 bus   15:11 device   10:8 function   7:2 register
    CFCh  that doubleword, its bytes and words too

Only a doubleword at CF8h is the address register's: CF9h by itself is the reset control register of
the ISA bridge. Where the enable bit is clear, CFCh is nobody's.

>>> from devices.bus import Bus
>>> from devices.clock import ManualClock
>>> bus = Bus(ManualClock())
>>> mechanism = ConfigMechanism1(bus)
>>> bus.write_port(0xCF8, 4, 0x80000000)
>>> hex(bus.read_port(0xCF8, 4)), hex(bus.read_port(0xCFC, 4))      # there is no function 00:00.0
('0x80000000', '0xffffffff')
"""

from __future__ import annotations

from devices.bus import Bus
from devices.device import Chip, PortHandlers
from devices.fields import fields, number

CONFADD, CONFDATA = 0xCF8, 0xCFC
ENABLE = 0x80000000
VALID = 0x80FFFFFC
_WIDTHS = ((1, 2, 4), (1, 2), (1, 2), (1,))


class ConfigMechanism1(Chip):
    """The two registers, for functions that are plugged into `bus.pci`."""

    name = "pci-mechanism-1"
    state = fields(address=number(0, VALID))
    wiring = ("_pci",)

    def __init__(self, bus: Bus) -> None:
        self._pci = bus.pci
        self.reset()
        bus.claim_ports(CONFADD, 1, _AddressPort(self))
        bus.claim_ports(CONFDATA, 4, self)

    def reset(self) -> None:
        self.address = 0

    def port_widths(self, offset: int) -> tuple[int, ...]:
        return _WIDTHS[offset]

    def read_port(self, offset: int, size: int) -> int:
        place = self._place()
        if place is None:
            return (1 << 8 * size) - 1
        return self._pci.read_config(place, (self.address & 0xFC) + offset, size)

    def write_port(self, offset: int, size: int, value: int) -> None:
        place = self._place()
        if place is not None:
            self._pci.write_config(place, (self.address & 0xFC) + offset, size, value)

    def _place(self) -> int | None:
        """Device and function on bus 0; None: no cycle, or one for a bus that there is not."""
        if not self.address & ENABLE or self.address >> 16 & 0xFF:
            return None
        return self.address >> 8 & 0xFF


class _AddressPort(PortHandlers):
    """CF8h, for doublewords."""

    def __init__(self, mechanism: ConfigMechanism1) -> None:
        self._mechanism = mechanism
        super().__init__(mechanism.name, self._read, self._write)

    def port_widths(self, offset: int) -> tuple[int, ...]:
        return (4,)

    def _read(self, offset: int, size: int) -> int:
        return self._mechanism.address

    def _write(self, offset: int, size: int, value: int) -> None:
        self._mechanism.address = value & VALID

"""Intel 82371SB (PIIX3), function 0: the ISA bridge, which leads PCI's interrupts to the 8259A.

Manual: 82371SB datasheet (290550), 3.1 and 3.2.

    60h-63h  PIRQRCA to D  7 set: PIRQ is not led anywhere   3:0 IRQ 3 to 7, 9 to 12, 14, 15
    CF9h     RC            2 from 0 to 1 resets; 1 says whether the whole board or the processor

PIRQ# is low for active and shared; the IRQ it leads to has to be a level (ELCR, devices/i8259.py).
It is up while any PIRQ that is led there is pulled. Everything else of this chip that software
sees is elsewhere: interrupt controllers, timer, DMA controllers, port 92h. Its own registers that
only time or place an ISA cycle hold what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from devices.bus import Bus
from devices.device import PortHandlers
from devices.fields import BYTE, WORD, fields
from devices.pci.function import PciFunction
from devices.pci.slots import PIRQS

PIRQRC = 0x60
NOT_ROUTED = 0x80
ROUTES = (3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15)
RC_PORT = 0xCF9
HARD, RESET_CPU = 0x02, 0x04


class Piix3(PciFunction):
    """The function. `on_reset` is told whether the reset is a hard one."""

    name = "piix3"
    vendor_id, device_id, revision = 0x8086, 0x7000, 0x00
    class_code = 0x060100
    multifunction = True
    command = 0x0007
    command_writable = 0x0008  # special cycles
    status = 0x0200
    state = fields(**PciFunction.state, reset_control=BYTE, asserted=WORD)
    wiring = (*PciFunction.wiring, "_on_reset", "_lines")

    def __init__(self, bus: Bus, on_reset: Callable[[bool], None] | None = None) -> None:
        super().__init__(bus, 1)
        self._on_reset = on_reset
        self._lines = {number: bus.shared_irq(number) for number in ROUTES}
        self.reset_control = 0
        #: IRQ lines that it holds up, as bits.
        self.asserted = 0
        self.define(0x4C, 1, 0x4D, 0x7F)  # IORT
        self.define(0x4E, 2, 0x0003, 0x01FF)  # XBCS: which chips are selected on the X-bus
        for at in range(PIRQRC, PIRQRC + PIRQS):
            self.define(at, 1, NOT_ROUTED, 0x8F)
        self.define(0x69, 1, 0x02, 0xFE)  # TOM
        self.define(0x6A, 2, 0, 0x8000, clears=0x0010)  # MSTAT
        self.define(0x70, 2, 0x8080, 0xEFEF)  # MBIRQ
        self.define(0x76, 2, 0x0C0C, 0x8F8F)  # MBDMA
        self.define(0x78, 2, 0x0002, 0xFFFF)  # PCSC
        self.define(0x80, 1, 0, 0x7F)  # APICBASE
        self.define(0x82, 1, 0, 0x0F)  # DLC
        self.define(0xA0, 1, 0x08, 0x1F)  # SMICNTL
        self.define(0xA2, 2, 0, 0x01FF)  # SMIEN
        self.define(0xA4, 4, 0, 0xFFFFFFFF)  # SEE
        self.define(0xA8, 1, 0x0F, 0xFF)  # FTMR
        self.define(0xAC, 1, 0, 0xFF)  # CTLTMR
        self.define(0xAE, 1, 0, 0xFF)  # CTHTMR
        bus.pci.on_pirq = self._route
        bus.claim_ports(RC_PORT, 1, PortHandlers(self.name, self._read_rc, self._write_rc))

    def reset(self) -> None:
        super().reset()
        self.reset_control = 0
        self._route()

    def config_written(self, first: int, end: int) -> None:
        if first < PIRQRC + PIRQS and end > PIRQRC:
            self._route()

    def _route(self) -> None:
        """Drive the lines whose level is another one now."""
        level = 0
        for number in range(PIRQS):
            route = self.config[PIRQRC + number]
            if not route & NOT_ROUTED and route in self._lines and self.bus.pci.pirq(number):
                level |= 1 << route
        changed, self.asserted = self.asserted ^ level, level
        for number, line in self._lines.items():
            if changed >> number & 1:
                line.set(bool(level >> number & 1))

    def _read_rc(self, offset: int, size: int) -> int:
        return self.reset_control

    def _write_rc(self, offset: int, size: int, value: int) -> None:
        rising = value & ~self.reset_control & RESET_CPU
        self.reset_control = value & (HARD | RESET_CPU)
        if rising and self._on_reset is not None:
            self._on_reset(bool(value & HARD))

    # Snapshots

    def contradiction(self, state: Mapping[str, Any]) -> str | None:
        if state["asserted"] & ~sum(1 << number for number in ROUTES):
            return f"asserted: {state['asserted']:#06x} has lines that it does not drive"
        return super().contradiction(state)

    def restored(self) -> None:
        """The lines get their levels back and drive no wire, as those of every chip."""
        super().restored()
        for number, line in self._lines.items():
            line.level = bool(self.asserted >> number & 1)

"""An IDE channel: two devices that share a cable, its ports and its interrupt.

Manual: ATA/ATAPI-6, 7 "Interface register definitions", 9.1 to 9.4 for resets, 9.16 for a device 0
that answers for a device 1 that is not there.

    base + 0..7    command block       (1F0 and 170)
    base + 206h    device control, written; alternate status, read

Both devices take what is written to the command block; the one that the device register selects
answers, does the commands, and drives the interrupt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from devices.bus import Bus
from devices.device import Chip, PortHandlers
from devices.fields import BYTE, LINE, PART, PARTS, fields
from devices.storage.ide_bus_master import BusMaster
from devices.storage.ide_device import COMMAND, DEV, DEVICE, IdeDevice

DATA = 0
CONTROL_OFFSET = 0x206
HOB, SRST, NIEN = 0x80, 0x04, 0x02
DIAGNOSTIC = 0x90


class IdeChannel(Chip):
    """`cable` has device 0 and device 1, None for a free plug."""

    name = "ide-channel"
    state = fields(devices=PARTS, bus_master=PART, control=BYTE, select=BYTE, line=LINE)
    wiring = ("_cable",)

    def __init__(
        self, bus: Bus, cable: Sequence[IdeDevice | None], base: int = 0x1F0, irq: int = 14
    ) -> None:
        self._cable = [*cable, None, None][:2]
        self.devices = [device for device in self._cable if device is not None]
        self.bus_master = BusMaster(bus)
        self.bus_master.on_start = self._dma_started
        self.line = bus.irq(irq)
        self.control = self.select = 0
        for device in self.devices:
            device.bus_master = self.bus_master
            device.on_intrq = self._update
        bus.claim_ports(base, 8, self)
        control = PortHandlers(self.name, self._read_alternate, self._write_control)
        bus.claim_ports(base + CONTROL_OFFSET, 1, control)

    def reset(self) -> None:
        self.control = self.select = 0
        self.bus_master.reset()
        for device in self.devices:
            device.reset()
        self._update()

    @property
    def selected(self) -> IdeDevice | None:
        """The device that DEV means, if it is there."""
        return self._cable[bool(self.select & DEV)]

    def coming_irqs(self, input_open: bool) -> Iterator[int]:
        """Its interrupt, while a device is at work."""
        if any(device.timer.live for device in self.devices):
            yield self.line.number

    # --- the command block --------------------------------------------------------------

    def port_widths(self, offset: int) -> tuple[int, ...]:
        """Data goes by words, or by two at once."""
        return (2, 4) if offset == DATA else (1,)

    def read_port(self, offset: int, size: int) -> int:
        device = self.selected
        if offset == DATA:
            return (1 << 8 * size) - 1 if device is None else device.read_data(size)
        if offset == COMMAND:
            return 0 if device is None else device.read_status()
        if offset == DEVICE:
            return self.select
        if device is None:
            device = self.devices[0] if self.devices else None
        return 0xFF if device is None else device.read(offset, bool(self.control & HOB))

    def write_port(self, offset: int, size: int, value: int) -> None:
        if offset == DATA:
            if self.selected is not None:
                self.selected.write_data(size, value)
            return
        self.control &= ~HOB
        if offset == COMMAND:
            self._command(value)
            return
        device = self.selected
        if device is not None and device.taken:
            return
        if offset == DEVICE:
            self.select = value
        for device in self.devices:
            device.write(offset, value)
        self._update()

    def read_elements(self, offset: int, size: int, count: int) -> bytes:
        """Many of the data port."""
        device = self.selected if offset == DATA else None
        return b"" if device is None else device.read_elements(size, count)

    def write_elements(self, offset: int, size: int, data: bytes) -> int:
        """The same to it."""
        device = self.selected if offset == DATA else None
        return 0 if device is None else device.write_elements(size, data)

    def _command(self, code: int) -> None:
        if code == DIAGNOSTIC:
            self._diagnose()
        elif self.selected is not None:
            self.selected.command(code)

    def _diagnose(self) -> None:
        """EXECUTE DEVICE DIAGNOSTIC: all devices, and device 0 interrupts."""
        if any(device.taken for device in self.devices):
            return
        self.select = 0
        for device in self.devices:
            device.stop()
            device.sign()
            device.intrq = True
        self._update()

    # --- device control -----------------------------------------------------------------

    def _read_alternate(self, offset: int, size: int) -> int:
        return 0 if self.selected is None else self.selected.status

    def _write_control(self, offset: int, size: int, value: int) -> None:
        was, self.control = self.control, value
        if value & ~was & SRST:
            for device in self.devices:
                device.hold()
        elif was & ~value & SRST:
            self.select = 0
            for device in self.devices:
                device.let_go()
        self._update()

    def _update(self) -> None:
        """The interrupt line, which only the selected device drives."""
        device = self.selected
        level = device is not None and device.intrq and not self.control & NIEN
        if level != self.line.level:
            self.line.set(level)
            if level:
                self.bus_master.interrupt()

    def _dma_started(self) -> None:
        if self.selected is not None:
            self.selected.dma_ready()

"""Intel 82371AB (PIIX4), function 3: power management, as ACPI and APM firmware use it.

Manual: 82371AB datasheet (290562), chapter 7; Advanced Configuration and Power Interface 1.0b, 4.7.

    40h  PMBA       where its 64 I/O ports are; 80h PMREGMISC bit 0 switches them on
    +0   PMSTS      5 GBL_STS   8 PWRBTN_STS   10 RTC_STS   0 TMROF_STS; a one clears
    +2   PMEN       the same bits: whether they raise the SCI, IRQ 9
    +4   PMCNTRL    0 SCI_EN   12:10 SUS_TYP   13 SUS_EN
    +8   PMTMR      24 bits at 3.579545 MHz, free-running; TMROF_STS each time that bit 23 changes
    B2h  APMC       the APM control port: a write is an SMI on a real board
    B3h  APMS       the status port: a byte to be remembered

Setting SUS_EN with SUS_TYP 0 is soft off, and ends the machine. The other types suspend: they are
held, and nothing happens (the firmware is told that there is S5 only).

There is no system management mode in this machine. So DEVACTB's APMC_EN (58h, bit 25) reads as set
from the start, as a board has it whose SMI handler is in place, and what that handler does for ACPI
is done here: F1h in APMC sets SCI_EN, F0h clears it. The general purpose events lie twice, in PMBA
at +0Ch and where SeaBIOS's tables say, at AFE0h; nothing on this board raises one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from devices.bus import Bus
from devices.clock import ns_of_tick, tick_at
from devices.device import PortHandlers
from devices.fields import BYTE, LINE, MOMENT, TIMER, WORD, fields, hex_bytes
from devices.pci.bars import PortBar
from devices.pci.function import COMMAND_IO, PciFunction

PM_HZ = 3_579_545
TIMER_BITS = 24
HALF_ROUND = 1 << TIMER_BITS - 1  # between two overflows
SCI = 9
PMBA, DEVACTB, PMREGMISC = 0x40, 0x58, 0x80
PMIOSE = 0x01
PM_PORTS = 64
PMSTS, PMEN, PMCNTRL, PMTMR, HELD = 0x00, 0x02, 0x04, 0x08, 0x0C
OTHER_STATUS = (*range(0x0C, 0x0E), *range(0x18, 0x1A), *range(0x1C, 0x20))  # GP, GLB, DEV
TMROF, GBL, PWRBTN, RTC = 0x0001, 0x0020, 0x0100, 0x0400
EVENTS = TMROF | GBL | PWRBTN | RTC
STATUS_BITS = EVENTS | 0x8810  # and BM_STS, PWRBTNOR_STS, RSM_STS
SCI_EN, SUS_TYP, SUS_EN = 0x0001, 0x1C00, 0x2000
SOFT_OFF = 0
CONTROL_BITS = 0x1C03  # SCI_EN, BRLD_EN_BM, SUS_TYP
APM_PORTS = 0xB2
ACPI_ENABLE, ACPI_DISABLE = 0xF1, 0xF0
APMC_EN = 1 << 25
GPE_PORTS = 0xAFE0


class Piix4Pm(PciFunction):
    """The function. `on_power_off` is called when the guest switches the machine off."""

    name = "piix4-pm"
    vendor_id, device_id, revision = 0x8086, 0x7113, 0x03
    class_code = 0x068000
    interrupt_pin = 1
    command_writable = 0x0101
    status = 0x0280
    state = fields(
        **PciFunction.state,
        pmsts=WORD,
        pmen=WORD,
        pmcntrl=WORD,
        held=hex_bytes(PM_PORTS - HELD),
        gpe_enable=WORD,
        apmc=BYTE,
        apms=BYTE,
        halves_seen=MOMENT,
        sci=LINE,
        timer=TIMER,
    )
    wiring = (*PciFunction.wiring, "_on_power_off", "_ports")

    def __init__(
        self,
        bus: Bus,
        device: int = 1,
        function: int = 3,
        on_power_off: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(bus, device, function)
        self._on_power_off = on_power_off
        self.sci = bus.shared_irq(SCI)
        self.timer = bus.timer(self._settle)
        # PMBA is a base address in everything but its place, and has a switch of its own.
        self._ports = PortBar(0, PM_PORTS, self)
        self._ports.connect(bus)
        self.define(PMBA, 4, 0x00000001, 0x0000FFC0)
        for at, mask in ((0x44, 0xFFFFFFFF), (0x48, 0xFFFFFFFF), (0x4C, 0xFFFFFFFF),
                         (0x50, 0xFFFFFFFF), (0x54, 0xFFFFFFFF), (DEVACTB, ~APMC_EN & 0xFFFFFFFF),
                         (0x5C, 0xFFFFFFFF), (0x60, 0xFFFFFFFF), (0x64, 0xFFFFFFFF),
                         (0x68, 0xFFFFFFFF), (0x6C, 0xFFFFFFFF), (0x70, 0xFFFFFFFF),
                         (0x74, 0xFFFFFFFF), (0x78, 0xFFFFFFFF), (0x7C, 0xFFFFFFFF)):  # fmt: skip
            self.define(at, 4, APMC_EN if at == DEVACTB else 0, mask)
        self.define(PMREGMISC, 1, 0, PMIOSE)
        self.define(0x90, 4, 0x00000001, 0x0000FFF0)  # SMBBA: there is no SMBus
        self.define(0xD2, 1, 0, 0x0F)  # SMBHSTCFG
        self.held = bytearray(PM_PORTS - HELD)
        self._power_on()
        bus.claim_ports(APM_PORTS, 2, PortHandlers(self.name, self._read_apm, self._write_apm))
        bus.claim_ports(GPE_PORTS, 4, PortHandlers(self.name, self._read_gpe, self._write_gpe))

    def _power_on(self) -> None:
        self.pmsts = self.pmen = self.pmcntrl = self.gpe_enable = 0
        self.held[:] = bytes(len(self.held))
        self.apmc = self.apms = 0
        self.halves_seen = self._halves()

    def reset(self) -> None:
        super().reset()
        self._power_on()
        self._place_ports()
        self._update()

    def press_power_button(self) -> None:
        """Somebody presses the button: an event, which the guest may answer by switching off."""
        self.pmsts |= PWRBTN
        self._update()

    # Where the ports are

    def config_written(self, first: int, end: int) -> None:
        self._place_ports()

    def _place_ports(self) -> None:
        on = self.config[PMREGMISC] & PMIOSE and self.config[0x04] & COMMAND_IO
        self._ports.put(self.long(PMBA) & 0xFFC0 if on else None)

    # The ports

    def port_widths(self, offset: int) -> tuple[int, ...]:
        return (1, 2, 4) if offset % 4 == 0 else (1, 2) if offset % 2 == 0 else (1,)

    def read_port(self, offset: int, size: int) -> int:
        self._settle()
        low = self.pmsts | self.pmen << 16 | self.pmcntrl << 32 | self.ticks << 64
        registers = low.to_bytes(HELD, "little") + self.held
        return int.from_bytes(registers[offset : offset + size], "little")

    def write_port(self, offset: int, size: int, value: int) -> None:
        self._settle()
        for at, byte in enumerate(value.to_bytes(size, "little"), offset):
            self._write_byte(at, byte)
        self._update()
        if offset <= PMCNTRL + 1 < offset + size:
            self._suspend(value >> 8 * (PMCNTRL + 1 - offset) << 8)

    def _write_byte(self, at: int, byte: int) -> None:
        shift = at % 2 * 8
        if at < PMEN:
            self.pmsts &= ~(byte << shift)
        elif at < PMCNTRL:
            self.pmen = (self.pmen & ~(0xFF << shift) | byte << shift) & EVENTS
        elif at < PMCNTRL + 2:
            self.pmcntrl = (self.pmcntrl & ~(0xFF << shift) | byte << shift) & CONTROL_BITS
        elif at >= HELD:
            self.held[at - HELD] = 0 if at in OTHER_STATUS else byte

    def _suspend(self, value: int) -> None:
        soft_off = value & SUS_EN and value & SUS_TYP == SOFT_OFF
        if soft_off and self._on_power_off is not None:
            self._on_power_off()

    def _read_gpe(self, offset: int, size: int) -> int:
        return self.gpe_enable >> 8 * (offset - 2) & 0xFF if offset >= 2 else 0

    def _write_gpe(self, offset: int, size: int, value: int) -> None:
        if offset >= 2:
            shift = 8 * (offset - 2)
            self.gpe_enable = self.gpe_enable & ~(0xFF << shift) | value << shift

    def _read_apm(self, offset: int, size: int) -> int:
        return self.apms if offset else self.apmc

    def _write_apm(self, offset: int, size: int, value: int) -> None:
        if offset:
            self.apms = value
            return
        self.apmc = value
        if value == ACPI_ENABLE:
            self.pmcntrl |= SCI_EN
        elif value == ACPI_DISABLE:
            self.pmcntrl &= ~SCI_EN
        self._update()

    # Time and the interrupt

    @property
    def ticks(self) -> int:
        """PMTMR."""
        return tick_at(self.bus.clock.now(), PM_HZ) & (1 << TIMER_BITS) - 1

    def _halves(self) -> int:
        return tick_at(self.bus.clock.now(), PM_HZ) // HALF_ROUND

    def _settle(self) -> None:
        """What the timer has done until now; also called when it does something."""
        halves = self._halves()
        if halves != self.halves_seen:
            self.halves_seen = halves
            self.pmsts |= TMROF
            self._update()

    def _update(self) -> None:
        level = bool(self.pmcntrl & SCI_EN and self.pmsts & self.pmen)
        if level != self.sci.level:
            self.sci.set(level)
        self.timer.cancel()
        if self.pmcntrl & SCI_EN and self.pmen & TMROF and not self.pmsts & TMROF:
            self.timer.set(ns_of_tick((self.halves_seen + 1) * HALF_ROUND, PM_HZ))

    # Snapshots

    def contradiction(self, state: Mapping[str, Any]) -> str | None:
        if len(bytes.fromhex(state["held"])) != PM_PORTS - HELD:
            return "held: too few registers"
        for name, valid in (("pmsts", STATUS_BITS), ("pmen", EVENTS), ("pmcntrl", CONTROL_BITS)):
            if state[name] & ~valid:
                return f"{name}: {state[name]:#06x} has bits that do not stick"
        return super().contradiction(state)

    def restored(self) -> None:
        super().restored()
        self._place_ports()

"""Intel 82093AA I/O APIC: 24 pins, and the message that each sends when it is up.

Manual: 82093AA datasheet (290566), chapter 3.

    FEC00000h  IOREGSEL   7:0 which register is in the window
    FEC00010h  IOWIN      the register

    00h  ID       27:24                       10h + 2n  low half of entry n of the redirection table
    01h  version  11h, and the last entry     11h + 2n  its high half: 31:24 destination
    02h  arbitration ID

    entry  7:0 vector   10:8 delivery mode   11 logical   12 delivery status   13 active low
           14 remote IRR   15 level   16 masked

An *edge* sends once, when its pin rises; while the entry is masked it is lost. A *level* sends,
sets remote IRR, and sends no more until the processor has answered with an EOI of that vector; then
again if the pin is still up. A message that no processor takes is tried again for levels only.

Pins are asserted or not: each is wired so that an asserted one is active as its entry has it, so
bit 13 is kept and changes nothing. ISA's line n is pin n, but line 0, the timer's, is pin 2; pin 0
is the 8259A's INT, for ExtINT. PCI's lines come through the PIIX3's router to ISA's, and so arrive
at their pins here, as levels: QEMU's board with this chipset does the same, and 16 to 23 are free.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from devices.apic import messages
from devices.apic.messages import EXTINT, LEVEL, LOGICAL
from devices.bus import Bus
from devices.device import Chip
from devices.fields import BYTE, fields, number, sequence

BASE, SIZE = 0xFEC00000, 0x1000
PINS = 24
VERSION_REGISTER = PINS - 1 << 16 | 0x11
SELECT, WINDOW = 0x00, 0x10
ID, VERSION, ARBITRATION, TABLE = 0x00, 0x01, 0x02, 0x10
MASKED, REMOTE_IRR = 1 << 16, 1 << 14
LOW_BITS = 0x1AFFF  # that can be written
ENTRY_BITS = 0xFF000000_0001EFFF  # all of an entry's; delivery is always done at once
EXTINT_PIN, TIMER_PIN = 0, 2
LINES = 16


class Processor(Protocol):
    """The local APIC at the other end of the bus."""

    def takes(self, destination: int, logical: bool) -> bool: ...

    def receive(self, mode: int, vector: int, level: bool) -> bool: ...

    def set_io_extint(self, level: bool) -> None: ...

    def above(self, vector: int) -> bool: ...


def pin_of(line: int) -> int:
    """Where an ISA line arrives."""
    return TIMER_PIN if line == 0 else line


class IoApic(Chip):
    """The chip. Its messages go to `processor`, the only one that there is."""

    name = "io-apic"
    state = fields(
        index=BYTE,
        apic_id=number(0, 15),
        pins=number(0, (1 << PINS) - 1),
        table=sequence(number(0, ENTRY_BITS), least=PINS, most=PINS),
    )
    wiring = ("_processor",)

    def __init__(self, bus: Bus, processor: Processor) -> None:
        self._processor = processor
        self.pins = 0
        self.reset()
        bus.claim_memory(BASE, SIZE, self)

    def reset(self) -> None:
        """All entries are masked. The pins are driven by others and stay."""
        self.index = self.apic_id = 0
        self.table = [MASKED] * PINS
        self._extint()

    # Pins

    def set_line(self, line: int, level: bool) -> None:
        """An ISA line; 2 is the other name of 9 there."""
        self.set_pin(9 if line == 2 else pin_of(line), level)

    def set_pin(self, pin: int, level: bool) -> None:
        """A pin is asserted or not."""
        if bool(self.pins >> pin & 1) == level:
            return
        self.pins ^= 1 << pin
        if pin == EXTINT_PIN:
            self._extint()
        if level:
            self._send(pin, rising=True)

    def _extint(self) -> None:
        entry = self.table[EXTINT_PIN]
        open_ = messages.mode_of(entry) == EXTINT and not entry & MASKED and self._to_us(entry)
        self._processor.set_io_extint(bool(open_ and self.pins >> EXTINT_PIN & 1))

    def _to_us(self, entry: int) -> bool:
        return self._processor.takes(entry >> 56, bool(entry & LOGICAL))

    def _send(self, pin: int, rising: bool) -> None:
        """The pin is up: say so, if it is news."""
        entry = self.table[pin]
        level = bool(entry & LEVEL)
        mode = messages.mode_of(entry)
        if entry & MASKED or entry & REMOTE_IRR or mode == EXTINT or not (rising or level):
            return
        if mode not in (messages.FIXED, messages.LOWEST_PRIORITY):
            if rising and self._to_us(entry):  # NMI and others are edges, whatever bit 15 says
                self._processor.receive(mode, 0, False)
            return
        if level:
            self.table[pin] |= REMOTE_IRR  # first: taking it may end it at once
        taken = self._to_us(entry) and self._processor.receive(mode, entry & 0xFF, level)
        if level and not taken:
            self.table[pin] &= ~REMOTE_IRR

    def retry(self) -> None:
        """Levels that nobody took may be taken now."""
        for pin in range(PINS):
            if self.pins >> pin & 1:
                self._send(pin, rising=False)
        self._extint()

    def end_of_interrupt(self, vector: int) -> None:
        """A processor has served a level with this vector."""
        for pin, entry in enumerate(self.table):
            if entry & REMOTE_IRR and entry & 0xFF == vector:
                self.table[pin] &= ~REMOTE_IRR
                if self.pins >> pin & 1:
                    self._send(pin, rising=False)

    def would_interrupt(self, line: int) -> bool:
        """Would the processor be interrupted if this ISA line rose now?"""
        entry = self.table[9 if line == 2 else pin_of(line)]
        ordinary = messages.mode_of(entry) in (messages.FIXED, messages.LOWEST_PRIORITY)
        if entry & MASKED or entry & REMOTE_IRR or not self._to_us(entry):
            return False
        return messages.mode_of(entry) == messages.NMI or (
            ordinary and self._processor.above(entry & 0xFF)
        )

    # Registers

    def read_memory(self, offset: int, size: int) -> int:
        """Doublewords; what is narrower reads a part of them."""
        register = offset & ~3 & 0xFF
        if offset >> 2 != offset + size - 1 >> 2:  # over the end of one
            return sum(self.read_memory(offset + i, 1) << 8 * i for i in range(size))
        value = self.index if register == SELECT else 0
        if register == WINDOW:
            value = self._read(self.index)
        return value >> 8 * (offset & 3) & (1 << 8 * size) - 1

    def write_memory(self, offset: int, size: int, value: int) -> None:
        """IOREGSEL by its lowest byte, IOWIN as a doubleword."""
        if offset & 0xFF == SELECT:
            self.index = value & 0xFF
        elif offset & 0xFF == WINDOW and size == 4:
            self._write(self.index, value)

    def _read(self, index: int) -> int:
        if index in (ID, ARBITRATION):
            return self.apic_id << 24
        if index == VERSION:
            return VERSION_REGISTER
        if TABLE <= index < TABLE + 2 * PINS:
            return self.table[index - TABLE >> 1] >> 32 * (index & 1) & 0xFFFFFFFF
        return 0

    def _write(self, index: int, value: int) -> None:
        if index == ID:
            self.apic_id = value >> 24 & 0x0F
        elif TABLE <= index < TABLE + 2 * PINS:
            self._write_entry(index - TABLE >> 1, bool(index & 1), value)

    def _write_entry(self, pin: int, high: bool, value: int) -> None:
        entry = self.table[pin]
        if high:
            entry = entry & 0xFFFFFFFF | (value & 0xFF000000) << 32
        else:
            entry = entry & ~LOW_BITS & ENTRY_BITS | value & LOW_BITS
            if not entry & LEVEL:
                entry &= ~REMOTE_IRR  # an edge has none
        self.table[pin] = entry
        if pin == EXTINT_PIN:
            self._extint()
        if self.pins >> pin & 1:
            self._send(pin, rising=False)

    # Snapshots

    def contradiction(self, state: Mapping[str, Any]) -> str | None:
        if any(entry & ~ENTRY_BITS for entry in state["table"]):
            return "table: bits that do not stick"
        return None

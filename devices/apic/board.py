"""Both APICs on a board that has 8259As, and all three wired to the processor's one INTR pin.

    lines of the bus ------+----> 8259A pair ---INT---+----> LINT0, local APIC ----> INTR
                           |                          |
                           +----> I/O APIC, pin n     +----> I/O APIC, pin 0 (ExtINT)

`Apics.acknowledge` and `would_interrupt` answer for all, as an 8259A pair does on a board without.
"""

from __future__ import annotations

from collections.abc import Callable

from devices.apic.io_apic import IoApic
from devices.apic.local_apic import LocalApic
from devices.bus import Bus
from devices.i8259 import I8259Pair


class Apics:
    """`on_nmi` is the processor's NMI, `family` what CPUID says of it."""

    def __init__(
        self, bus: Bus, pic: I8259Pair, on_nmi: Callable[[], None], family: int = 6
    ) -> None:
        self._pic = pic
        self.local = LocalApic(bus, pic.acknowledge, on_nmi, family)
        self.io = IoApic(bus, self.local)
        self.local.on_eoi = self.io.end_of_interrupt
        self.local.on_change = self.io.retry
        self.acknowledge = self.local.acknowledge
        pic.output = self._int_pin
        self._int_pin(pic.master.int_pin)
        bus.connect_interrupt_controller(self._line)

    def _int_pin(self, level: bool) -> None:
        self.local.set_pin(0, level)
        self.io.set_pin(0, level)

    def _line(self, line: int, level: bool) -> None:
        self._pic.set_line(line, level)
        self.io.set_line(line, level)

    def would_interrupt(self, line: int) -> bool:
        """Would the processor be interrupted if this line rose now?"""
        by_pic = self.local.int_pin_interrupts() and self._pic.would_interrupt(line)
        return by_pic or self.io.would_interrupt(line)

    def timer_comes(self) -> bool:
        """Will the local APIC's timer interrupt it?"""
        return self.local.timer_comes()

"""A board with both APICs, and words for their registers."""

from __future__ import annotations

from typing import Any

from devices.apic.board import Apics
from devices.apic.io_apic import BASE as IO_BASE
from devices.bus import Bus
from devices.clock import ManualClock
from devices.named import NamedDevices
from devices.pc import build_pc

LOCAL = 0xFEE00000
ID, VERSION, TPR, APR, PPR, EOI, LDR, DFR, SVR = (
    0x20, 0x30, 0x80, 0x90, 0xA0, 0xB0, 0xD0, 0xE0, 0xF0)  # fmt: skip
ISR, TMR, IRR, ESR, ICR, ICR_HIGH = 0x100, 0x180, 0x200, 0x280, 0x300, 0x310
LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR = range(0x320, 0x380, 0x10)
INITIAL, CURRENT, DIVIDE = 0x380, 0x390, 0x3E0
MASKED, PERIODIC, LEVEL = 0x10000, 0x20000, 0x8000
SELF, ALL, OTHERS = 0x40000, 0x80000, 0xC0000


class ApicBoard:
    """A PC's chips with both APICs, in a time that the test moves."""

    def __init__(self, family: int = 6, on: bool = True) -> None:
        self.clock = ManualClock()
        self.bus = Bus(self.clock)
        self.pc = build_pc(self.bus)
        self.nmis = 0
        self.apics = Apics(self.bus, self.pc.pic, self._nmi, family)
        self.local, self.io = self.apics.local, self.apics.io
        self.devices: NamedDevices = self.pc.named()
        self.devices.add("local-apic", self.local)
        self.devices.add("io-apic", self.io)
        self.acknowledge = self.apics.acknowledge
        if on:
            self.write(SVR, 0x1FF)

    def _nmi(self) -> None:
        self.nmis += 1

    def read(self, register: int, size: int = 4) -> int:
        return self.bus.read_memory(LOCAL + register, size)

    def write(self, register: int, value: int, size: int = 4) -> None:
        self.bus.write_memory(LOCAL + register, size, value)

    def io_read(self, index: int) -> int:
        self.bus.write_memory(IO_BASE, 4, index)
        return self.bus.read_memory(IO_BASE + 0x10, 4)

    def io_write(self, index: int, value: int) -> None:
        self.bus.write_memory(IO_BASE, 4, index)
        self.bus.write_memory(IO_BASE + 0x10, 4, value)

    def route(self, pin: int, low: int, destination: int = 0) -> None:
        """An entry of the redirection table."""
        self.io_write(0x11 + 2 * pin, destination << 24)
        self.io_write(0x10 + 2 * pin, low)

    def vectors(self, first: int) -> list[int]:
        """Which bits are set in ISR, TMR or IRR."""
        words = [self.read(first + 0x10 * i) for i in range(8)]
        found = sum(word << 32 * i for i, word in enumerate(words))
        return [vector for vector in range(256) if found >> vector & 1]

    def ipi(self, vector: int, to: int = SELF, more: int = 0) -> None:
        self.write(ICR, vector | to | more)

    def take(self) -> int:
        """INTA and EOI."""
        vector = self.acknowledge()
        self.write(EOI, 0)
        return vector

    def advance(self, nanoseconds: int) -> None:
        end = self.clock.time + nanoseconds
        while (due := self.bus.next_deadline()) is not None and due <= end:
            self.clock.time = max(self.clock.time, due)
            self.bus.run_due()
        self.clock.time = end

    def init_pics(self, mask: int = 0) -> None:
        """Vectors 30h and 38h."""
        for port, values in ((0x20, (0x11,)), (0x21, (0x30, 4, 1, mask)), (0xA0, (0x11,)),
                             (0xA1, (0x38, 2, 1, 0xFF))):  # fmt: skip
            for value in values:
                self.bus.write_port(port, 1, value)

    def line(self, number: int) -> Any:
        return self.bus.irq(number)

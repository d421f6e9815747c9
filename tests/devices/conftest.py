"""A board to plug chips into, with a clock that the test moves."""

from __future__ import annotations

from typing import Any

import pytest

from devices.bus import Bus
from devices.clock import ManualClock
from devices.pc import build_pc


class Board:
    """A whole PC, and what came out of it."""

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock()
        self.bus = Bus(self.clock)
        self.resets = 0
        self.a20: list[bool] = []
        self.exits: list[int] = []
        self.serial = bytearray()
        self.debug = bytearray()
        self.pc = build_pc(
            self.bus,
            on_reset=self._reset,
            on_a20=self.a20.append,
            on_exit=self.exits.append,
            on_serial=self.serial.extend,
            on_debug=self.debug.extend,
            **options,
        )
        self.devices = self.pc.named()
        self.snapshot = self.devices.snapshot
        self.restore = self.devices.restore

    def can_interrupt(self, input_open: bool) -> bool:
        coming = self.devices.coming_irqs(input_open)
        return any(map(self.pc.pic.would_interrupt, coming))

    def _reset(self) -> None:
        self.resets += 1

    def inb(self, port: int) -> int:
        return self.bus.read_port(port, 1)

    def outb(self, port: int, *values: int) -> None:
        for value in values:
            self.bus.write_port(port, 1, value)

    def advance(self, nanoseconds: int) -> None:
        """Let time pass as a machine does: from deadline to deadline."""
        end = self.clock.time + nanoseconds
        while (due := self.bus.next_deadline()) is not None and due <= end:
            self.clock.time = max(self.clock.time, due)
            self.bus.run_due()
        self.clock.time = end

    def init_pics(self, master_mask: int = 0, slave_mask: int = 0) -> None:
        """As Linux does: vectors 0x30 and 0x38, normal EOI."""
        self.outb(0x20, 0x11)
        self.outb(0x21, 0x30, 0x04, 0x01)
        self.outb(0xA0, 0x11)
        self.outb(0xA1, 0x38, 0x02, 0x01)
        self.outb(0x21, master_mask)
        self.outb(0xA1, slave_mask)

    def take(self) -> int:
        """Take one interrupt: the vector, with the EOI that a handler sends."""
        vector = self.pc.pic.acknowledge()
        if vector >= 0x38:
            self.outb(0xA0, 0x20)
        self.outb(0x20, 0x20)
        return vector


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def make_board() -> type[Board]:
    return Board

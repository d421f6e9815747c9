"""System control port B, port 0x61: the speaker's gate and a window on the timer.

Manual: IBM PC/AT Technical Reference, "I/O ports"; 82371SB (PIIX3) datasheet, "NMI status and
control register".

    bit 0  GATE2, starts counter 2       bit 4  toggles with every memory refresh request
    bit 1  speaker data                  bit 5  OUT2
    bit 2, 3  NMI enables, read back     bit 6, 7  NMI sources, none here

Guests calibrate delay loops by polling bit 5 or bit 4, so reading it is a hot path.
"""

from __future__ import annotations

from collections.abc import Callable

from devices.bus import Bus
from devices.device import Chip
from devices.fields import fields, number
from devices.i8254 import I8254

GATE2 = 0x01
WRITABLE = 0x0F
REFRESH = 0x10
OUT2 = 0x20
# Counter 1 is programmed to 18 by every PC's firmware: a refresh each 15.085 us.
REFRESH_TICKS = 18


class Port61(Chip):
    """The port, beside the timer whose counter 2 it gates."""

    name = "port61"
    state = fields(control=number(0, WRITABLE))
    wiring = ("_pit", "before_write")

    def __init__(self, bus: Bus, pit: I8254) -> None:
        self._pit = pit
        #: Told when the port is about to change: whoever hears it.
        self.before_write: Callable[[], None] = _nothing
        self.reset()
        bus.claim_ports(0x61, 1, self)

    def reset(self) -> None:
        self.before_write()
        self.control = 0
        self._pit.set_gate2(False)

    def read_port(self, offset: int, size: int) -> int:
        value = self.control
        if self._pit.out2():
            value |= OUT2
        if self._pit.tick() // REFRESH_TICKS & 1:
            value |= REFRESH
        return value

    def write_port(self, offset: int, size: int, value: int) -> None:
        self.before_write()
        self.control = value & WRITABLE
        self._pit.set_gate2(bool(value & GATE2))


def _nothing() -> None:
    """Nobody hears it."""

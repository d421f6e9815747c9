"""System control port A, port 0x92: fast A20 and fast reset.

Manual: IBM PS/2 Technical Reference, "System control port A"; 82371SB (PIIX3) datasheet,
"Port 92 register".

    bit 0  a change from 0 to 1 resets the processor
    bit 1  A20: the gate that the keyboard controller has a hand on, too (a20.py)
"""

from __future__ import annotations

from collections.abc import Callable

from devices.a20 import A20
from devices.bus import Bus
from devices.device import Chip
from devices.fields import BYTE, fields

FAST_RESET = 0x01
FAST_A20 = 0x02


class Port92(Chip):
    """The port. `on_reset` is called for a fast reset."""

    name = "port92"
    state = fields(value=BYTE)
    wiring = ("_a20", "_on_reset")

    def __init__(self, bus: Bus, a20: A20, on_reset: Callable[[], None] | None = None) -> None:
        self._a20 = a20
        self._on_reset = on_reset
        self.reset()
        bus.claim_ports(0x92, 1, self)

    def reset(self) -> None:
        self.value = 0

    def read_port(self, offset: int, size: int) -> int:
        return self.value & ~FAST_A20 | (FAST_A20 if self._a20.enabled else 0)

    def write_port(self, offset: int, size: int, value: int) -> None:
        rising_reset = value & ~self.value & FAST_RESET
        self.value = value
        self._a20.set(bool(value & FAST_A20))
        if rising_reset and self._on_reset is not None:
            self._on_reset()

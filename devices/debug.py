"""Ports that guests use to speak to whoever develops them.

0xf4  debug exit: writing a code ends the run with status (code << 1) | 1, so never with 0
0xe9  debug console: bytes out; reads 0xe9, which is how a guest finds it
0x402 the same for firmware: SeaBIOS tells there what it finds
0x80  the POST code display, and the port that guests write to pass a microsecond
"""

from __future__ import annotations

from collections.abc import Callable

from devices.bus import Bus
from devices.device import Chip
from devices.fields import BYTE, fields


class DebugExit(Chip):
    """``on_exit`` gets the exit status, not the code."""

    name = "debug-exit"
    wiring = ("_on_exit",)

    def __init__(
        self, bus: Bus, on_exit: Callable[[int], None] | None = None, base: int = 0xF4
    ) -> None:
        self._on_exit = on_exit
        bus.claim_ports(base, 4, self)

    def reset(self) -> None:
        """Nothing is remembered."""

    def port_widths(self, offset: int) -> tuple[int, ...]:
        return (1, 2, 4) if offset == 0 else (1,)

    def read_port(self, offset: int, size: int) -> int:
        return (1 << 8 * size) - 1

    def write_port(self, offset: int, size: int, value: int) -> None:
        if offset == 0 and self._on_exit is not None:
            self._on_exit(value << 1 | 1)


class DebugConsole(Chip):
    """``on_output`` gets each byte."""

    name = "debug-console"
    wiring = ("_on_output",)
    PRESENT = 0xE9
    PORT = 0xE9

    def __init__(self, bus: Bus, on_output: Callable[[bytes], None] | None = None) -> None:
        self._on_output = on_output
        bus.claim_ports(self.PORT, 1, self)

    def reset(self) -> None:
        """Nothing is remembered."""

    def read_port(self, offset: int, size: int) -> int:
        return self.PRESENT

    def write_port(self, offset: int, size: int, value: int) -> None:
        if self._on_output is not None:
            self._on_output(bytes((value,)))


class FirmwareLog(DebugConsole):
    """The same, at a port of its own."""

    name = "firmware-log"
    PORT = 0x402


class PostPort(Chip):
    """``code`` is what was written last."""

    name = "post-port"
    state = fields(code=BYTE)

    def __init__(self, bus: Bus) -> None:
        self.reset()
        bus.claim_ports(0x80, 1, self)

    def reset(self) -> None:
        self.code = 0

    def read_port(self, offset: int, size: int) -> int:
        return self.code

    def write_port(self, offset: int, size: int, value: int) -> None:
        self.code = value

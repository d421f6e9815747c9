"""A PC's parallel port (LPT1) in the standard mode, with a printer on its cable.

Manual: IBM PC/AT Technical Reference, "Parallel printer adapter"; Centronics' handshake as IEEE
1284-1994 describes it as "compatibility mode".

    base + 0  data        what was written, or FF while bit 5 of the control register reads
    base + 1  status      7 /BUSY   6 /ACK   5 paper end   4 selected   3 /ERROR   2 to 0: ones
    base + 2  control     5 direction   4 interrupt   3 SELECT IN   2 /INIT   1 AUTOFEED   0 STROBE

A byte is the printer's when STROBE is pulled. It is busy with it for ``BUSY_NS``, then acknowledges
for ``ACK_NS``; the end of that is IRQ7's edge. A strobe meanwhile is lost, as its byte is on paper.
"""

from __future__ import annotations

from collections.abc import Callable

from devices.bus import Bus
from devices.device import Chip
from devices.fields import BYTE, LINE, TIMER, choice, fields, number

BUSY_NS, ACK_NS = 10_000, 5_000

NOT_BUSY, NOT_ACK, PAPER_END, SELECTED, NOT_ERROR, UNUSED = 0x80, 0x40, 0x20, 0x10, 0x08, 0x07
STROBE, AUTOFEED, NOT_INIT, SELECT_IN, INTERRUPT, READS = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
CONTROL_UNUSED = 0xC0
READY, BUSY, ACKNOWLEDGING = "ready", "busy", "acknowledging"


class ParallelPort(Chip):
    """At three ports from `base` on; `on_print` gets what the printer does."""

    name = "parallel"
    state = fields(
        data=BYTE,
        control=number(0, 0x3F),
        phase=choice((READY, BUSY, ACKNOWLEDGING)),
        line=LINE,
        timer=TIMER,
    )
    wiring = ("_bus", "_on_print")

    def __init__(
        self, bus: Bus, on_print: Callable[[bytes], None], base: int = 0x378, irq: int = 7
    ) -> None:
        self._bus = bus
        self._on_print = on_print
        self.line = bus.irq(irq)
        self.timer = bus.timer(self._next_phase)
        self.reset()
        bus.claim_ports(base, 3, self)

    def reset(self) -> None:
        self.data = 0
        self.control = NOT_INIT | SELECT_IN
        self._idle()

    def _idle(self) -> None:
        self.phase = READY
        self.timer.cancel()
        if self.line.level:
            self.line.lower()

    def read_port(self, offset: int, size: int) -> int:
        if offset == 0:
            return 0xFF if self.control & READS else self.data
        if offset == 1:
            return self._status()
        return self.control | CONTROL_UNUSED

    def _status(self) -> int:
        status = NOT_ERROR | SELECTED | UNUSED
        if self.phase == READY and self.control & NOT_INIT:
            status |= NOT_BUSY
        if self.phase != ACKNOWLEDGING:
            status |= NOT_ACK
        return status

    def write_port(self, offset: int, size: int, value: int) -> None:
        if offset == 0:
            self.data = value
        elif offset == 2:
            self._write_control(value & 0x3F)

    def _write_control(self, value: int) -> None:
        before, self.control = self.control, value
        if not value & INTERRUPT and self.line.level:
            self.line.lower()
        if not value & NOT_INIT:
            self._idle()
        elif value & STROBE and not before & STROBE and self.phase == READY:
            self._take()

    def _take(self) -> None:
        self.phase = BUSY
        self.timer.set(self._bus.clock.now() + BUSY_NS)
        if not self.control & READS:
            self._on_print(bytes((self.data,)))

    def _next_phase(self) -> None:
        if self.phase == BUSY:
            self.phase = ACKNOWLEDGING
            self.timer.set(self._bus.clock.now() + ACK_NS)
            return
        self.phase = READY
        if self.control & INTERRUPT:
            self.line.pulse()

"""National Semiconductor PC16550D Universal Asynchronous Receiver/Transmitter with FIFOs.

Manual: PC16550D datasheet, section 8 "Registers" and 8.6.1 "FIFO interrupt mode operation".

The line is faster than any guest: a byte is gone the moment it is written, so a guest that never
looks at the line status loses nothing. Input waits with the host and moves into the receiver as
the guest makes room, so the host cannot overrun it either; only loopback can. The single thing
that takes its time is the receive timeout (four characters of silence at the programmed rate).

Interrupts, highest priority first, and what takes each away:

    IIR 0x06  line status   reading LSR         IIR 0x02  THR empty   reading IIR, writing THR
    IIR 0x04  data          fewer than trigger  IIR 0x00  modem       reading MSR
    IIR 0x0c  timeout       reading RBR
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from devices.bus import Bus
from devices.clock import NS_PER_SECOND
from devices.device import Chip
from devices.fields import (
    BYTE,
    FLAG,
    LINE,
    MOMENT,
    TIMER,
    WORD,
    choice,
    fields,
    hex_bytes,
    number,
    sequence,
)

UART_HZ = 1843200
FIFO_SIZE = 16
TRIGGERS = (1, 4, 8, 14)

IER_RDA, IER_THRE, IER_RLS, IER_MSR = 0x01, 0x02, 0x04, 0x08
IIR_NONE, IIR_RLS, IIR_RDA, IIR_TIMEOUT, IIR_THRE, IIR_MSR = 0x01, 0x06, 0x04, 0x0C, 0x02, 0x00
IIR_FIFOS = 0xC0
FCR_ENABLE, FCR_CLEAR_RX = 0x01, 0x02
LCR_DLAB = 0x80
MCR_DTR, MCR_RTS, MCR_OUT1, MCR_OUT2, MCR_LOOP = 0x01, 0x02, 0x04, 0x08, 0x10
LSR_DR, LSR_OE, LSR_THRE, LSR_TEMT = 0x01, 0x02, 0x20, 0x40
MSR_CTS, MSR_DSR, MSR_RI, MSR_DCD = 0x10, 0x20, 0x40, 0x80

# The other end of the cable is always there and always ready.
CABLE = MSR_CTS | MSR_DSR | MSR_DCD


def _discard(_data: bytes) -> None:
    """A port with nothing plugged in."""


class Uart16550(Chip):
    """One port, at eight I/O ports from `base` on; `on_transmit` gets what the guest sends."""

    name = "uart16550"
    state = fields(
        ier=number(0, 0x0F),
        fifo_enabled=FLAG,
        trigger=choice(TRIGGERS),
        lcr=BYTE,
        mcr=number(0, 0x1F),
        overrun=FLAG,
        msr=BYTE,
        scratch=BYTE,
        divisor=WORD,
        receiver=sequence(BYTE, most=FIFO_SIZE),
        waiting=hex_bytes(),
        thre_pending=FLAG,
        timeout_pending=FLAG,
        last_activity=MOMENT,
        line=LINE,
        timer=TIMER,
    )
    wiring = ("_bus", "_on_transmit", "_reads", "_writes")

    def __init__(
        self,
        bus: Bus,
        base: int = 0x3F8,
        irq: int = 4,
        on_transmit: Callable[[bytes], None] | None = None,
    ) -> None:
        self._bus = bus
        self.line = bus.irq(irq)
        self._on_transmit = on_transmit if on_transmit is not None else _discard
        self.timer = bus.timer(self._timed_out)
        self.waiting = bytearray()  # typed by the host, not yet in the receiver
        self.divisor = 12
        self.scratch = 0
        self._reads = (
            self._read_rbr,
            self._read_ier,
            self._read_iir,
            lambda: self.lcr,
            lambda: self.mcr,
            self._read_lsr,
            self._read_msr,
            lambda: self.scratch,
        )
        self._writes = (
            self._write_thr,
            self._write_ier,
            self._write_fcr,
            self._write_lcr,
            self._write_mcr,
            self._write_nothing,
            self._write_nothing,
            self._write_scratch,
        )
        self.reset()
        bus.claim_ports(base, 8, self)

    def reset(self) -> None:
        """Master reset. The divisor and the scratch register survive it, and so does the host."""
        self.ier = self.lcr = self.mcr = 0
        self.fifo_enabled = False
        self.trigger = 1
        self.overrun = False
        self.msr = CABLE
        self.receiver: deque[int] = deque()
        self.thre_pending = False
        self.timeout_pending = False
        self.last_activity = 0
        self._received()

    # The host's side

    def receive(self, data: bytes) -> None:
        """Bytes for the guest to read, in its own time."""
        self.waiting += data
        self._received()

    # The processor's side

    def read_port(self, offset: int, size: int) -> int:
        return self._reads[offset]()

    def write_port(self, offset: int, size: int, value: int) -> None:
        self._writes[offset](value)

    def _read_rbr(self) -> int:
        if self.lcr & LCR_DLAB:
            return self.divisor & 0xFF
        value = self.receiver.popleft() if self.receiver else 0
        self.timeout_pending = False
        self.last_activity = self._bus.clock.now()
        if self.line.level:
            # On a real line the next character arrives later, with an edge of its own. Here it
            # may be in the FIFO already: make the edge, for handlers that read one per interrupt.
            self.line.lower()
        self._received()
        return value

    def _read_ier(self) -> int:
        return self.divisor >> 8 if self.lcr & LCR_DLAB else self.ier

    def _read_iir(self) -> int:
        cause = self._cause()
        if cause == IIR_THRE:
            self.thre_pending = False
            self._update_irq()
        return cause | (IIR_FIFOS if self.fifo_enabled else 0)

    def _read_lsr(self) -> int:
        status = LSR_THRE | LSR_TEMT
        if self.receiver:
            status |= LSR_DR
        if self.overrun:
            status |= LSR_OE
            self.overrun = False
            self._update_irq()
        return status

    def _read_msr(self) -> int:
        value = self.msr
        self.msr &= 0xF0
        self._update_irq()
        return value

    def _write_thr(self, value: int) -> None:
        if self.lcr & LCR_DLAB:
            self.divisor = self.divisor & 0xFF00 | value
            return
        # THR is full and empty again in no time, which is an edge on the interrupt line.
        if self.thre_pending:
            self.thre_pending = False
            self._update_irq()
        if self.mcr & MCR_LOOP:
            self._loop_back(value)
        else:
            self._on_transmit(bytes((value,)))
        self.thre_pending = True
        self._update_irq()

    def _write_ier(self, value: int) -> None:
        if self.lcr & LCR_DLAB:
            self.divisor = self.divisor & 0xFF | value << 8
            return
        if value & IER_THRE and not self.ier & IER_THRE:
            self.thre_pending = True  # THR is empty, and enabling this says so
        self.ier = value & 0x0F
        self._update_timeout()
        self._update_irq()

    def _write_fcr(self, value: int) -> None:
        enable = bool(value & FCR_ENABLE)
        if enable != self.fifo_enabled or (enable and value & FCR_CLEAR_RX):
            self.receiver.clear()
            self.timeout_pending = False
        self.fifo_enabled = enable
        if enable:
            self.trigger = TRIGGERS[value >> 6]
        self._received()

    def _write_lcr(self, value: int) -> None:
        self.lcr = value

    def _write_mcr(self, value: int) -> None:
        self.mcr = value & 0x1F
        self._set_modem_lines(self._modem_lines())
        self._received()

    def _write_scratch(self, value: int) -> None:
        self.scratch = value

    def _write_nothing(self, value: int) -> None:
        """LSR and MSR are only written in the factory."""

    # The modem's side

    def _modem_lines(self) -> int:
        mcr = self.mcr
        if not mcr & MCR_LOOP:
            return CABLE
        return (
            (MSR_CTS if mcr & MCR_RTS else 0)
            | (MSR_DSR if mcr & MCR_DTR else 0)
            | (MSR_RI if mcr & MCR_OUT1 else 0)
            | (MSR_DCD if mcr & MCR_OUT2 else 0)
        )

    def _set_modem_lines(self, lines: int) -> None:
        """Note the changes of CTS, DSR and DCD, and the trailing edge of RI."""
        changed = (self.msr ^ lines) & ~MSR_RI | (self.msr & ~lines & MSR_RI)
        self.msr = self.msr & 0x0F | lines | changed >> 4

    # The receiver

    def _capacity(self) -> int:
        return FIFO_SIZE if self.fifo_enabled else 1

    def _loop_back(self, value: int) -> None:
        if len(self.receiver) < self._capacity():
            self.receiver.append(value)
        else:
            self.overrun = True  # the FIFO keeps what it has; without it the new byte wins
            if not self.fifo_enabled:
                self.receiver[0] = value
        self.last_activity = self._bus.clock.now()
        self._received()

    def _received(self) -> None:
        """Take what the host has while there is room, and see what that means."""
        if self.waiting and not self.mcr & MCR_LOOP:
            room = self._capacity() - len(self.receiver)
            if room > 0:
                self.receiver.extend(self.waiting[:room])
                del self.waiting[:room]
                self.last_activity = self._bus.clock.now()
        self._update_timeout()
        self._update_irq()

    def character_ns(self) -> int:
        """How long one character takes on the line, as programmed."""
        data = 5 + (self.lcr & 3)
        bits = 1 + data + (self.lcr >> 3 & 1) + 1 + (self.lcr >> 2 & 1)
        return bits * 16 * (self.divisor or 0x10000) * NS_PER_SECOND // UART_HZ

    def _update_timeout(self) -> None:
        """Characters below the trigger level interrupt after four characters of silence."""
        self.timer.cancel()
        if not self._timeout_possible() or self.timeout_pending:
            return
        deadline = self.last_activity + 4 * self.character_ns()
        if deadline <= self._bus.clock.now():
            self.timeout_pending = True
        else:
            self.timer.set(deadline)

    def _timeout_possible(self) -> bool:
        if not self.fifo_enabled or not self.ier & IER_RDA:
            return False
        return 0 < len(self.receiver) < self.trigger

    def _timed_out(self) -> None:
        self.timeout_pending = True
        self._update_irq()

    # Interrupts

    def _cause(self) -> int:
        """The IIR code of the most urgent enabled interrupt."""
        ier = self.ier
        if ier & IER_RLS and self.overrun:
            return IIR_RLS
        if ier & IER_RDA and self.receiver:
            if not self.fifo_enabled or len(self.receiver) >= self.trigger:
                return IIR_RDA
            if self.timeout_pending:
                return IIR_TIMEOUT
        if ier & IER_THRE and self.thre_pending:
            return IIR_THRE
        if ier & IER_MSR and self.msr & 0x0F:
            return IIR_MSR
        return IIR_NONE

    def coming_irqs(self, input_open: bool) -> Iterator[int]:
        """Input interrupts if the guest asked for that, and if the line is not up already."""
        if not self._connected() or self.line.level or not self.ier & IER_RDA:
            return
        if self.timer.live or input_open:
            yield self.line.number

    def _connected(self) -> bool:
        """OUT2 connects the interrupt to the bus; in loopback the pin is off."""
        return self.mcr & (MCR_OUT2 | MCR_LOOP) == MCR_OUT2

    def _update_irq(self) -> None:
        level = self._connected() and self._cause() != IIR_NONE
        if level != self.line.level:
            self.line.set(level)

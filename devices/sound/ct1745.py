"""Creative CT1745: the mixer of a Sound Blaster 16, and its interrupt and DMA setup.

Manual: Sound Blaster Series Hardware Programming Guide, chapter 4 "Mixer chips".

    30 31  master      5 bits at the top, 2 dB a step: 31 is 0 dB, 24 after a reset is -14 dB
    32 33  voice       34 35  MIDI (the FM)     36-3A  CD, line, microphone     3B  PC speaker
    3C-3E  switches    3F 40  input gain        41 42  output gain, 6 dB a step
    43     AGC         44-47  treble and bass
    80 81  interrupt line and DMA channels; 82  who interrupts: 1 8 bits, 2 16 bits, 4 MPU-401
    04 0A 22 26 28 2E  the same volumes as a Sound Blaster Pro has them, 4 bits each (0A 3 bits)
    0E     bit 1: stereo, for the Sound Blaster Pro's way to play

Of these the digital voice, the FM, the master and the output gain are heard. Nothing comes in, so
what is about inputs is kept only; so are treble, bass and the PC speaker's volume: the speaker has
a cone of its own here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from devices.bus import Bus
from devices.device import Chip
from devices.fields import BYTE, LINE, fields, hex_bytes, number

RESET, STEREO, IRQ_SETUP, DMA_SETUP, IRQ_STATUS = 0x00, 0x0E, 0x80, 0x81, 0x82
MASTER, VOICE, MIDI, CD, LINE_IN, MIC, OUTPUT_GAIN = 0x30, 0x32, 0x34, 0x36, 0x38, 0x3A, 0x41
STEREO_BIT = 0x02
#: Register of a Sound Blaster Pro, and the left one of the pair that it stands for.
PRO = {0x04: VOICE, 0x22: MASTER, 0x26: MIDI, 0x28: CD, 0x2E: LINE_IN}
PRO_MIC = 0x0A
#: Writable bits by register, and what a reset leaves in it.
FIVE = dict.fromkeys(range(0x30, 0x3B), 0xF8)
TWO = dict.fromkeys((0x3B, 0x3F, 0x40, 0x41, 0x42), 0xC0)
FOUR = dict.fromkeys(range(0x44, 0x48), 0xF0)
BITS = {**FIVE, **TWO, **FOUR, 0x0C: 0xFF, STEREO: 0xFF, 0x3C: 0x1F, 0x3D: 0x7F, 0x3E: 0x7F,
        0x43: 0x01, IRQ_SETUP: 0x0F, DMA_SETUP: 0xEB}  # fmt: skip
DEFAULTS = {**dict.fromkeys(range(MASTER, CD), 0xC0), **dict.fromkeys(range(0x44, 0x48), 0x80),
            0x3C: 0x1F, 0x3D: 0x15, 0x3E: 0x0B}  # fmt: skip
IRQS = (2, 5, 7, 10)  # by bit of the setup
LOW_DMA, HIGH_DMA = (0, 1, 3), (5, 6, 7)
UNIT = 1 << 16
EIGHT, SIXTEEN, MPU = 1, 2, 4  # who interrupts
FLOATING = 0x20  # of the status register: reads so on every CT1745 of DSP 4.05

LEVELS = tuple(round(UNIT * 10 ** (-(31 - step) * 2 / 20)) for step in range(32))
Volume = tuple[int, int]


class Ct1745(Chip):
    """The mixer. `before_change` is called when something is about to sound different."""

    name = "ct1745"
    state = fields(
        address=BYTE,
        registers=hex_bytes(256),
        pending=number(0, 7),
        line2=LINE,
        line5=LINE,
        line7=LINE,
        line10=LINE,
    )
    wiring = ("_irq", "_dma", "before_change", "changed")

    def __init__(self, bus: Bus, irq: int = 5, low_dma: int = 1, high_dma: int = 5) -> None:
        self._irq = 1 << IRQS.index(irq)
        self._dma = 1 << low_dma | 1 << high_dma
        self.before_change: Callable[[], None] = _nothing
        self.changed: Callable[[], None] = _nothing
        self.line2, self.line5, self.line7, self.line10 = map(bus.irq, IRQS)
        self.registers = bytearray(256)
        self.pending = 0
        self.reset()

    def reset(self) -> None:
        """The RESET pin, and what the jumpers or the card's EEPROM say."""
        self.pending = 0
        self._drive()
        self.address = 0
        self._defaults()
        self.registers[IRQ_SETUP], self.registers[DMA_SETUP] = self._irq, self._dma

    def _defaults(self) -> None:
        self.before_change()
        for register in BITS:
            if register < IRQ_SETUP:
                self.registers[register] = DEFAULTS.get(register, 0)
        self.changed()

    def contradiction(self, state: object) -> str | None:
        """All registers are there."""
        assert isinstance(state, dict)
        size = len(state["registers"]) // 2
        return None if size == 256 else f"{size} registers are not 256"

    def coming_irqs(self, input_open: bool) -> Iterator[int]:
        """None of its own: the card's other parts know."""
        return iter(())

    # --- registers ----------------------------------------------------------------------

    def read(self) -> int:
        """IN from the data port."""
        register = self.address
        if register in PRO:
            left = PRO[register]
            return self.registers[left] & 0xF0 | self.registers[left + 1] >> 4
        if register == PRO_MIC:
            return self.registers[MIC] >> 5
        if register == IRQ_STATUS:
            return FLOATING | self.pending
        return self.registers[register]

    def write(self, value: int) -> None:
        """OUT to the data port."""
        register = self.address
        if register == RESET:
            self._defaults()
        elif register in PRO:
            left = PRO[register]
            self._set(left, value & 0xF0 | 0x08)
            self._set(left + 1, (value & 0x0F) << 4 | 0x08)
        elif register == PRO_MIC:
            self._set(MIC, (value & 7) << 5 | 0x18)
        elif register in BITS:
            self._set(register, value & BITS[register])

    def _set(self, register: int, value: int) -> None:
        if self.registers[register] == value:
            return
        self.before_change()
        if register == IRQ_SETUP:
            self._let_go()
        self.registers[register] = value
        self._drive()
        self.changed()

    # --- what follows from them ---------------------------------------------------------

    def volume(self, source: int) -> Volume:
        """How loud VOICE or MIDI is, left and right, in parts of UNIT; it may be louder than 1."""
        left, right = (
            LEVELS[self.registers[source + side] >> 3]
            * LEVELS[self.registers[MASTER + side] >> 3]
            // UNIT
            << (self.registers[OUTPUT_GAIN + side] >> 6)
            for side in (0, 1)
        )
        return left, right

    @property
    def stereo(self) -> bool:
        """The Sound Blaster Pro's switch."""
        return bool(self.registers[STEREO] & STEREO_BIT)

    def dma(self, wide: bool) -> int | None:
        """The channel for 8 or 16 bits. Without one for 16, they go by that for 8."""
        setup = self.registers[DMA_SETUP]
        for channels in (HIGH_DMA, LOW_DMA) if wide else (LOW_DMA,):
            for channel in channels:
                if setup >> channel & 1:
                    return channel
        return None

    # --- interrupts ---------------------------------------------------------------------

    def irq(self) -> int | None:
        """The line that is set up."""
        setup = self.registers[IRQ_SETUP]
        return next((irq for i, irq in enumerate(IRQS) if setup >> i & 1), None)

    def interrupt(self, who: int, level: bool = True) -> None:
        """Somebody interrupts, or has been answered."""
        self.pending = self.pending | who if level else self.pending & ~who
        self._drive()

    def _drive(self) -> None:
        irq = self.irq()
        if irq is not None:
            line = getattr(self, f"line{irq}")
            if line.level != bool(self.pending):
                line.set(bool(self.pending))

    def _let_go(self) -> None:
        for line in (self.line2, self.line5, self.line7, self.line10):
            if line.level:
                line.set(False)


def _nothing() -> None:
    """Nobody asks."""

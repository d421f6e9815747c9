"""The DSP 4.05 of a Sound Blaster 16: commands in, answers out.

Manual: Sound Blaster Series Hardware Programming Guide, chapter 2 "DSP", 6 "DSP commands".

A reset (1, then 0 to its port) ends in the answer AA, 100 us later. Commands are bytes, with the
bytes that belong to them (sb_commands.py); answers wait in a queue. On a DSP 4 the commands for the
speaker only change what the status says, and high speed is a speed like others.

    40  time constant: 65536 - 256,000,000 / (channels x rate), of which the upper byte
    41  the rate itself, for all after it

Left out: MIDI, which goes nowhere, and recording, which hears silence.
"""

from __future__ import annotations

from collections.abc import Callable

from devices.bus import Bus
from devices.device import Chip
from devices.fields import BYTE, FLAG, TIMER, WORD, fields, number, sequence
from devices.i8237 import DmaLine
from devices.sound import sb_commands as c
from devices.sound.ct1745 import EIGHT, SIXTEEN, Ct1745
from devices.sound.sb_formats import PCM8, PCM16, SIGNED8, SIGNED16, SILENCE
from devices.sound.sb_player import Player
from devices.sound.track import Fraction

AWAKE, AWAKE_NS = 0xAA, 100_000
MAJOR, MINOR = 4, 5
NOTICE = b"COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992.\0"
QUEUE = 64
READY, BUSY = 0x7F, 0xFF
MIDDLE = 0x80
LOWEST_RATE, HIGHEST_RATE = 4000, 48_000
SHORTEST_PERIOD = 20  # us
# IDENTIFY_DMA: what it adds up, and what that is scrambled with, which turns by two bits.
SUM, SCRAMBLE = 0xAA, 0x96


class SbDsp(Chip):
    """The DSP. `line` is the DMA channel for 8 or 16 bits now."""

    name = "sb-dsp"
    state = fields(
        held=FLAG,
        midi=FLAG,
        speaker=FLAG,
        by_constant=FLAG,
        constant=BYTE,
        hertz=number(LOWEST_RATE, HIGHEST_RATE),
        block=WORD,
        test=BYTE,
        total=BYTE,
        scramble=BYTE,
        last=BYTE,
        command=sequence(BYTE, most=4),
        answers=sequence(BYTE, most=QUEUE),
        timer=TIMER,
    )
    wiring = ("_bus", "_mixer", "_player", "_line", "_do")

    def __init__(
        self, bus: Bus, mixer: Ct1745, player: Player, line: Callable[[bool], DmaLine | None]
    ) -> None:
        self._bus = bus
        self._mixer = mixer
        self._player = player
        self._line = line
        self.timer = bus.timer(self._awake)
        self._do = self._commands()
        self.reset()

    def reset(self) -> None:
        """The RESET pin."""
        self.held = False
        self.test = 0
        self._begin()

    def _begin(self) -> None:
        """As after any reset."""
        self._player.reset()
        self._mixer.interrupt(EIGHT | SIXTEEN, False)
        self.timer.cancel()
        self.midi = self.speaker = False
        self.by_constant, self.constant, self.hertz = False, 0xD3, 22050
        self.block = 0x07FF
        self.total, self.scramble = SUM, SCRAMBLE
        self.last = 0
        self.command: list[int] = []
        self.answers: list[int] = []

    def _awake(self) -> None:
        self._answer(AWAKE)

    # --- ports --------------------------------------------------------------------------

    def write_reset(self, value: int) -> None:
        """OUT to 2x6."""
        held, self.held = self.held, bool(value & 1)
        if self.held:
            self._begin()
        elif held:
            self.timer.set(self._bus.clock.now() + AWAKE_NS)

    def read_data(self) -> int:
        """IN from 2xA: the next answer; the last one again if there is none."""
        if self.answers:
            self.last = self.answers.pop(0)
        return self.last

    def write_status(self) -> int:
        """IN from 2xC: may a command be written?"""
        return BUSY if self.held or self.timer.live else READY

    def read_status(self) -> int:
        """IN from 2xE: is there an answer? And the interrupt is taken."""
        self._mixer.interrupt(EIGHT, False)
        return BUSY if self.answers else READY

    def acknowledge_16(self) -> int:
        """IN from 2xF."""
        self._mixer.interrupt(SIXTEEN, False)
        return 0xFF

    def write(self, value: int) -> None:
        """OUT to 2xC: a command, or what belongs to it."""
        if self.held or self.timer.live or self.midi:
            return
        self.command.append(value)
        if len(self.command) <= c.PARAMETERS.get(self.command[0], 0):
            return
        number, parameters = self.command[0], self.command[1:]
        self.command = []
        if number in c.TRANSFERS:
            self._transfer(c.TRANSFERS[number], parameters)
        elif c.GENERIC_FIRST <= number <= c.GENERIC_LAST:
            self._generic(number, parameters)
        elif number in self._do:
            self._do[number](parameters)

    def _answer(self, *values: int) -> None:
        self.answers = [*self.answers, *values][:QUEUE]

    # --- commands -----------------------------------------------------------------------

    def _commands(self) -> dict[int, Callable[[list[int]], None]]:
        player = self._player
        return {
            c.DIRECT_OUT: lambda p: player.direct((p[0] - MIDDLE) << 8),
            c.DIRECT_IN: lambda p: self._answer(MIDDLE),
            **dict.fromkeys(range(c.UART_FIRST, c.UART_LAST + 1), self._begin_midi),
            c.TIME_CONSTANT: self._time_constant,
            c.OUTPUT_RATE: self._rate,
            c.INPUT_RATE: self._rate,
            c.CONTINUE_AUTO_8: lambda p: player.leave(False),
            c.CONTINUE_AUTO_16: lambda p: player.leave(False),
            c.BLOCK_SIZE: self._block_size,
            c.SILENCE_BLOCK: lambda p: player.begin(SILENCE, self._rate_of(1), _size(p)),
            c.PAUSE_8: lambda p: self._if_wide(False, player.pause),
            c.PAUSE_16: lambda p: self._if_wide(True, player.pause),
            c.CONTINUE_8: lambda p: self._if_wide(False, player.go_on),
            c.CONTINUE_16: lambda p: self._if_wide(True, player.go_on),
            c.EXIT_AUTO_8: lambda p: player.leave(True),
            c.EXIT_AUTO_16: lambda p: player.leave(True),
            c.SPEAKER_ON: lambda p: setattr(self, "speaker", True),
            c.SPEAKER_OFF: lambda p: setattr(self, "speaker", False),
            c.SPEAKER_STATUS: lambda p: self._answer(0xFF if self.speaker else 0),
            c.IDENTIFY: lambda p: self._answer(~p[0] & 0xFF),
            c.VERSION: lambda p: self._answer(MAJOR, MINOR),
            c.IDENTIFY_DMA: self._identify_dma,
            c.COPYRIGHT: lambda p: self._answer(*NOTICE),
            c.WRITE_TEST: lambda p: setattr(self, "test", p[0]),
            c.READ_TEST: lambda p: self._answer(self.test),
            c.IRQ_8: lambda p: self._mixer.interrupt(EIGHT),
            c.IRQ_16: lambda p: self._mixer.interrupt(SIXTEEN),
            c.UNDOCUMENTED_0: lambda p: self._answer(0),
        }

    def _begin_midi(self, _parameters: list[int]) -> None:
        """All that is written from now on is MIDI, until a reset."""
        self.midi = True

    def _if_wide(self, wide: bool, command: Callable[[], None]) -> None:
        if self._player.wide == wide:
            command()

    def _time_constant(self, parameters: list[int]) -> None:
        self.constant, self.by_constant = parameters[0], True
        self._set_rate()

    def _rate(self, parameters: list[int]) -> None:
        high, low = parameters
        self.hertz = max(LOWEST_RATE, min(HIGHEST_RATE, high << 8 | low))
        self.by_constant = False
        self._set_rate()

    def _set_rate(self) -> None:
        if self._player.runs:
            self._player.set_rate(self._rate_of(2 if self._player.stereo else 1))

    def _rate_of(self, channels: int) -> Fraction:
        """Frames a second, as a fraction."""
        if self.by_constant:
            return 1_000_000, max(SHORTEST_PERIOD, 256 - self.constant) * channels
        return self.hertz, 1

    def _block_size(self, parameters: list[int]) -> None:
        self.block = _size(parameters) - 1

    def _transfer(self, transfer: c.Transfer, parameters: list[int]) -> None:
        """The commands of older cards: 8 bits, and stereo by the mixer's switch."""
        stereo = self._mixer.stereo and transfer.form == PCM8
        self._player.begin(
            transfer.form, self._rate_of(2 if stereo else 1),
            _size(parameters) if transfer.sized else self.block + 1,
            stereo=stereo, auto=transfer.auto, records=transfer.records,
            reference=transfer.reference,
        )  # fmt: skip

    def _generic(self, number: int, parameters: list[int]) -> None:
        mode, *size = parameters
        stereo, signed = bool(mode & c.MODE_STEREO), bool(mode & c.MODE_SIGNED)
        forms = (PCM8, SIGNED8) if number & c.GENERIC_8 else (PCM16, SIGNED16)
        self._player.begin(
            forms[signed], self._rate_of(2 if stereo else 1), _size(size), stereo=stereo,
            auto=bool(number & c.GENERIC_AUTO), records=bool(number & c.GENERIC_RECORDS),
        )  # fmt: skip

    def _identify_dma(self, parameters: list[int]) -> None:
        """A byte goes to memory that tells the card from its copies."""
        self.total = self.total + (parameters[0] ^ self.scramble) & 0xFF
        self.scramble = (self.scramble >> 2 | self.scramble << 6) & 0xFF
        line = self._line(False)
        if line is not None:
            line.store(bytes([self.total]))


def _size(parameters: list[int]) -> int:
    """One less, the low byte first."""
    low, high = parameters
    return (high << 8 | low) + 1

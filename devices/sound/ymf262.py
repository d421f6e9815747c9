"""Yamaha YMF262 (OPL3): 36 operators in 18 channels, with the OPL2 of an AdLib card inside.

Manual: YMF262 application manual. Registers are two banks of 256, by way of an address and a data
port each; the operators' are at 0 to 5, 8 to D and 10 to 15 of each group of 32::

    02-04  timers           20  AM VIB EGT KSR MULT    A0  F-NUMBER, low byte
    08     NTS              40  KSL TL                 B0  KON BLOCK F-NUMBER
    BD     AM, VIB depth,   60  AR DR                  C0  CHB CHA FB CNT
           rhythm           80  SL RR
    104    4-operator mode  E0  WS                     105 NEW: the OPL3's features

Nothing happens at a sample's time: what has become due is worked out when a register is about to
change or when somebody listens. Registers take effect at every 32nd sample (0.6 ms), since programs
write many of them in a row. The chip gives 49,716 samples a second, each the sum of what the
channels give, in 16 bits; `volume` is the mixer's behind it.

A sound that nobody touches for longer than ``LONGEST`` seconds ends there.

Left out: outputs C and D, which no Sound Blaster has; the test register; CSM, which is an OPL2's.
"""

from __future__ import annotations

import numpy as np

from devices.bus import Bus
from devices.clock import NS_PER_SECOND
from devices.fields import PART, PARTS, fields, hex_bytes, number
from devices.sound.opl3_channel import (
    BASS,
    BY_CHANNEL,
    BY_RHYTHM,
    CHA,
    CHB,
    CYMBAL,
    HIGH_HAT,
    KON,
    SNARE,
    TOM_TOM,
    Channel,
    bass_drum,
    drums,
)
from devices.sound.opl3_operator import Moment, Operator
from devices.sound.opl3_tables import Ints
from devices.sound.opl3_timers import Timers
from devices.sound.track import LOUDEST, LOWEST, Source, Track

CRYSTAL = (14_318_180, 288)  # hertz, and clocks a sample
GRID = 32
LONGEST = 30
CHUNK = 1 << 14  # samples worked out at once
MOST = 1 << 62

BANK, CONNECTION, NEW_REGISTER, RHYTHM = 0x100, 0x104, 0x105, 0xBD
NTS_REGISTER, NTS = 0x08, 0x40
NEW = 0x01
DEEP_TREMOLO, DEEP_VIBRATO, RHYTHM_ON = 0x80, 0x40, 0x20
UNIT = 1 << 16  # of a volume
LEVEL = 2  # an operator has 13 bits with its sign; four at their loudest fill the chip's 16
NOISE_BITS = 23
#: Of the rhythm register: whose key each bit is, by channel and operator.
DRUM_KEYS = ((BASS, 6, 0), (BASS, 6, 1), (HIGH_HAT, 7, 0), (SNARE, 7, 1), (TOM_TOM, 8, 0),
             (CYMBAL, 8, 1))  # fmt: skip


class Ymf262(Source):
    """The chip. What it sounds like goes to `track`."""

    name = "ymf262"
    state = fields(
        registers=hex_bytes(2 * BANK),
        operators=PARTS,
        channels=PARTS,
        timers=PART,
        track=PART,
        address=number(0, 2 * BANK - 1),
        done=number(0, MOST),
        touched=number(0, MOST),
        noise=number(1, (1 << NOISE_BITS) - 1),
    )
    wiring = ("_clock", "volume")

    def __init__(self, bus: Bus) -> None:
        self._clock = bus.clock
        #: Left and right, in parts of UNIT.
        self.volume = (UNIT, UNIT)
        self.operators = [Operator() for _ in range(36)]
        self.channels = [
            Channel(*(self.operators[bank + row * 6 + i + second] for second in (0, 3)))
            for bank in (0, 18)
            for row in range(3)
            for i in range(3)
        ]
        self.timers = Timers()
        self.track = Track()
        self.done = self.touched = self._grid()
        self.reset()

    def contradiction(self, state: object) -> str | None:
        """As many registers as there are."""
        assert isinstance(state, dict)
        size = len(state["registers"]) // 2
        return None if size == 2 * BANK else f"{size} registers are not {2 * BANK}"

    def reset(self) -> None:
        """IC, the RESET pin: all registers 0."""
        self.render()
        self.registers = bytearray(2 * BANK)
        self.address = 0
        self._rest()
        self.timers.reset()
        for channel in self.channels:
            channel.reset()
        for operator in self.operators:
            operator.reset()

    def _rest(self) -> None:
        """All is quiet: nothing is remembered of what was."""
        self.noise = 1
        for operator in self.operators:
            operator.rest()

    # --- ports --------------------------------------------------------------------------

    def status(self) -> int:
        """IN from the first port."""
        return self.timers.status(self._tick())

    def select(self, bank: int, value: int) -> None:
        """OUT to an address port."""
        self.address = bank * BANK | value

    def write(self, value: int) -> None:
        """OUT to a data port."""
        register = self.address
        is_old = not self.registers[NEW_REGISTER] & NEW
        if is_old and register >= BANK and register != NEW_REGISTER:
            register -= BANK  # an OPL2 has one bank
        if 0x02 <= register <= 0x04:
            self.timers.write(register, value, self._tick())
            self.registers[register] = value
        elif self.registers[register] != value:
            self.render()
            self.touched = self.done
            self.registers[register] = value
            self._set(register, value)

    def _set(self, register: int, value: int) -> None:
        bank, low = divmod(register, BANK)
        group, offset = low & 0xE0, low & 0x1F
        if register in (CONNECTION, NEW_REGISTER, RHYTHM, NTS_REGISTER):
            for i in range(18):
                self._hold_keys(i)
        elif group in (0xA0, 0xC0):
            self._set_channel(bank * 9, low, value)
        elif offset & 7 < 6 and offset < 0x16:
            self._set_operator(
                self.operators[bank * 18 + offset // 8 * 6 + offset % 8], group, value
            )

    def _set_channel(self, first: int, low: int, value: int) -> None:
        if low & 15 > 8:
            return
        i = first + (low & 15)
        channel = self.channels[i]
        if low & 0xF0 == 0xA0:
            channel.low = value
        elif low & 0xF0 == 0xB0:
            channel.key_block = value
            self._hold_keys(i)
            if self._fours(i):
                self._hold_keys(i + 3)
        else:
            channel.way = value

    def _set_operator(self, operator: Operator, group: int, value: int) -> None:
        if group == 0x20:
            operator.flavour = value
        elif group == 0x40:
            operator.loudness = value
        elif group == 0x60:
            operator.attack_decay = value
        elif group == 0x80:
            operator.sustain_release = value
        elif group == 0xE0:
            operator.waveform = value & (7 if self.registers[NEW_REGISTER] & NEW else 3)

    # --- keys ---------------------------------------------------------------------------

    def _fours(self, i: int) -> bool:
        """Has this channel four operators?"""
        bank, low = divmod(i, 9)
        connection = self.registers[CONNECTION] if self.registers[NEW_REGISTER] & NEW else 0
        return low < 3 and bool(connection >> bank * 3 + low & 1)

    def _is_second(self, i: int) -> bool:
        """Is it the other half of one that has four?"""
        return 3 <= i % 9 < 6 and self._fours(i - 3)

    def _pitch_of(self, i: int) -> Channel:
        return self.channels[i - 3 if self._is_second(i) else i]

    def _hold_keys(self, i: int) -> None:
        """A key of this channel's went down or up, perhaps."""
        source, channel = self._pitch_of(i), self.channels[i]
        pitch = source.pitch(self._split)
        rhythm = self.registers[RHYTHM]
        for operator, second in ((channel.first, 0), (channel.second, 1)):
            keys = BY_CHANNEL if source.key_block & KON else 0
            if rhythm & RHYTHM_ON and (6 <= i <= 8):
                bit = next(bit for bit, *whose in DRUM_KEYS if whose == [i, second])
                keys |= BY_RHYTHM if rhythm & bit else 0
            operator.hold(keys, pitch)

    @property
    def _split(self) -> int:
        return int(bool(self.registers[NTS_REGISTER] & NTS))

    # --- samples ------------------------------------------------------------------------

    def _tick(self) -> int:
        hertz, clocks = CRYSTAL
        return self._clock.now() * hertz // (clocks * NS_PER_SECOND)

    def _grid(self) -> int:
        return self._tick() // GRID * GRID

    def render(self) -> None:
        """Everything up to now."""
        now = self._grid()
        if now < self.done:
            return  # the clock was set back under us
        end = min(now, self.touched + LONGEST * CRYSTAL[0] // CRYSTAL[1] // GRID * GRID)
        while self.done < end and not self.silent:
            count = min(CHUNK, end - self.done)
            self._play(count)
            self.done += count
        if self.done < now:
            self._rest()
            self.done = now
        if self.silent:
            self.track.silence(self._moment(now))

    @staticmethod
    def _moment(tick: int) -> int:
        hertz, clocks = CRYSTAL
        return tick * clocks * NS_PER_SECOND // hertz

    @property
    def silent(self) -> bool:
        """Do all operators rest?"""
        return all(operator.silent for operator in self.operators)

    def _play(self, count: int) -> None:
        rhythm = self.registers[RHYTHM]
        moment = Moment(
            self.done, count, bool(rhythm & DEEP_TREMOLO), bool(rhythm & DEEP_VIBRATO),
            self.track.heard,
        )  # fmt: skip
        left = np.zeros(count, np.int64)
        right = np.zeros(count, np.int64)
        for i, channel in enumerate(self.channels):
            sound = self._channel(i, channel, moment)
            if sound is None:
                continue
            old = not self.registers[NEW_REGISTER] & NEW
            if old or channel.way & CHA:
                left += sound
            if old or channel.way & CHB:
                right += sound
        both = np.clip(np.stack((left, right), axis=1) * LEVEL, LOWEST, LOUDEST)
        self.track.play(both * np.array(self.volume) // UNIT, self.done, 0, CRYSTAL)

    def _channel(self, i: int, channel: Channel, moment: Moment) -> Ints | None:
        pitch = channel.pitch(self._split)
        if self.registers[RHYTHM] & RHYTHM_ON and 6 <= i <= 8:
            return self._drums(i, channel, moment)
        if self._is_second(i):
            return None
        if self._fours(i):
            other = self.channels[i + 3]
            return None if channel.silent and other.silent else channel.four(other, moment, pitch)
        return None if channel.silent else channel.two(moment, pitch)

    def _drums(self, i: int, channel: Channel, moment: Moment) -> Ints | None:
        sound = None
        if i == 6:
            sound = bass_drum(channel, moment, channel.pitch(self._split))
        elif i == 8:
            other = self.channels[7]
            pitches = other.pitch(self._split), channel.pitch(self._split)
            sound = drums(other, channel, moment, pitches, self._noise(moment.count))
        return None if sound is None else sound * 2

    def _noise(self, count: int) -> Ints:
        """A bit for each sample, of a shift register of 23 bits."""
        found = []
        value = self.noise
        for _ in range(count):
            value = value >> 1 | ((value ^ value >> 14) & 1) << NOISE_BITS - 1
            found.append(value & 1)
        self.noise = value
        return np.array(found, np.int64)

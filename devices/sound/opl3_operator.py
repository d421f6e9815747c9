"""An operator of a YMF262: a phase, an envelope and a wave.

Manual: YMF262 application manual, "Operator registers"; what a bit means stands at its name.

Its output goes to the chip's output or moves the phase of another operator, or its own (feedback:
the sum of its last two samples, which is the one thing here that goes sample by sample).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from devices.device import Chip
from devices.fields import BYTE, PART, fields, number
from devices.sound.opl3_envelope import OFF, Envelope, Shape
from devices.sound.opl3_tables import (
    KEY_SCALE,
    KEY_SCALE_SHIFT,
    LINEAR,
    LINEAR_LIST,
    LOG,
    LOG_LISTS,
    MULTIPLE,
    SILENT,
    TREMOLO,
    TREMOLO_SHIFT,
    TREMOLO_STEPS,
    VIBRATO,
    VIBRATO_SHIFT,
    Ints,
)

AM, VIB, EGT, KSR, MULT = 0x80, 0x40, 0x20, 0x10, 0x0F  # of `flavour`, registers 20 to 35
TL = 0x3F  # of `loudness`, registers 40 to 55; KSL above
PHASE = (1 << 19) - 1
INDEX = 1023
LOUDEST = 4084


@dataclass(frozen=True)
class Pitch:
    """A channel's: F-NUMBER, BLOCK, and the key's number for what depends on the pitch."""

    number: int
    block: int
    key: int


@dataclass(frozen=True)
class Moment:
    """A stretch of samples, and what is the same for all operators in it."""

    tick: int  # the number of its first sample
    count: int
    deep_tremolo: bool
    deep_vibrato: bool
    heard: bool

    def ticks(self) -> Ints:
        """The numbers of its samples."""
        return np.arange(self.tick, self.tick + self.count, dtype=np.int64)

    def tremolo(self) -> Ints:
        """Attenuation at each sample."""
        found = TREMOLO[(self.ticks() >> TREMOLO_SHIFT) % TREMOLO_STEPS]
        return found if self.deep_tremolo else found >> 2

    def vibrato(self, pitch: Pitch) -> Ints:
        """F-NUMBER at each sample."""
        widest = pitch.number >> (7 if self.deep_vibrato else 8)
        moved = np.array([pitch.number + sign * (widest >> shift) for sign, shift in VIBRATO])
        found: Ints = moved[self.ticks() >> VIBRATO_SHIFT & 7]
        return found


class Operator(Chip):
    """One of 36."""

    name = "opl3-operator"
    state = fields(
        flavour=BYTE,
        loudness=BYTE,
        attack_decay=BYTE,
        sustain_release=BYTE,
        waveform=number(0, 7),
        keys=number(0, 3),
        phase=number(0, PHASE),
        last=number(-LOUDEST, LOUDEST),
        before=number(-LOUDEST, LOUDEST),
        envelope=PART,
    )

    def __init__(self) -> None:
        self.envelope = Envelope()
        self.reset()

    def reset(self) -> None:
        """All registers 0."""
        self.flavour = self.loudness = self.attack_decay = self.sustain_release = 0
        self.waveform = 0
        self.keys = 0  # who holds its key: 1 its channel, 2 the rhythm register
        self.rest()

    def rest(self) -> None:
        """Nothing is heard of it, nor remembered."""
        self.envelope.reset()
        self.phase = self.last = self.before = 0

    @property
    def silent(self) -> bool:
        """Nothing will be heard of it until its key goes down."""
        return self.envelope.stage == OFF

    def shape(self, pitch: Pitch) -> Shape:
        """Its envelope's. Higher notes are shorter."""
        scale = pitch.key if self.flavour & KSR else pitch.key >> 2

        def rate(nibble: int) -> int:
            return min(63, nibble * 4 + scale) if nibble else 0

        level = self.sustain_release >> 4
        return Shape(
            rate(self.attack_decay >> 4),
            rate(self.attack_decay & 15),
            (31 if level == 15 else level) << 4,
            rate(self.sustain_release & 15),
            bool(self.flavour & EGT),
        )

    def hold(self, keys: int, pitch: Pitch) -> None:
        """Who holds its key now."""
        if keys and not self.keys:
            self.phase = 0
            self.envelope.key_on(self.shape(pitch))
        elif self.keys and not keys:
            self.envelope.key_off()
        self.keys = keys

    def phases(self, moment: Moment, pitch: Pitch) -> Ints:
        """Its phase at each sample, 10 bits; it has gone on."""
        multiple = MULTIPLE[self.flavour & MULT]
        if not self.flavour & VIB:
            step = ((pitch.number << pitch.block) >> 1) * multiple >> 1
            found = self.phase + step * np.arange(moment.count, dtype=np.int64)
            self.phase = self.phase + step * moment.count & PHASE
        else:
            steps = ((moment.vibrato(pitch) << pitch.block) >> 1) * multiple >> 1
            ends = np.cumsum(steps) + self.phase
            found = ends - steps
            self.phase = int(ends[-1]) & PHASE
        return found >> 9 & INDEX

    def attenuation(self, moment: Moment, pitch: Pitch) -> Ints | int:
        """In steps of 0.1875 dB, at each sample or always the same; the envelope has gone on."""
        level = self.envelope.run(self.shape(pitch), moment.tick, moment.count)
        if isinstance(level, int) and level >= SILENT:
            return SILENT
        steps = max(0, (KEY_SCALE[pitch.number >> 6] << 2) - ((8 - pitch.block) << 5))
        level = level + ((self.loudness & TL) << 2) + (
            steps >> KEY_SCALE_SHIFT[self.loudness >> 6])  # fmt: skip
        if self.flavour & AM:
            level = level + moment.tremolo()
        return min(level, SILENT) if isinstance(level, int) else np.minimum(level, SILENT)

    def sound(
        self, moment: Moment, pitch: Pitch, moved: Ints | None = None, feedback: int = 0
    ) -> Ints | None:
        """Its samples, with its phase `moved` by others'. None: all 0, or nobody listens."""
        if self.silent:
            self.rest()
            return None
        level = self.attenuation(moment, pitch)
        phases = self.phases(moment, pitch)
        if self.silent:
            self.phase = 0
        if not moment.heard or (isinstance(level, int) and level >= SILENT):
            self.last = self.before = 0
            return None
        if feedback:
            return self._fed_back(phases, level, 9 - feedback)
        return self.wave(phases if moved is None else phases + moved & INDEX, level)

    def wave(self, phases: Ints, level: Ints | int) -> Ints:
        """The wave at these phases, attenuated."""
        found: Ints = LINEAR[LOG[self.waveform][phases] + (level << 3)]
        self.last = self.before = 0
        return found

    def _fed_back(self, phases: Ints, level: Ints | int, shift: int) -> Ints:
        logarithms, linear = LOG_LISTS[self.waveform], LINEAR_LIST
        last, before = self.last, self.before
        levels = np.broadcast_to(np.asarray(level << 3), phases.shape)
        found = []
        for phase, attenuation in zip(phases.tolist(), levels.tolist(), strict=True):
            moved = phase + (last + before >> shift) & INDEX
            before, last = last, linear[logarithms[moved] + attenuation]
            found.append(last)
        self.last, self.before = last, before
        if self.silent:
            self.last = self.before = 0
        return np.array(found, np.int64)

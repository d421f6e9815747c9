"""A channel of a YMF262: a pitch, a key, and two operators, or four with the channel three above.

Manual: YMF262 application manual, "Channel registers", "4-operator mode", "Rhythm mode".

    CNT          of two: 0  1 > 2              1  1 + 2
    CNT, CNT'    of four:  00  1 > 2 > 3 > 4   01  (1 > 2) + (3 > 4)
                           10  1 + (2 > 3 > 4) 11  1 + (2 > 3) + 4
"""

from __future__ import annotations

from devices.device import Chip
from devices.fields import BYTE, fields
from devices.sound.opl3_operator import INDEX, Moment, Operator, Pitch
from devices.sound.opl3_tables import Ints

KON, BLOCK, NUMBER_HIGH = 0x20, 0x1C, 0x03  # of `key_block`, registers B0 to B8
CNT, FEEDBACK, CHA, CHB = 0x01, 0x0E, 0x10, 0x20  # of `way`, registers C0 to C8

BY_CHANNEL, BY_RHYTHM = 1, 2  # who holds a key
HIGH_HAT, TOM_TOM, SNARE, CYMBAL, BASS = 1, 4, 8, 2, 16  # of register BD


class Channel(Chip):
    """One of 18. Its operators are the chip's, which saves them."""

    name = "opl3-channel"
    state = fields(low=BYTE, key_block=BYTE, way=BYTE)
    wiring = ("first", "second")

    def __init__(self, first: Operator, second: Operator) -> None:
        self.first = first
        self.second = second
        self.reset()

    def reset(self) -> None:
        """All registers 0."""
        self.low = self.key_block = self.way = 0

    @property
    def silent(self) -> bool:
        """Do both of its operators rest?"""
        return self.first.silent and self.second.silent

    @property
    def adds(self) -> int:
        """CNT."""
        return self.way & CNT

    @property
    def feedback(self) -> int:
        """0 to 7: none, or from a sixteenth of pi to 4 pi."""
        return (self.way & FEEDBACK) >> 1

    def pitch(self, split: int) -> Pitch:
        """Bit 9 of F-NUMBER belongs to the key's number; with NTS (`split`) bit 8."""
        number = (self.key_block & NUMBER_HIGH) << 8 | self.low
        block = (self.key_block & BLOCK) >> 2
        return Pitch(number, block, block << 1 | (number >> 9 - split & 1))

    def two(self, moment: Moment, pitch: Pitch) -> Ints | None:
        """Its samples with two operators."""
        first = self.first.sound(moment, pitch, feedback=self.feedback)
        if self.adds:
            return mixed(first, self.second.sound(moment, pitch))
        return self.second.sound(moment, pitch, first)

    def four(self, other: Channel, moment: Moment, pitch: Pitch) -> Ints | None:
        """Its samples with the operators of another one behind its own."""
        sound = self.first.sound(moment, pitch, feedback=self.feedback)
        heard: list[Ints | None] = []
        operators = (self.second, other.first, other.second)
        ends = (bool(self.adds), bool(other.adds) and not self.adds, bool(other.adds and self.adds))
        for operator, ended in zip(operators, ends, strict=True):
            if ended:
                heard.append(sound)
                sound = None
            sound = operator.sound(moment, pitch, sound)
        for each in heard:
            sound = mixed(sound, each)
        return sound


def bass_drum(channel: Channel, moment: Moment, pitch: Pitch) -> Ints | None:
    """Channel 6: with CNT only the second operator is heard, and nothing moves it."""
    first = channel.first.sound(moment, pitch, feedback=channel.feedback)
    return channel.second.sound(moment, pitch, None if channel.adds else first)


def drums(
    seventh: Channel, eighth: Channel, moment: Moment, pitches: tuple[Pitch, Pitch], noise: Ints
) -> Ints | None:
    """Channels 7 and 8: high hat and snare drum, tom-tom and top cymbal.

    Three of them have phases of a few values each, made of some bits of two phases and of noise.
    """
    hat, snare, tom, cymbal = seventh.first, seventh.second, eighth.first, eighth.second
    first, second = hat.phases(moment, pitches[0]), cymbal.phases(moment, pitches[1])
    odd = (first >> 2 ^ first >> 7) | (first >> 3 ^ second >> 5) | (second >> 3 ^ second >> 5)
    odd &= 1
    high = first >> 8 & 1
    hat_noise = odd ^ noise
    phases = (
        (hat, pitches[0], odd << 9 | hat_noise * 0xD0 | (1 - hat_noise) * 0x34),
        (snare, pitches[0], high << 9 | (high ^ noise) << 8),
        (cymbal, pitches[1], odd << 9 | 0x80),
    )
    sound = tom.sound(moment, pitches[1])
    for operator, pitch, phase in phases:
        level = operator.attenuation(moment, pitch)
        if moment.heard:
            sound = mixed(sound, operator.wave(phase & INDEX, level))
    return sound


def mixed(one: Ints | None, other: Ints | None) -> Ints | None:
    """Their sum; None is silence."""
    if one is None or other is None:
        return other if one is None else one
    return one + other

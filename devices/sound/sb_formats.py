"""The forms in which a Sound Blaster takes samples, as frames of 16 bits, left and right.

Manual: Sound Blaster Series Hardware Programming Guide, chapter 3 "Digitized sound data formats".
For Creative's ADPCM, which the guide leaves to the card: MultimediaWiki, "Creative ADPCM".

ADPCM gives the differences between samples, in units of a step that follows them: a large one
doubles the next step, none halves it. A byte has 2, 3 or 4 of them, the first at the top; of three,
the last has no lowest bit.

>>> decoder = Adpcm()
>>> decoder.begin()
>>> [level - 128 for level in decoder.decode("adpcm4", bytes([0x12, 0x7F]))]
[1, 3, 10, -5]
"""

from __future__ import annotations

import numpy as np

from devices.device import Chip
from devices.fields import BYTE, FLAG, fields, number
from devices.sound.track import Frames

SILENCE, PCM8, SIGNED8, PCM16, SIGNED16 = "silence", "u8", "s8", "u16", "s16"
ADPCM2, ADPCM26, ADPCM4 = "adpcm2", "adpcm2.6", "adpcm4"
FORMS = (SILENCE, PCM8, SIGNED8, PCM16, SIGNED16, ADPCM2, ADPCM26, ADPCM4)
WIDE = (PCM16, SIGNED16)
QUIET = {PCM8: b"\x80", SIGNED8: b"\x00", PCM16: b"\x00\x80", SIGNED16: b"\x00\x00"}
#: Samples in a byte, shifts and bits of each.
PACKED = {
    ADPCM2: ((6, 2), (4, 2), (2, 2), (0, 2)),
    ADPCM26: ((5, 3), (2, 3), (-1, 3)),
    ADPCM4: ((4, 4), (0, 4)),
}
LARGE = {ADPCM2: 1, ADPCM26: 3, ADPCM4: 5}  # from here on a step is followed by a wider one
WIDEST = {ADPCM2: 5, ADPCM26: 4, ADPCM4: 3}
MIDDLE = 0x80


class Adpcm(Chip):
    """What is remembered from sample to sample."""

    name = "sb-adpcm"
    state = fields(level=BYTE, step=number(0, 5), reference=FLAG)

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As after power-on."""
        self.level, self.step, self.reference = MIDDLE, 0, False

    def begin(self, reference: bool = False) -> None:
        """Another stretch; its first byte may be a reference, from which it goes on."""
        self.step = 0
        self.reference = reference

    def decode(self, form: str, data: bytes) -> list[int]:
        """Samples of 8 bits; a reference byte is as many, all the same."""
        found: list[int] = []
        parts = PACKED[form]
        for byte in data:
            if self.reference:
                self.reference, self.level = False, byte
                found += [byte] * len(parts)
                continue
            for shift, bits in parts:
                value = (byte << 1 if shift < 0 else byte >> shift) & (1 << bits) - 1
                found.append(self._next(value, bits, LARGE[form], WIDEST[form]))
        return found

    def _next(self, value: int, bits: int, large: int, widest: int) -> int:
        size = value & (1 << bits - 1) - 1
        change = size << self.step if not self.step else (2 * size + 1) << self.step - 1
        change = -change if value >> bits - 1 else change
        self.level = max(0, min(0xFF, self.level + change))
        if size >= large:
            self.step = min(widest, self.step + 1)
        elif not size:
            self.step = max(0, self.step - 1)
        return self.level


def frames_of(form: str, stereo: bool, data: bytes) -> Frames:
    """PCM. Half a frame at the end is none."""
    if form in WIDE:
        levels = np.frombuffer(data[: len(data) & ~1], "<i2").astype(np.int64)
        if form == PCM16:
            levels = (levels & 0xFFFF) - 0x8000
    else:
        levels = np.frombuffer(data, np.uint8).astype(np.int64) << 8
        levels = levels - 0x8000 if form == PCM8 else (levels ^ 0x8000) - 0x8000
    return both_sides(levels, stereo)


def both_sides(levels: Frames, stereo: bool) -> Frames:
    """Frames of what comes one after the other, or is the same on both sides."""
    if stereo:
        return levels[: len(levels) & ~1].reshape(-1, 2)
    return np.stack((levels, levels), axis=1)

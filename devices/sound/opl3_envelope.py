"""The envelope of an operator of a YMF262: its attenuation, 0 to 511 steps of 0.1875 dB.

Manual: YMF262 application manual, "Attack rate/decay rate", "Sustain level/release rate".

    key on:   ATTACK down to 0, ever slower     DECAY up to the sustain level
              SUSTAIN: it stays there (EGT), or goes on with the release rate
    key off:  RELEASE up to 511, then OFF

A rate is 4 times that of the register and a part of the pitch (KSR), 0 to 63. Its upper bits say
how often there is a turn, every 2048 samples at the lowest rates and every sample at the highest;
its lower two bits, in how many of eight turns the envelope takes a step. The turns are counted by
the chip's own sample counter, so an envelope needs to remember nothing but where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from devices.device import Chip
from devices.fields import choice, fields, number
from devices.sound.opl3_tables import FAST_TURNS, SILENT, TURNS, Ints

ATTACK, DECAY, SUSTAIN, RELEASE, OFF = "attack", "decay", "sustain", "release", "off"
SLOW_RATE, TOP_RATE, INSTANT = 12, 15, 60


@dataclass(frozen=True)
class Shape:
    """What the registers say: rates of 0 to 63, the sustain level, and whether it holds there."""

    attack: int
    decay: int
    sustain: int
    release: int
    holds: bool


def turns(rate: int, tick: int, count: int) -> Ints:
    """Steps at each of so many samples."""
    high, low = rate >> 2, rate & 3
    ticks = np.arange(tick, tick + count, dtype=np.int64)
    if high >= TOP_RATE:
        return np.full(count, 4, np.int64)
    if high > SLOW_RATE:
        return FAST_TURNS[low][ticks & 7] << high - SLOW_RATE - 1
    shift = SLOW_RATE - high
    steps = TURNS[low][ticks >> shift & 7]
    steps[ticks & (1 << shift) - 1 != 0] = 0
    return steps


class Envelope(Chip):
    """Where it is."""

    name = "opl3-envelope"
    state = fields(stage=choice((ATTACK, DECAY, SUSTAIN, RELEASE, OFF)), level=number(0, SILENT))

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Silent."""
        self.stage, self.level = OFF, SILENT

    def key_on(self, shape: Shape) -> None:
        """From where it is."""
        self.stage = ATTACK
        if shape.attack >= INSTANT:
            self.stage, self.level = DECAY, 0

    def key_off(self) -> None:
        """It dies away."""
        if self.stage != OFF:
            self.stage = RELEASE

    def run(self, shape: Shape, tick: int, count: int) -> Ints | int:
        """The level at each of so many samples, the first of which has this number.

        A number if it is always the same.
        """
        found: list[Ints] = []
        left = count
        while left:
            piece, done = self._stretch(shape, tick, left)
            if isinstance(piece, int):
                if done == count:
                    return piece
                piece = np.full(done, piece, np.int64)
            found.append(piece)
            tick, left = tick + done, left - done
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _stretch(self, shape: Shape, tick: int, count: int) -> tuple[Ints | int, int]:
        """Samples of one stage, and how many; the next stage has begun where they end."""
        if self.stage == DECAY and self.level >= shape.sustain:
            self.stage = SUSTAIN
        if self.stage == ATTACK:
            return self._attack(shape.attack, tick, count)
        if self.stage == DECAY:
            return self._fall(shape.decay, tick, count, shape.sustain, SUSTAIN)
        if self.stage == OFF or (self.stage == SUSTAIN and shape.holds):
            return self.level, count
        return self._fall(shape.release, tick, count, SILENT, OFF)

    def _attack(self, rate: int, tick: int, count: int) -> tuple[Ints | int, int]:
        """Each step is an eighth of the way, so there are some sixty at most."""
        if rate == 0:
            return self.level, count
        steps = turns(rate, tick, count)
        found = np.empty(count, np.int64)
        done = 0
        for at in np.flatnonzero(steps).tolist():
            found[done:at] = self.level
            done = at
            self.level = max(0, self.level + (~self.level * int(steps[at]) >> 3))
            if self.level == 0:
                found[at] = 0
                self.stage = DECAY
                return found[: at + 1], at + 1
        found[done:] = self.level
        return found, count

    def _fall(
        self, rate: int, tick: int, count: int, end: int, then: str
    ) -> tuple[Ints | int, int]:
        if rate == 0:
            return self.level, count
        levels = np.cumsum(turns(rate, tick, count)) + self.level
        at = int(np.searchsorted(levels, end))
        if at == count:
            self.level = int(levels[-1])
            return levels, count
        levels[at] = self.level = min(int(levels[at]), SILENT)
        self.stage = then
        return levels[: at + 1], at + 1

"""The PC's speaker: counter 2 of the timer and bit 1 of port 0x61, as samples.

Manual: IBM PC/AT Technical Reference, "Speaker": the cone follows OUT2 while bit 1 is set.

Nothing happens at a sample's time. When the guest is about to change something, the stretch since
the last change is rendered at once, exactly: a sample is the part of its time during which the
level was high (so that programs that play by the width of pulses are heard as they meant it).
Times are ticks of the timer times the sample rate: whole numbers, in which a sample takes PIT_HZ.

A tone that nobody touches for longer than ``LONGEST`` seconds ends there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from devices.device import Chip
from devices.fields import fields, number
from devices.i8254 import I8254, PIT_HZ, Counter
from devices.port61 import Port61
from devices.sound.samples import RATE, OnSamples, unheard

LOUD = 12000  # of 32767
LONGEST = 60
CHUNK = 1 << 16  # samples rendered at once
SPEAKER_DATA = 0x02
MOST = 1 << 62
FAR = 1 << 60

Moments = NDArray[np.int64]  # after the beginning of a stretch
START = np.zeros(1, np.int64)


def high_until(counter: Counter, begin: int, moments: Moments) -> Moments:
    """For how long OUT was high from `begin` on, or some time before, until each moment after it.

    Numbers stay small however long ago the counter was loaded.
    """
    assert counter.origin is not None
    elapsed, count = begin - counter.origin * RATE, counter.initial * RATE
    if counter.mode in (2, 3):
        high = count - RATE if counter.mode == 2 else (counter.initial + 1) // 2 * RATE
        if counter.initial == 1:
            return moments
        since = moments + elapsed % count
        return since // count * high + np.minimum(since % count, high)
    since = moments + max(-FAR, min(FAR, elapsed - count))
    if counter.mode in (0, 1):
        return np.maximum(since, 0)
    return moments - np.clip(since, 0, RATE)


class Speaker(Chip):
    """On one timer and port. `on_samples` gets 16-bit samples, RATE a second."""

    name = "speaker"
    state = fields(tick=number(0, MOST), high=number(0, PIT_HZ))
    wiring = ("_pit", "_port", "on_samples")

    def __init__(self, pit: I8254, port61: Port61) -> None:
        self._pit = pit
        self._port = port61
        self.on_samples: OnSamples = unheard
        self.tick = pit.tick()  # up to which it is rendered
        self.high = 0  # of the sample that is not complete
        pit.before_counter2 = self.render
        port61.before_write = self.render

    def reset(self) -> None:
        """It has no state of its own but what is rendered."""

    @property
    def samples(self) -> int:
        """How many are complete."""
        return self.tick * RATE // PIT_HZ

    def render(self) -> None:
        """Everything up to now. Called before anything changes, and when somebody will listen."""
        now = self._pit.tick()
        sounding = min(now, self.tick + LONGEST * PIT_HZ)
        if self._port.control & SPEAKER_DATA:
            while self.tick < sounding:
                self._piece(sounding)
        if self.tick < now:
            self._silence(now)

    def _piece(self, end: int) -> None:
        """Up to the end, or to where the counter begins another cycle."""
        counter = self._pit.counters[2]
        counter.settle(self.tick)
        turns = [turn for turn in (counter.origin, counter.switch_at) if turn is not None]
        end = min([turn for turn in turns if self.tick < turn < end], default=end)
        counting = counter.origin is not None and counter.frozen is None
        if counting and counter.origin is not None and self.tick >= counter.origin:
            self._sound(end, lambda begin, moments: high_until(counter, begin, moments))
        elif counter.out(self.tick):
            self._sound(end, lambda begin, moments: moments)
        else:
            self._silence(end)

    def _sound(self, end: int, high: Callable[[int, Moments], Moments]) -> None:
        """Samples up to a tick; `high` tells how long the level was high until each moment."""
        begin, finish = self.tick * RATE, end * RATE
        while begin < finish:
            first = begin // PIT_HZ
            last = min(finish // PIT_HZ, first + CHUNK)
            stop = finish if last == finish // PIT_HZ else last * PIT_HZ
            bounds = np.arange(last - first, dtype=np.int64) * PIT_HZ
            bounds += (first + 1) * PIT_HZ - begin
            moments = np.concatenate((START, bounds, np.array([stop - begin], np.int64)))
            parts = np.diff(high(begin, moments))
            parts[0] += self.high
            self.high = int(parts[-1])
            if len(parts) > 1:
                self.on_samples(first, (parts[:-1] * LOUD // PIT_HZ).astype(np.int16))
            begin = stop
        self.tick = end

    def _silence(self, end: int) -> None:
        first = self.samples
        self.tick = end
        if self.high and self.samples > first:
            self.on_samples(first, np.array([self.high * LOUD // PIT_HZ], np.int16))
            self.high = 0

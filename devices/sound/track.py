"""One source of a card's sound as samples of the WAV file's rate, whatever rate it has itself.

Frame k of a source that began at `origin` (in nanoseconds) and has `rate` (a fraction) is there
at origin + k / rate. A sample in between is on the straight line between two frames, one frame
late, so that nothing has to be known of the future. All is whole numbers, and each sample is worked
out from its own number, so the sound is the same in whatever pieces it comes:

>>> heard = []
>>> track = Track()
>>> track.on_samples = lambda first, samples: heard.append((first, samples[:, 0].tolist()))
>>> track.play(np.array([[10, 10], [20, 20]]), 0, 0, (22050, 1))
>>> track.play(np.array([[30, 30]]), 2, 0, (22050, 1))
>>> heard
[(0, [0, 5, 10, 15]), (4, [20, 25])]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from devices.clock import NS_PER_SECOND
from devices.device import Chip
from devices.fields import fields, number
from devices.sound.samples import RATE, OnSamples, Samples, unheard

MOST = 1 << 62
PAUSE = RATE // 1000  # samples of silence after which the next frame does not follow the last one
LOUDEST = 0x7FFF
LOWEST = -0x8000

Frames = NDArray[np.int64]  # left and right
Fraction = tuple[int, int]


def sample_at(nanoseconds: int) -> int:
    """The number of the first sample that is not before a moment."""
    return -(-nanoseconds * RATE // NS_PER_SECOND)


def first_sample(frame: int, origin: int, rate: Fraction) -> int:
    """The number of the first sample that is not before a frame."""
    num, den = rate
    return -(-(frame * RATE * NS_PER_SECOND * den + origin * RATE * num) // (NS_PER_SECOND * num))


class Track(Chip):
    """Stereo. Samples are only made while somebody listens; what is kept is the same."""

    name = "track"
    state = fields(
        next=number(0, MOST),
        ended=number(0, MOST),
        left=number(LOWEST, LOUDEST),
        right=number(LOWEST, LOUDEST),
    )
    wiring = ("on_samples",)

    def __init__(self) -> None:
        self.on_samples: OnSamples = unheard
        self.reset()

    def reset(self) -> None:
        """From the beginning of time."""
        self.next = 0  # the number of the sample that comes next
        self.ended = 0  # and of the one after the last that was not silent
        self.left = self.right = 0  # the last frame

    @property
    def heard(self) -> bool:
        """Does anybody listen?"""
        return self.on_samples is not unheard

    def silence(self, until: int) -> None:
        """Nothing is heard until a moment, in nanoseconds."""
        self.next = max(self.next, sample_at(until))

    def play(self, frames: Frames, first: int, origin: int, rate: Fraction) -> None:
        """These frames, of which the first one has this number. 16 bits each."""
        if not len(frames):
            return
        begin = max(self.next, first_sample(first, origin, rate))
        end = first_sample(first + len(frames), origin, rate)
        if begin > self.ended + PAUSE:
            self.left = self.right = 0
        if end > begin:
            if self.heard:
                self.on_samples(begin, self._between(frames, first, origin, rate, begin, end))
            self.next = self.ended = end
        self.left, self.right = map(int, frames[-1])

    def hold(self, left: int, right: int, until: int) -> None:
        """The same frame until a moment, in nanoseconds."""
        begin, end = self.next, sample_at(until)
        if end > begin:
            if self.heard and (left or right):
                both = np.array([[left, right]], np.int16)
                self.on_samples(begin, np.repeat(both, end - begin, axis=0))
            self.next = self.ended = end
        self.left, self.right = left, right

    def _between(
        self, frames: Frames, first: int, origin: int, rate: Fraction, begin: int, end: int
    ) -> Samples:
        num, den = rate
        cycle = RATE * den
        start = (begin * NS_PER_SECOND - origin * RATE) * num // NS_PER_SECOND - first * cycle
        at, weight = np.divmod(start + np.arange(end - begin, dtype=np.int64) * num, cycle)
        line = np.concatenate((np.array([[self.left, self.right]], np.int64), frames))
        before, after = line[at], line[at + 1]
        found = (before * (cycle - weight)[:, None] + after * weight[:, None]) // cycle
        return found.astype(np.int16)


class Source(Chip):
    """A chip that plays into a track of its own."""

    track: Track

    @property
    def on_samples(self) -> OnSamples:
        """Who listens."""
        return self.track.on_samples

    @on_samples.setter
    def on_samples(self, listener: OnSamples) -> None:
        self.track.on_samples = listener

    @property
    def samples(self) -> int:
        """How many of the track's are complete."""
        return self.track.next

"""Several chips that are heard, as one: what each of them gives is added up, in stereo.

Each renders when it likes, so a sample is complete when all of them have come past it. When one is
far ahead, the others are asked; nobody is asked while he speaks. A machine that goes back in time
says again what was heard before: each chip's samples count once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from monitor.host.sounding import Sounding, unheard

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Self

LATE = 1 << 13  # samples that one may be ahead of the others
LOWEST, LOUDEST = -0x8000, 0x7FFF


class SoundMix:
    """Of these from now on: itself something that is heard. A context manager: at its end
    everything has been heard."""

    channels = 2

    def __init__(self, sources: Sequence[Sounding]) -> None:
        self.on_samples: Callable[[int, NDArray[np.int16]], None] = unheard
        self._sources = sources
        self._heard = [source.samples for source in sources]  # up to where, of each
        self._first = min(self._heard)  # the number of the first sample in the buffer
        self._buffer = np.zeros((2 * LATE, 2), np.int32)
        self._asking = False
        for i, source in enumerate(sources):
            source.on_samples = partial(self._hear, i)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.render()
        self._give(max(self._heard))

    @property
    def samples(self) -> int:
        """How many are complete."""
        return self._first

    def render(self) -> None:
        """Everything up to now, as far as it is complete."""
        if not self._asking:
            self._ask(None)

    def _hear(self, i: int, first: int, samples: NDArray[np.int16]) -> None:
        begin = max(self._heard[i], self._first)
        new = samples[max(0, begin - first) :]
        first += len(samples) - len(new)
        if not len(new):
            return
        at, end = first - self._first, first - self._first + len(new)
        while end > len(self._buffer):
            self._buffer = np.concatenate((self._buffer, np.zeros_like(self._buffer)))
        self._buffer[at:end] += new if new.ndim == 2 else new[:, None]
        self._heard[i] = first + len(new)
        if end > LATE and not self._asking:
            self._ask(i)

    def _ask(self, speaks: int | None) -> None:
        self._asking = True
        try:
            for i, source in enumerate(self._sources):
                if i != speaks:
                    source.render()
        finally:
            self._asking = False
        self._give(
            min(
                self._heard[i] if i == speaks else source.samples
                for i, source in enumerate(self._sources)
            )
        )

    def _give(self, end: int) -> None:
        """All up to a sample are complete."""
        count = end - self._first
        if count <= 0:
            return
        some = self._buffer[:count]
        if some.any():
            self.on_samples(self._first, np.clip(some, LOWEST, LOUDEST).astype(np.int16))
        rest = self._buffer[count:]
        self._buffer = np.zeros((max(2 * LATE, len(rest)), 2), np.int32)
        self._buffer[: len(rest)] = rest
        self._first = end

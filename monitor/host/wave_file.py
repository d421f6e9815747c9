"""What a machine sounds like, into a WAV file: one or two channels of 16 bits.

Samples come with their number. What was heard before (a run that is repeated) is left out, and
between two stretches it is silent; silence at the end is not written.
"""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from monitor.host.sounding import Sounding
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Self

MOST = 1 << 30  # samples: a WAV file counts its bytes in 32 bits
CHUNK = 1 << 16


class WaveFile:
    """Of one chip, from now on. A context manager, entered before the run. UserError."""

    def __init__(self, path: Path, chip: Sounding, rate: int, channels: int = 1) -> None:
        self._path = path
        self._chip = chip
        self._rate = rate
        self._next = 0  # the number of the next sample
        self._channels = channels
        self._left = MOST // channels
        self._file: wave.Wave_write | None = None
        self._stream: IO[bytes]
        self._trouble: OSError | None = None
        self.on_trouble: Callable[[], None] = _nothing

    def __enter__(self) -> Self:
        try:
            self._stream = self._path.open("wb")  # `wave` complains aloud where it cannot
        except OSError as error:
            raise self._error(error) from error
        self._file = wave.open(self._stream, "wb")
        self._file.setparams((self._channels, 2, self._rate, 0, "NONE", ""))
        self._next = self._chip.samples
        self._chip.on_samples = self.write
        return self

    def __exit__(self, kind: object, *_exception: object) -> None:
        if self._file is None:
            return
        self._chip.render()
        file, self._file = self._file, None
        try:
            with self._stream:
                file.close()
        except OSError as error:
            self._trouble = self._trouble or error
        if kind is None:
            self.check()

    def write(self, first: int, samples: NDArray[np.int16]) -> None:
        """Called in the middle of a guest's instruction, so nothing is raised."""
        new = samples[max(0, self._next - first) :]
        first += len(samples) - len(new)
        if not len(new) or self._file is None or self._trouble is not None:
            return
        try:
            self._put_silence(first - self._next)
            self._put(new)
        except OSError as error:
            self._trouble = error
            self.on_trouble()

    def check(self) -> None:
        """Raise what went wrong, if something did."""
        if self._trouble is not None:
            raise self._error(self._trouble)

    def _put_silence(self, count: int) -> None:
        silence = np.zeros((CHUNK, self._channels), np.int16)
        while count > 0 and self._left:
            self._put(silence[:count])
            count -= CHUNK
        self._next += max(0, count)

    def _put(self, samples: NDArray[np.int16]) -> None:
        assert self._file is not None
        self._next += len(samples)
        some = samples[: self._left]
        self._left -= len(some)
        if len(some):
            self._file.writeframesraw(some.astype("<i2").tobytes())

    def _error(self, error: OSError) -> UserError:
        return UserError(f"cannot write --sound wav:{self._path}: {error.strerror}")


def _nothing() -> None:
    pass

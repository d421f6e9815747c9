"""What a machine sounds like, on the host's sound device, by the package sounddevice (PortAudio).

A machine's time is not the host's. One that is faster than its sound waits where it would be more
than half a second ahead, so a guest that plays runs no faster than it is heard; one that is slower
is heard with gaps. Silence is heard as such, but for no longer than a quarter of a second: nobody
waits for a machine that sleeps.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.host.sounding import Sounding
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Self

RATE = 44100
AHEAD = RATE // 2  # samples that wait to be heard
SILENCE = RATE // 4
PATIENCE_S = 1.0  # for a device that takes nothing any more
PULSE_NS = 20_000_000


class SoundDevice:
    """Of one chip or mix, from now on. A context manager, entered before the run. UserError."""

    def __init__(self, heard: Sounding) -> None:
        self._heard = heard
        self._waiting: deque[NDArray[np.int16]] = deque()
        self._count = 0
        self._next = 0
        self._room = threading.Condition()
        self._stream: Any = None
        self.on_trouble: Callable[[], None] = _nothing

    def __enter__(self) -> Self:
        self._stream = open_stream(self._play)
        self._next = self._heard.samples
        self._heard.on_samples = self.write
        return self

    def __exit__(self, *_exception: object) -> None:
        stream, self._stream = self._stream, None
        with self._room:
            self._room.notify_all()
        stream.close()

    def check(self) -> None:
        """A device that was unplugged is only not heard any more."""

    def write(self, first: int, samples: NDArray[np.int16]) -> None:
        """Called in the middle of a guest's instruction: it may wait, and raises nothing."""
        new = samples[max(0, self._next - first) :]
        if not len(new) or self._stream is None:
            return
        first += len(samples) - len(new)
        pause = min(first - self._next, SILENCE)
        self._next = first + len(new)
        both = new if new.ndim == 2 else np.stack((new, new), axis=1)
        with self._room:
            if pause:
                both = np.concatenate((np.zeros((pause, 2), np.int16), both))
            self._room.wait_for(lambda: self._count < AHEAD or self._stream is None, PATIENCE_S)
            if self._count < AHEAD:
                self._waiting.append(both)
                self._count += len(both)

    def _play(self, out: Any, frames: int, _time: object, _status: object) -> None:
        """Called by the device, in a thread of its own."""
        out[:] = 0
        done = 0
        with self._room:
            while done < frames and self._waiting:
                piece = self._waiting.popleft()
                some = piece[: frames - done]
                out[done : done + len(some)] = some
                done += len(some)
                if len(some) < len(piece):
                    self._waiting.appendleft(piece[len(some) :])
            self._count -= done
            self._room.notify_all()


def open_stream(play: Callable[..., None]) -> Any:
    """The default device, which calls `play` for what it needs. UserError."""
    try:
        import sounddevice
    except ImportError as error:
        raise UserError(
            "--sound host needs the package sounddevice: pip install 'virtual-platform[sound]', "
            "or give a file, as --sound wav:FILE"
        ) from error
    except OSError as error:  # it is there, and the library that it loads is not
        raise UserError(
            "--sound host needs the library PortAudio: install it (Debian: libportaudio2), "
            "or give a file, as --sound wav:FILE"
        ) from error
    try:
        stream = sounddevice.OutputStream(samplerate=RATE, channels=2, dtype="int16", callback=play)
        stream.start()
    except (sounddevice.PortAudioError, ValueError) as error:
        raise UserError(
            f"--sound host: there is no sound device to play on ({error}); give a file, as "
            "--sound wav:FILE"
        ) from error
    return stream


class Pulse:
    """Asks for what has become due, every 20 ms of the machine's time, that nobody has to wait."""

    def __init__(self, bus: Any, heard: Sounding) -> None:
        self._bus = bus
        self._heard = heard
        self._timer = bus.timer(self._beat)
        self._set()

    def _beat(self) -> None:
        self._heard.render()
        self._set()

    def _set(self) -> None:
        self._timer.set(self._bus.clock.now() + PULSE_NS)


def _nothing() -> None:
    pass

"""A recording as a folder: a PNG for every picture that differs from the one before.

    000000.png ...   the number of its step: 25 make a second of the guest's time
    times.csv        file, and how many milliseconds it is shown
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
STEP = 40  # milliseconds
TIMES = "times.csv"


class Pictures:
    """A Writer (monitor/recording/recorder.py)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._step = 0
        self._times: IO[str]

    def open(self) -> None:
        """Begin. OSError."""
        self._folder.mkdir(exist_ok=True)
        self._times = (self._folder / TIMES).open("w", encoding="ascii")
        self._times.write("file,milliseconds\n")

    def show(self, picture: Picture, steps: int) -> None:
        """One file."""
        from PIL import Image

        name = f"{self._step:06}.png"
        Image.fromarray(np.ascontiguousarray(picture)).save(self._folder / name, "PNG")
        self._times.write(f"{name},{steps * STEP}\n")
        self._step += steps

    def close(self) -> None:
        """That was all."""
        self._times.close()

    def discard(self) -> None:
        """What there is stays: each picture is whole."""
        with suppress(OSError):
            self._times.close()

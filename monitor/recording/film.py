"""A recording as a film: H.264 in MP4, by the ffmpeg that comes with the package imageio-ffmpeg.

One thread encodes, and nothing of versions or times is written, so the same pictures are the same
bytes.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from monitor.recording.canvas import fitted
from monitor.recording.recorder import RATE
from monitor.vmm.errors import UserError
from monitor.writing.whole_file import draft_of

Picture = npt.NDArray[np.uint8]
WIDTH, HEIGHT = 1024, 768
OPTIONS = ["-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1"]


class Film:
    """A Writer (monitor/recording/recorder.py). UserError: the package is missing."""

    def __init__(self, path: Path) -> None:
        try:
            import imageio_ffmpeg  # noqa: F401
        except ImportError as error:
            raise UserError(
                f"{path}: a film needs the package imageio-ffmpeg: "
                "pip install 'virtual-platform[film]' (or take a name that ends in .gif)"
            ) from error
        draft, self._target = draft_of(path)
        self._draft = draft if draft == self._target else draft.with_name(draft.name + ".mp4")
        self._ffmpeg: Generator[None, Picture | None, None]

    def open(self) -> None:
        """Begin. OSError."""
        from imageio_ffmpeg import write_frames

        self._draft.open("wb").close()  # whether it can be, in words of ours
        self._ffmpeg = write_frames(
            str(self._draft), (WIDTH, HEIGHT), fps=RATE, codec="libx264", quality=None,
            macro_block_size=2, output_params=[*OPTIONS, "-crf", "18"], ffmpeg_log_level="error",
        )  # fmt: skip
        self._ffmpeg.send(None)

    def show(self, picture: Picture, steps: int) -> None:
        """So many frames."""
        frame = np.ascontiguousarray(fitted(picture, WIDTH, HEIGHT))
        for _ in range(steps):
            self._ffmpeg.send(frame)

    def close(self) -> None:
        """That was all."""
        self._ffmpeg.close()
        if self._draft != self._target:
            self._draft.replace(self._target)

    def discard(self) -> None:
        """Nothing is left."""
        with suppress(OSError):
            self._ffmpeg.close()
        if self._draft != self._target:
            self._draft.unlink(missing_ok=True)

"""Which recording is which kind: by the end of its name.

    boot.gif    an animation that every browser shows; colours as far as 256 go
    boot.mp4    a film (H.264), with the package imageio-ffmpeg
    boot/       a folder: a PNG for every picture that differs, and times.csv
"""

from __future__ import annotations

from pathlib import Path

from devices.bus import Bus
from monitor.recording.film import Film
from monitor.recording.gif import Gif
from monitor.recording.pictures import Pictures
from monitor.recording.recorder import Recorder, Screen, Writer
from monitor.vmm.errors import UserError

FORMS = "FILE.gif, FILE.mp4 or FOLDER/"


def recording_of(path: str | Path, screen: Screen, bus: Bus) -> Recorder:
    """A recording of a machine's screen. UserError: there is no such kind."""
    return Recorder(Path(path), writer_of(str(path)), screen, bus)


def writer_of(path: str) -> Writer:
    """Who writes such a file. UserError: nobody, or a package is missing."""
    needs_pillow(path)
    if path.endswith("/") or Path(path).is_dir():
        return Pictures(Path(path))
    ending = Path(path).suffix.lower()
    if ending == ".gif":
        return Gif(Path(path))
    if ending == ".mp4":
        return Film(Path(path))
    raise UserError(f"{path}: no recording has such a name: take {FORMS}")


def needs_pillow(path: str) -> None:
    """UserError: it is not installed."""
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{path}: a recording needs the package Pillow: "
            "pip install 'virtual-platform[screen]'"
        ) from error

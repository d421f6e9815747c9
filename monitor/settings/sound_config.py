"""Where a machine's sound goes, as `--sound` says it, and what it has to make it.

    wav:FILE    into a file        host    to this computer's sound device        none

>>> parse_sound("wav:song.wav").path
PosixPath('song.wav')
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from monitor.vmm.errors import UserError

FORMS = ("wav:FILE", "host", "none")
CARDS = ("none", "sb16")


@dataclass(frozen=True)
class SoundConfig:
    """A file, or the host's device."""

    path: Path | None = None


def parse_sound(text: str) -> SoundConfig | None:
    """What `--sound` says; None is nowhere. UserError."""
    kind, _, name = text.partition(":")
    if text == "none":
        return None
    if text == "host":
        return SoundConfig()
    if kind == "wav" and name:
        return SoundConfig(Path(name))
    raise UserError(f"--sound {text}: choose from {', '.join(FORMS)}")

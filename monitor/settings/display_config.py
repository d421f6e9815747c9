"""Where the guest's screen goes, as `--display` says it.

    none, terminal
    png:FILE            a picture of the screen as it is in the end

>>> parse_display("png:end.png")
DisplayConfig(kind='png', path=PosixPath('end.png'))
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from monitor.settings.did_you_mean import question
from monitor.vmm.errors import UserError

FORMS = ("none", "terminal", "png:FILE")
NONE, TERMINAL, PNG = "none", "terminal", "png"


@dataclass(frozen=True)
class DisplayConfig:
    """none, terminal, or png with a `path`."""

    kind: str = NONE
    path: Path | None = None


def parse_display(text: str) -> DisplayConfig:
    """What `--display` says. UserError."""
    kind, _, rest = text.partition(":")
    if kind == PNG and rest:
        return DisplayConfig(PNG, Path(rest))
    if text in (NONE, TERMINAL):
        return DisplayConfig(text)
    words = [form.partition(":")[0] for form in FORMS]
    meant = question(kind, words) if kind not in words else ""
    choices = ", ".join(FORMS) + (f"; {meant}" if meant else "")
    raise UserError(f"--display {text}: choose from {choices}")

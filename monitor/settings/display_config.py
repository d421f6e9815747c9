"""Where the guest's screen goes, as `--display` says it.

    none, terminal, window
    png:FILE            a picture of the screen as it is in the end
    vnc=HOST:PORT       any VNC client's (monitor/settings/vnc_config.py)

>>> parse_display("png:end.png").path
PosixPath('end.png')
>>> parse_display("vnc=:0").vnc
VncConfig(host='127.0.0.1', port=5900, password='')
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from monitor.settings.did_you_mean import question
from monitor.settings.vnc_config import FORM, VncConfig, parse_vnc
from monitor.vmm.errors import UserError

FORMS = ("none", "terminal", "window", "png:FILE", FORM)
NONE, TERMINAL, WINDOW, PNG, VNC = "none", "terminal", "window", "png", "vnc"
ATTENDED = (WINDOW, VNC)  # somebody may sit there with a mouse


@dataclass(frozen=True)
class DisplayConfig:
    """One of FORMS; png with a `path`, vnc with its address. And what is recorded (--record)."""

    kind: str = NONE
    path: Path | None = None
    vnc: VncConfig | None = None
    record: str | None = None


def parse_display(text: str) -> DisplayConfig:
    """What `--display` says. UserError."""
    if text.startswith(f"{VNC}="):
        return DisplayConfig(VNC, vnc=parse_vnc(text.partition("=")[2]))
    kind, _, rest = text.partition(":")
    if kind == PNG and rest:
        return DisplayConfig(PNG, Path(rest))
    words = [re.split("[:=]", form)[0] for form in FORMS]
    if text in FORMS:
        return DisplayConfig(text)
    meant = question(kind, words) if kind not in words else ""
    choices = ", ".join(FORMS) + (f"; {meant}" if meant else "")
    raise UserError(f"--display {text}: choose from {choices}")

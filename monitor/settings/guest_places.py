"""Where the files of guests are: in this folder, beside the program's sources, or the user's.

    guests/                                   of the current folder
    guests/                                   of the source tree, which `make guests` fills
    ~/.local/share/virtual-platform/guests    filled by `vp guest fetch` if there is no tree

What no package has is looked for in a folder shared/guests beside the source tree, too.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path("guests")
OF_SOURCES = ROOT / "guests"
SHARED = ROOT.parent / "shared" / "guests"


def of_user() -> Path:
    """The user's own (XDG Base Directory Specification)."""
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "virtual-platform" / "guests"


def folders() -> tuple[Path, ...]:
    """Where to look, in order."""
    return HERE, OF_SOURCES, of_user(), SHARED


def find(name: str) -> Path | None:
    """The file of this name, as guests' rows have it."""
    return next((folder / name for folder in folders() if (folder / name).is_file()), None)


def goal() -> Path:
    """Where what is fetched goes."""
    return OF_SOURCES if (ROOT / "tools" / "fetch_guests.py").exists() else of_user()

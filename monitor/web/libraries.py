"""Where the terminal for the browser is: xterm.js, as the Python package nbclassic brings it.

None of it is in this repository, and nothing is fetched when the page is shown. Debian's package
libjs-xterm is no source: its file holds the first of many modules, and asks for the others.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

FILES = {
    "xterm.js": "static/components/xterm.js/index.js",
    "xterm.css": "static/components/xterm.js-css/index.css",
}
MISSING = "the serial console needs xterm.js, which is not here: pip install nbclassic"


def xterm() -> dict[str, Path]:
    """Its files by the names that they have on the page; none if it is not installed."""
    package = find_spec("nbclassic")
    if package is None or package.origin is None:
        return {}
    found = {name: Path(package.origin).parent / path for name, path in FILES.items()}
    return found if all(path.is_file() for path in found.values()) else {}

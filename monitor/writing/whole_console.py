"""A console that cuts nothing off: where text for people goes, and how wide that is.

    a terminal      its own width, or COLUMNS
    anything else   COLUMNS, if it is set; without it as wide as the text needs

What is wider than that all the same is printed whole, and a terminal wraps it.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from rich.console import Console

FULL = 10_000  # columns, where nobody says how many there are
USUAL = 80  # of a terminal that does not say


class WholeConsole(Console):
    """rich's, but nothing is cropped at its right edge."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*objects, **{"crop": False, **options})


def whole_console(*, stderr: bool = False, **options: Any) -> WholeConsole:
    """Standard output or standard error. Numbers are not coloured, and ":x:" is no picture."""
    usual = {"highlight": False, "emoji": False,
             "width": _width(sys.stderr if stderr else sys.stdout)}  # fmt: skip
    return WholeConsole(stderr=stderr, **{**usual, **options})


def _width(stream: Any) -> int | None:
    """None: rich asks the terminal, and again when it has been resized."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    if stream is None or not stream.isatty():
        return FULL
    return _of_terminal(stream) if columns else None  # rich would believe what makes no sense


def _of_terminal(stream: Any) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL
    except OSError:
        return USUAL

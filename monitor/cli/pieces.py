"""Pieces that verbs share: kinds of options, and a console for tables."""

from __future__ import annotations

from typing import Any


def positive(text: str) -> int:
    """A whole number, 1 or more."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


positive.__name__ = "number"  # argparse's messages: "invalid number value"


def plain_console(**options: Any) -> Any:
    """A console that takes what it prints as it is."""
    from monitor.whole_console import whole_console

    return whole_console(markup=False, **options)

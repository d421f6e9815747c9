"""Pieces that verbs share: kinds of options (quantities.py), and a console for tables."""

from __future__ import annotations

from typing import Any

from monitor.cli.quantities import positive as positive

PIPE_WIDTH = 200  # columns where the output is no terminal


def plain_console(**options: Any) -> Any:
    """A console that takes what it prints as it is."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, **options)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console

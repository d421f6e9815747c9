"""Pieces that verbs share: kinds of options (quantities.py), and a console for tables."""

from __future__ import annotations

from typing import Any

from monitor.cli.quantities import positive as positive


def plain_console(**options: Any) -> Any:
    """A console that takes what it prints as it is."""
    from monitor.whole_console import whole_console

    return whole_console(markup=False, **options)

"""A console for tables, which verbs share."""

from __future__ import annotations

from typing import Any


def plain_console(**options: Any) -> Any:
    """A console that takes what it prints as it is."""
    from monitor.writing.whole_console import whole_console

    return whole_console(markup=False, **options)

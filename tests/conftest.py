"""Tests marked `slow` are left out where the interpreter is uncompiled; a watchdog is over each."""

from __future__ import annotations

import pytest
from watchdog import pytest_configure, pytest_timeout_set_timer  # noqa: F401  (they are hooks)

from bt.engine import BUILD

TOO_LONG = "too long for the uncompiled interpreter: install gcc and Python's headers, `make build`"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if BUILD == "compiled":
        return
    for item in items:
        if item.get_closest_marker("slow") is not None:
            item.add_marker(pytest.mark.skip(reason=TOO_LONG))

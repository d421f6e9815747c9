"""Fixtures: a machine with a page, and a browser (attending.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attending import CHROMIUM, Attending
from patience import PATIENCE


@pytest.fixture
def attending() -> Iterator[Attending]:
    with Attending() as made:
        yield made


@pytest.fixture
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE * 1000
        )
        yield chromium
        chromium.close()

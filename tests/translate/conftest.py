"""`--regenerate`-like switch for the expected translations: VP_REGENERATE=1 rewrites them."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def regenerate() -> bool:
    return os.environ.get("VP_REGENERATE") == "1"

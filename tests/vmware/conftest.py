"""What the tests of VMware's guest interfaces share."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["bare", "trap", "translate"])
def mode(request: pytest.FixtureRequest) -> str:
    """Every kind of processor."""
    return str(request.param)

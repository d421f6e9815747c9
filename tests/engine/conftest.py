"""Every test of this folder runs on every engine there is."""

from __future__ import annotations

import pytest
from engine_lab import Lab

from bt.engine import ENGINES


@pytest.fixture(params=list(ENGINES))
def engine_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def lab(engine_name: str) -> Lab:
    return Lab(engine_name)

"""Fixtures of the directed tests of the system half."""

from __future__ import annotations

import pytest
from system_lab import Lab


@pytest.fixture
def lab() -> Lab:
    return Lab()

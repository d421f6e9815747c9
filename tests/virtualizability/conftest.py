"""One survey of everything, for all tests of this folder."""

from __future__ import annotations

import pytest

from bt.virtualizability.survey import Survey, survey


@pytest.fixture(scope="session")
def result() -> Survey:
    return survey(with_host=False)

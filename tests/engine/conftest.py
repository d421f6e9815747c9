"""Every test of this folder runs on every engine there is, or on those with what it needs.

    pytestmark = pytest.mark.engine("exact_counts")     # a file's, or @pytest.mark.engine(...)

names the `Traits` that an engine must have. `free` and `inexact` are no engines for users
(inexact.py): they show how far an engine may go, and that the tests for all let it.
"""

from __future__ import annotations

import pytest
from engine_lab import Lab
from inexact import FreeEngine, InexactEngine

from bt.contract import Selectors
from bt.engine import ENGINES, EngineClass

KINDS: dict[str, EngineClass] = {**ENGINES, "free": FreeEngine, "inexact": InexactEngine}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine_name" not in metafunc.fixturenames:
        return
    marks = list(metafunc.definition.iter_markers("engine"))
    needed = [trait for mark in marks for trait in mark.args]
    names = [name for name, kind in KINDS.items() if all(has(kind, trait) for trait in needed)]
    metafunc.parametrize("engine_name", names)


def has(kind: EngineClass, trait: str) -> bool:
    """Has this engine a trait of that name; or does it load segments, or leave them alone?"""
    loads = kind.traits.selectors is Selectors.SHADOW
    return {"loads": loads, "loads_nothing": not loads}.get(trait) or bool(
        getattr(kind.traits, trait, False)
    )


@pytest.fixture
def lab(engine_name: str) -> Lab:
    return Lab(KINDS[engine_name])

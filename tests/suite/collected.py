"""A pytest plugin: write down what was collected, in a world where everything by chance is other.

    COLLECTED=out.json OTHER_WORLD=1 python -m pytest --collect-only -p collected tests

Each test is a line: its id, and its parameters as far as they can be compared. In the other world
the clocks are ten days ahead and folders are read backwards. The rest is the caller's to change:
PYTHONHASHSEED, the working directory, TMPDIR; and addresses change by themselves.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import os
import time
import types
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import PurePath
from typing import Any

import pytest

AHEAD = 10 * 86400  # seconds
CLOCKS = ("time", "monotonic", "perf_counter")
DEPTH = 12


def _another_world() -> None:
    for name in CLOCKS:
        for clock, unit in ((name, 1), (f"{name}_ns", 10**9)):
            real = getattr(time, clock)
            setattr(time, clock, lambda real=real, unit=unit: real() + AHEAD * unit)
    listdir, scandir = os.listdir, os.scandir
    os.listdir = lambda *where: listdir(*where)[::-1]  # type: ignore[assignment]
    os.scandir = lambda *where: _Backwards(scandir(*where))  # type: ignore[assignment]


class _Backwards:
    """os.scandir()'s result in the other order."""

    def __init__(self, entries: Any) -> None:
        with entries:
            self._entries = iter(list(entries)[::-1])

    def __iter__(self) -> Iterator[Any]:
        return self._entries

    def __next__(self) -> Any:
        return next(self._entries)

    def __enter__(self) -> _Backwards:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass


def described(value: Any, depth: int = 0) -> Any:
    """A parameter without what may differ from process to process: a set has no order.

    What is neither data nor has a name is its type.
    """
    kind = type(value).__qualname__
    if depth > DEPTH:
        return kind
    inner = functools.partial(described, depth=depth + 1)
    if value is None or isinstance(value, bool | int | float | str):
        return [kind, repr(value)]
    if isinstance(value, bytes | bytearray | memoryview):
        return [kind, bytes(value).hex()]
    if isinstance(value, PurePath):
        return [kind, str(value)]
    if isinstance(value, enum.Enum):
        return [kind, value.name]
    if isinstance(value, functools.partial):
        return [kind, inner(value.func), inner(value.args), inner(value.keywords)]
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        return [kind, value.__module__, value.__qualname__]
    if isinstance(value, types.MethodType):
        return [kind, inner(value.__self__), value.__func__.__qualname__]
    if dataclasses.is_dataclass(value):
        return [kind, [inner(getattr(value, field.name)) for field in dataclasses.fields(value)]]
    if isinstance(value, Mapping):
        return [kind, [[inner(key), inner(each)] for key, each in value.items()]]
    if isinstance(value, Set):
        return [kind, sorted((inner(each) for each in value), key=json.dumps)]
    if isinstance(value, Sequence):
        return [kind, [inner(each) for each in value]]
    return kind


def pytest_collection_finish(session: pytest.Session) -> None:
    lines = []
    for item in session.items:
        call = getattr(item, "callspec", None)
        lines.append([item.nodeid, described(dict(call.params) if call else {})])
    with open(os.environ["COLLECTED"], "w", encoding="utf-8") as file:
        json.dump(lines, file)


if os.environ.get("OTHER_WORLD"):
    _another_world()

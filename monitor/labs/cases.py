"""A test of a lab, and how it says that a submission has failed it.

    def interrupts_come(submission):
        if count != 10:
            raise Failed("10 interrupts", f"{count}", "Does STI set VSYS?")

    CASES = (Case("interrupts come", 10, interrupts_come),)

A test may have cases of its own: programs that are run, questions that are asked. It says by
`at(name)` which one comes next, so that what the submission prints can be shown with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from monitor.labs.submission import Submission

_Each = TypeVar("_Each")
_listener: ContextVar[Callable[[str], None]] = ContextVar("listener", default=lambda _name: None)
_program: ContextVar[str] = ContextVar("program", default="")


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Inside, `listener` is told of each case as it begins."""
    before, program = _listener.set(listener), _program.set("")
    try:
        yield
    finally:
        _listener.reset(before)
        _program.reset(program)


def at(name: str) -> None:
    """The case that comes next."""
    _listener.get()(_program.get() + name)


def programs(several: Iterable[_Each]) -> Iterator[_Each]:
    """One after the other; the cases of each have its number in front, if there are several."""
    several = tuple(several)
    for number, each in enumerate(several, 1):
        _program.set(f"program {number} of {len(several)}, " if len(several) > 1 else "")
        yield each
    _program.set("")


class Failed(Exception):
    """What was expected, what came out, and where to look."""

    def __init__(self, expected: str, got: str, hint: str) -> None:
        super().__init__(f"expected: {expected}\ngot:      {got}\nhint:     {hint}")


@dataclass(frozen=True)
class Case:
    """One test: `run` returns if it passes, and raises Failed if not."""

    name: str
    points: int
    run: Callable[[Submission], None]

"""How far a measurement is: on the terminal, or told to a function of the caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from monitor.bench.rows import Row
from monitor.writing.progress import bar

Progress = bool | Callable[[int, int], None]
"""True: a bar on standard error, if that is a terminal. A function is called with the rows that are
done and how many there will be."""


def collect(rows: Iterable[Row], size: int, what: str, progress: Progress) -> list[Row]:
    """All of them, with their progress shown."""
    if callable(progress):
        return list(_told(rows, size, progress))
    done = []
    with bar(what, size, wanted=progress) as display:
        for row in rows:
            done.append(row)
            display.advance()
    return done


def _told(rows: Iterable[Row], size: int, tell: Callable[[int, int], None]) -> Iterable[Row]:
    tell(0, size)
    for done, row in enumerate(rows, 1):
        yield row
        tell(done, size)

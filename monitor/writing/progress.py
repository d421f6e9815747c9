"""Progress on standard error, for whatever takes longer than anybody waits without a word.

    with bar("measuring nano", total=40) as shown:      work that can be counted
        shown.advance("popf, translate")

    with StatusLine(lambda: Text("3.1 s, 12 MIPS")) as line:  one line that says what is going on
        line.show(); ...; line.hide()

rich draws it, and only where standard error is a terminal that can be drawn on: a pipe or a file
gets nothing, whatever FORCE_COLOR says. When it ends, no trace of it is left.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.progress import Progress
    from rich.text import Text
    from typing_extensions import Self

REFRESH_PER_SECOND = 4
BAR_WIDTH = 16
DUMB = ("dumb", "unknown")  # terminals that cannot move their cursor


def visible() -> bool:
    """Would anybody see it?"""
    if sys.stderr is None or os.environ.get("TERM", "") in DUMB:
        return False
    return sys.stderr.isatty()


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False)


class Bar:
    """Counted work on the display. Does nothing where there is none."""

    def __init__(self, progress: Progress | None, what: str, total: float | None) -> None:
        self._progress = progress
        self._task = None if progress is None else progress.add_task(what, total=total, doing="")

    def advance(self, doing: str | None = None) -> None:
        """One step more is done; `doing` says what it was."""
        self._update(doing, advance=1)

    def reach(self, done: float, doing: str | None = None) -> None:
        """So much is done by now."""
        self._update(doing, completed=done)

    def say(self, doing: str) -> None:
        """What is being done now."""
        self._update(doing)

    def print(self, line: str) -> None:
        """A line on standard output, above the display."""
        if self._progress is not None:
            self._progress.stop()
        print(line, flush=True)
        if self._progress is not None:
            self._progress.start()

    def _update(self, doing: str | None, **figures: float) -> None:
        if self._progress is not None and self._task is not None:
            words = {} if doing is None else {"doing": doing}
            self._progress.update(self._task, **figures, **words)  # type: ignore[arg-type]

    def begin(self, done: float) -> None:
        """So much was done before: it says nothing about the time that the rest will take."""
        if self._progress is not None and self._task is not None:
            self._progress.reset(self._task, completed=int(done))


@contextmanager
def bar(what: str, total: float | None = None, wanted: bool = True) -> Iterator[Bar]:
    """Show how far it is, how long it has taken and will take, and what is being done.

    `total` is the number of steps; None where nobody knows, and then only time is shown.
    """
    if not (wanted and visible()):
        yield Bar(None, what, total)
        return
    from rich import progress

    known = (progress.TextColumn("left"), progress.TimeRemainingColumn())
    columns = (
        progress.TextColumn("{task.description}", markup=False), progress.BarColumn(BAR_WIDTH),
        progress.TaskProgressColumn(), progress.TimeElapsedColumn(), *(known if total else ()),
        progress.TextColumn("{task.fields[doing]}", markup=False),
    )  # fmt: skip
    with progress.Progress(
        *columns, console=_console(), transient=True, refresh_per_second=REFRESH_PER_SECOND,
        redirect_stdout=False, redirect_stderr=False,
    ) as display:  # fmt: skip
        yield Bar(display, what, total)


class StatusLine:
    """One line, asked for four times a second; shown and hidden as often as one likes.

    A thread of its own draws it, and nobody else: hide() only waits until it is gone. So a signal's
    handler may call it, whatever it has interrupted.
    """

    def __init__(self, text: Callable[[], Text]) -> None:
        self._text = text
        self._wanted = self._over = False
        self._wake, self._gone = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._draw, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.hide()
        self._over = True
        self._wake.set()
        self._thread.join()

    def show(self) -> None:
        """Draw it from now on."""
        self._wanted = True
        self._wake.set()

    def hide(self) -> None:
        """Take it away. When this returns, nothing more is drawn."""
        self._wanted = False
        self._gone.clear()
        self._wake.set()
        while not self._gone.wait(1 / REFRESH_PER_SECOND) and self._thread.is_alive():
            pass

    def _draw(self) -> None:
        live: Live | None = None
        while not self._over:
            if self._wanted:
                live = live or self._begin()
                live.refresh()
            elif live is not None:
                live.stop()
                live = None
            if live is None:
                self._gone.set()
            self._wake.wait(None if live is None else 1 / REFRESH_PER_SECOND)
            self._wake.clear()

    def _begin(self) -> Live:
        from rich.live import Live

        live = Live(get_renderable=self._text, console=_console(), transient=True,
                    auto_refresh=False, redirect_stdout=False, redirect_stderr=False)  # fmt: skip
        live.start()
        return live

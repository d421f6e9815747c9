"""What run() waits for beside the guest's own end: a text on console or screen, or an event.

Either is noticed at the instruction that brings it, which ends the turn; the check between turns
only looks whether it has come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from monitor.host.console import Console
from monitor.vmm.events import ExitEvent
from monitor.vmm.outcome import Outcome
from monitor.vmm.processor import Processor

Check = Callable[[], Outcome | None]


class TextScreen(Protocol):
    """A screen on which a text may be waited for, as on a console."""

    def await_text(self, wanted: bytes, since: int | str) -> None:
        """Look for a text from now on, in place of the one before."""

    def forget_text(self) -> None:
        """Look for nothing."""

    def found(self) -> bool:
        """Has it come?"""


class Waiting:
    """One machine's. The event's listener stays plugged in once one was waited for."""

    def __init__(self, console: Console, processor: Processor, screen: TextScreen) -> None:
        self._console = console
        self._screen = screen
        self._processor = processor
        self._awaited_event: str | None = None
        self._event: ExitEvent | None = None

    def check(
        self, until: str | bytes | None, since: int | str, until_event: str | None
    ) -> Check | None:
        """What the loop asks between turns; None if nothing is waited for."""
        text = self._text(until, since)
        self._awaited_event = until_event
        self._event = None
        if until_event is None:
            return text
        if self._see not in self._processor.listeners:
            self._processor.listeners.append(self._see)

        def come() -> Outcome | None:
            if self._event is not None:
                event = self._event
                return Outcome("event", detail=f"{event.reason} at {event.eip:#010x}")
            return text() if text is not None else None

        return come

    def _see(self, event: ExitEvent) -> None:
        if event.reason == self._awaited_event:
            self._event = event
            self._processor.notice()

    def _text(self, until: str | bytes | None, since: int | str) -> Check | None:
        console = self._console
        if until is None:
            console.forget_text()
            self._screen.forget_text()
            return None
        wanted = until.encode() if isinstance(until, str) else until
        awaited = console.await_text(wanted, since)
        self._screen.await_text(wanted, since)

        def come() -> Outcome | None:
            if awaited.found:
                return Outcome("until", detail=f"the console shows {wanted!r}")
            if self._screen.found():
                return Outcome("until", detail=f"the screen shows {wanted!r}")
            return None

        return come

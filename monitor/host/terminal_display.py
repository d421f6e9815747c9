"""The guest's screen on the user's terminal, and the user's keys on the guest's keyboard.

Manual: xterm's control sequences, "alternate screen buffer".

The screen is drawn by the machine's own thread, between two turns, FRAMES times a second at most.
Keys come from the thread that reads the terminal and are pressed in the machine's. The terminal is
asked whether it draws pictures, and used as one that does once it has said so. Its own picture is
back when the machine has ended.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from monitor.host.terminal import write_all
from monitor.host.terminal_answers import QUERY, Answers
from monitor.host.terminal_keys import Chord, keys_of

if TYPE_CHECKING:
    from typing_extensions import Self

    from monitor import Machine

FRAMES = 30
MOST_KEYS = 1024  # that wait for the machine
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[0m\x1b[?25h\x1b[?1049l"


class Picture(Protocol):
    """What is to be sent to the terminal (monitor/screen/ansi.py)."""

    graphics: str
    """What draws pictures: "kitty", "sixel", or "" for half blocks."""
    pixels: tuple[int, int] | None
    """The terminal's width and height, if it has said."""

    def frame(self) -> str:
        """What has changed since this was asked last."""

    def forget(self) -> None:
        """Send everything again."""


class TerminalDisplay:
    """A context manager, and a chore of the machine's loop."""

    def __init__(
        self, machine: Machine, picture: Picture, descriptor: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._machine = machine
        self._picture = picture
        self._descriptor = descriptor
        self._clock = clock
        self._next = 0.0
        self._paused = False  # something else is to be read on the terminal, until a key comes
        self._keys: deque[Chord] = deque()
        self._lock = threading.Lock()
        self._answers = Answers()

    def __enter__(self) -> Self:
        self._send(ENTER + QUERY)
        self._machine.loop.chores.append(self)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._machine.loop.chores.remove(self)
        self._send(LEAVE)

    def type(self, sent: bytes) -> None:
        """Keys of the terminal's, from any thread. More than MOST_KEYS that wait are lost."""
        with self._lock:
            sent = self._answers.feed(sent)
            self._paused = self._paused and not sent
            self._keys.extend(keys_of(sent)[: MOST_KEYS - len(self._keys)])
        self._machine.loop.look_soon()

    def pause(self) -> None:
        """Leave the terminal alone until a key is typed: there is something to be read."""
        with self._lock:
            self._paused = True
        self._picture.forget()

    def look(self) -> int | None:
        """Press what was typed, and draw if it is time; wants no instruction of its own."""
        with self._lock:
            typed, paused = list(self._keys), self._paused
            self._keys.clear()
            answers = self._answers
            self._picture.pixels = answers.pixels
            self._picture.graphics = (
                "kitty" if answers.kitty else "sixel" if answers.sixel else ""
            )
        for chord in typed:
            self._machine.keyboard.chord(*chord)
        now = self._clock()
        if now >= self._next and not paused:
            self._next = now + 1 / FRAMES
            news = self._picture.frame()
            if news:
                self._send(news.encode())
        return None

    def _send(self, data: bytes) -> None:
        self._machine.board.host.request("display", write_all, self._descriptor, data)

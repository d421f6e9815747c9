"""What comes to the guest from outside: keys, the mouse, bytes on a serial line, a clipboard.

Who has something for the guest gives it here, from any thread, and the machine hands it over
between two turns, in order, to whoever takes that kind. So there is one place to note what a run
was given and when, and to give it again (monitor/checkpoint/recorded_inputs.py stands in this
one's place then). What the guest asks of the outside in the middle of an instruction goes the same
way, by `answer`.

>>> taken = []
>>> inputs = Inputs()
>>> inputs.connect("keys", taken.append)
>>> inputs.give("keys", "+a"); inputs.waiting
True
>>> for source, data in inputs.take(): inputs.hand_over(source, data)
>>> taken, inputs.waiting
(['+a'], False)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from monitor.vmm.back_ends import CharacterBackEnd

Answer = TypeVar("Answer")
Taker = Callable[[Any], None]


class InputSource(Protocol):
    """What the board asks of its inputs."""

    def give(self, source: str, data: Any) -> None:
        """Something for the guest. From any thread."""

    @property
    def waiting(self) -> bool:
        """Would take() give something now?"""

    @property
    def open(self) -> bool:
        """May somebody still type while the machine runs?"""

    @property
    def repeated(self) -> bool:
        """Is this a part of the run that has been before?"""

    @property
    def told_once(self) -> bool:
        """Are we called for output that will not be told again?"""

    def take(self) -> list[tuple[str, Any]]:
        """What the guest gets now: the source's name, and what it is."""

    def hand_over(self, source: str, data: Any) -> None:
        """To whoever takes it."""

    def answer(self, source: str, ask: Callable[[], Answer]) -> Answer:
        """What the outside says to a question of the guest's."""


class Inputs:
    """One machine's. A line (monitor/vmm/back_ends.py) keeps what was typed on it itself."""

    repeated = told_once = False

    def __init__(self) -> None:
        self._takers: dict[str, Taker] = {}
        self._lines: dict[str, CharacterBackEnd] = {}
        self._given: deque[tuple[str, Any]] = deque()
        #: Displays at which somebody may press a key or move a mouse.
        self.attended = 0

    def connect(self, source: str, taker: Taker, line: CharacterBackEnd | None = None) -> None:
        """From now on this takes what comes from there."""
        self._takers[source] = taker
        if line is not None:
            self._lines[source] = line

    def give(self, source: str, data: Any) -> None:
        """Something for the guest. From any thread."""
        self._given.append((source, data))

    @property
    def waiting(self) -> bool:
        """Would take() give something now? Asked in every turn."""
        if self._given:
            return True
        return any(line.waiting for line in self._lines.values())

    @property
    def open(self) -> bool:
        """May somebody still type while the machine runs?"""
        return any(line.input_open for line in self._lines.values())

    def take(self) -> list[tuple[str, Any]]:
        """What the guest gets now."""
        taken: list[tuple[str, Any]] = [
            (source, line.take()) for source, line in self._lines.items() if line.waiting
        ]
        for _ in range(len(self._given)):  # and not what comes meanwhile
            taken.append(self._given.popleft())
        return taken

    def hand_over(self, source: str, data: Any) -> None:
        """To whoever takes it."""
        self._takers[source](data)

    def answer(self, source: str, ask: Callable[[], Answer]) -> Answer:
        """What the outside says to a question of the guest's."""
        return ask()

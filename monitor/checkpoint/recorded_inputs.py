"""Inputs that are noted with the place where the guest got them, and given again there.

They stand between the board and its real inputs (monitor/vmm/inputs.py). While the run is at its
newest place, what comes goes to the guest and is noted; in the past the guest gets what it got
then, and what comes waits until the run is where it has not been before. One list holds all of it:
serial lines, keys, the mouse, the clipboard. Answers to what the guest asked are noted as well.

A function of the embedder's that the machine calls is called again when the past is repeated. What
it gives then is in the list already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from monitor.checkpoint.recorded_line import When
from monitor.vmm.inputs import Inputs

Answer = TypeVar("Answer")


class Run(Protocol):
    """Whose inputs they are."""

    telling: bool
    """Are listeners called with what the guest sends?"""

    def when(self) -> When:
        """Where it is between two turns."""

    def when_within(self) -> When:
        """Where it is, also within an instruction."""

    @property
    def in_the_past(self) -> bool:
        """Has it been further?"""

    def amid_rep(self) -> bool:
        """Is it between two iterations of a REP, where one place is like another?"""

    def calls_us(self) -> bool:
        """Are we called from within a run, by its own thread?"""

    def timers_due(self) -> bool:
        """Is there a timer that has to go off here?"""

    def fire(self) -> None:
        """Let these go off."""


class Noted(NamedTuple):
    """One thing that came."""

    when: When
    source: str
    data: Any
    after_timers: bool = False  # those of that moment had gone off before


class RecordedInputs:
    """An InputSource (monitor/vmm/inputs.py)."""

    def __init__(self, inputs: Inputs, run: Run) -> None:
        self._inputs = inputs
        self._run = run
        self._came: list[Noted] = []
        self._next = 0  # of these, while the past is repeated
        self._answers: list[Noted] = []
        self._next_answer = 0
        self._gifts: list[When] = []  # where functions that the machine calls have given something
        self._next_gift = 0

    def give(self, source: str, data: Any) -> None:
        """Something for the guest."""
        if not (self._run.calls_us() and self._is_given_again()):
            self._inputs.give(source, data)

    def _is_given_again(self) -> bool:
        """By a function that was called at this place before?"""
        here = self._run.when_within()
        while self._next_gift < len(self._gifts) and self._gifts[self._next_gift] < here:
            self._next_gift += 1  # by one that is not called again: whoever searches calls no hooks
        again = self._next_gift < len(self._gifts) and self._gifts[self._next_gift] == here
        if not again:
            self._gifts.insert(self._next_gift, here)
        self._next_gift += 1
        return again

    @property
    def open(self) -> bool:
        """May somebody still type?"""
        return self._inputs.open

    @property
    def repeated(self) -> bool:
        """Is this the past?"""
        return self._run.in_the_past

    @property
    def told_once(self) -> bool:
        """Does somebody listen to output now?"""
        return self._run.telling

    @property
    def waiting(self) -> bool:
        """Would take() give something now?"""
        if self._is_due():
            return True
        return not self._run.in_the_past and self._inputs.waiting

    def take(self) -> list[tuple[str, Any]]:
        """What the guest gets now."""
        if self._is_due():
            return self._again()
        if self._run.in_the_past or self._run.amid_rep():
            return []
        taken = self._inputs.take()
        if taken:
            when, after = self._run.when(), not self._run.timers_due()
            self._came += [Noted(when, source, data, after) for source, data in taken]
            self._next = len(self._came)
        return taken

    def _is_due(self) -> bool:
        return self._next < len(self._came) and self._run.when() >= self._came[self._next].when

    def _again(self) -> list[tuple[str, Any]]:
        """What came here, but for what came after the timers of this moment, if they are due."""
        noted = self._came[self._next]
        if noted.after_timers and self._run.timers_due():
            self._run.fire()
        found = []
        while self._is_due() and self._came[self._next].after_timers == noted.after_timers:
            found.append((self._came[self._next].source, self._came[self._next].data))
            self._next += 1
        return found

    def hand_over(self, source: str, data: Any) -> None:
        """To whoever takes it."""
        self._inputs.hand_over(source, data)

    def answer(self, source: str, ask: Callable[[], Answer]) -> Answer:
        """What the outside says, or said here."""
        if self._next_answer < len(self._answers):
            noted = self._answers[self._next_answer]
            self._next_answer += 1
            answer: Answer = noted.data
            return answer
        answer = ask()
        self._answers.append(Noted(self._run.when_within(), source, answer))
        self._next_answer = len(self._answers)
        return answer

    def next_count(self) -> int | None:
        """In the past: the instructions after which something came."""
        return self._came[self._next].when[0] if self._next < len(self._came) else None

    @property
    def position(self) -> tuple[int, int, int]:
        """How much has come, and been answered, so far: more may have come at the same place."""
        return self._next, self._next_answer, self._next_gift

    def rewound(self, position: tuple[int, int, int]) -> None:
        """The run is there again."""
        self._next, self._next_answer, self._next_gift = position

    def forget(self) -> None:
        """What came after this place never did."""
        del self._came[self._next :]
        del self._answers[self._next_answer :]
        del self._gifts[self._next_gift :]

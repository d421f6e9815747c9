"""Somebody who reads a text screen while the machine runs, and types at cues.

    typist = type_at_cues(machine, [TypedLine(b"", b"A:", ("+d", "-d"))])

The screen is looked at as a text that is waited for is (display.py): every so many instructions,
and whenever the guest halts. That is the same in every run and in every mode, so a run with typing
repeats exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from monitor.host.typist import TypedLine, Typist
from monitor.screen import display
from monitor.vmm.errors import UserError

if TYPE_CHECKING:
    from monitor.machine import Machine
    from monitor.screen.screen import Screen
    from monitor.vmm.loop import Loop


class ScreenWatch:
    """A chore of the loop: tells `on_text` what the screen shows when that has changed.

    Until it answers that it has seen enough.
    """

    def __init__(self, screen: Screen, loop: Loop, on_text: Callable[[str], bool]) -> None:
        self._screen = screen
        self._loop = loop
        self._on_text = on_text
        self._seen: object = None  # what was read last
        self._next = 0  # the count at which to look again
        self._enough = False

    def look(self) -> int | None:
        """Read, if it is time; when to do so next."""
        if self._enough:
            return None
        count = self._loop.processor.count()
        if count >= self._next or self._loop.halted:
            self._next = count + display.INTERVAL
            seen = self._screen.written_text()
            if seen is None or seen != self._seen:
                self._seen = seen
                self._enough = self._on_text(self._screen.text)
        return self._next


def type_at_cues(machine: Machine, lines: Sequence[TypedLine]) -> Typist:
    """Type each text as soon as serial console or screen shows its cue."""
    typist = Typist(lines, machine.send, machine.keys.give)
    machine.serial.listeners.append(typist)
    with suppress(UserError):  # there is no screen
        screen = machine.screen

        def read(text: str) -> bool:
            typist.shown(text)
            machine.board.take_input()  # at this very instruction, and not when the turn is over
            return typist.done

        machine.loop.chores.append(ScreenWatch(screen, machine.loop, read))
    return typist

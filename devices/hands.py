"""Somebody who presses keys one after the other, in virtual time, as fast as people can.

What a program wants typed is there all at once; a guest that polls its keyboard seldom, or a BIOS
with its buffer of 15 keys (BIOS data area, 40:1E), would lose most of it. So a stroke follows the
one before after ``STROKE_NS``, which makes 25 keys a second, and not before the keyboard has taken
that one: a guest that has switched its keyboard off finds everything when it switches it on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

from devices.bus import Bus
from devices.device import Chip
from devices.fields import TIMER, choice, fields, sequence
from devices.scancodes import MAKE, keys_for

STROKE_NS = 20_000_000
#: "+a": the key goes down; "-a": it comes up.
STROKES = tuple(way + key for way in "+-" for key in MAKE)


class Keys(Protocol):
    """What hands know of a keyboard (ps2_keyboard.py)."""

    typed: deque[str]

    def stroke(self, stroke: str) -> None:
        """A key goes down or up."""


class Hands(Chip):
    """On one keyboard, which says when it has `taken` what lay with it."""

    name = "hands"
    state = fields(strokes=sequence(choice(STROKES)), timer=TIMER)
    wiring = ("_bus", "_keyboard")

    def __init__(self, bus: Bus, keyboard: Keys) -> None:
        self._bus = bus
        self._keyboard = keyboard
        self.strokes: deque[str] = deque()
        self.timer = bus.timer(self._next)

    def reset(self) -> None:
        """Nobody's hands have a RESET pin."""

    def give(self, strokes: Iterable[str]) -> None:
        """Strokes for the keyboard, behind those that wait; the first is pressed at once."""
        self.strokes.extend(strokes)
        if not self.timer.live:
            self._next()

    def taken(self) -> None:
        """The keyboard has taken what it had."""
        if self.strokes and not self.timer.live:
            self.timer.set(self._bus.clock.now() + STROKE_NS)

    def _next(self) -> None:
        """Press the next key, or wait until the keyboard takes the last one."""
        if self.strokes and not self._keyboard.typed:
            stroke = self.strokes.popleft()
            self.timer.set(self._bus.clock.now() + STROKE_NS)
            self._keyboard.stroke(stroke)


def strokes_for(text: str) -> list[str]:
    """What to press for a text on a US keyboard. ValueError: no key types a character.

    >>> strokes_for("A")
    ['+shift', '+a', '-a', '-shift']
    """
    strokes = []
    for key, shifted in keys_for(text):
        stroke = ["+" + key, "-" + key]
        strokes += ["+shift", *stroke, "-shift"] if shifted else stroke
    return strokes

"""Somebody who types on the PS/2 keyboard, in virtual time.

    machine.type("dir\\n")                    25 keys a second, one after the other
    machine.keys.send("ctrl-alt-delete")     keys by name, QEMU's names too
    machine.keys.press("shift"); machine.keys.release("shift")
    machine.keys.leds                        {"capslock"}

From any thread. What is typed or sent waits until the keyboard takes it, however long the guest has
it switched off; what is pressed does not wait, and may overrun the keyboard's buffer. Beside it
machine.keyboard puts whole texts into that buffer at once, from the machine's own thread. Keys are
those of a US keyboard.
"""

from __future__ import annotations

from collections.abc import Callable

from monitor.embedding.key_names import (
    NAMES,
    chord,
    key_named,
    strokes_of_chord,
    strokes_of_text,
)
from monitor.vmm.board import Board

LEDS = ("scrolllock", "numlock", "capslock")  # by their bits


class Keys:
    """Of one machine. `on_news` makes it look soon."""

    def __init__(self, board: Board, on_news: Callable[[], None]) -> None:
        self._board = board
        self._on_news = on_news
        self._keyboard = board.pc.kbc.keyboard
        self._hands = board.pc.kbc.hands
        board.real_inputs.connect("keys", self._hands.give)
        board.real_inputs.connect("struck", self._strike)
        board.real_inputs.connect("keyboard", self._keyboard.strokes)

    @property
    def names(self) -> tuple[str, ...]:
        """All names of keys."""
        return tuple(sorted(NAMES))

    @property
    def leds(self) -> frozenset[str]:
        """Which lights are on: "capslock", "numlock", "scrolllock"."""
        lit = self._keyboard.leds
        return frozenset(name for bit, name in enumerate(LEDS) if lit >> bit & 1)

    @property
    def waiting(self) -> int:
        """Strokes that the keyboard has not taken yet. From any thread, and then a guess."""
        return len(self._hands.strokes) + len(self._keyboard.typed)

    def type(self, text: str) -> None:
        """Press and release what a text needs, Shift too. UserError: no key types a character."""
        self.give(strokes_of_text(text))

    def send(self, *chords: str) -> None:
        """Press the keys of "ctrl-alt-delete" and release them. UserError: there is no such key."""
        self.give([stroke for each in chords for stroke in strokes_of_chord(chord(each))])

    def press(self, *keys: str) -> None:
        """Press keys now; the last one repeats. UserError: there is no such key."""
        self._now("+", keys)

    def release(self, *keys: str) -> None:
        """Let go of keys now. UserError: there is no such key."""
        self._now("-", keys)

    def give(self, strokes: list[str]) -> None:
        """Strokes, "+a" and "-a", behind all that was typed before."""
        if strokes:
            self._board.inputs.give("keys", strokes)
            self._on_news()

    def _now(self, way: str, keys: tuple[str, ...]) -> None:
        strokes = [way + key_named(key) for key in keys]
        for stroke in strokes:
            self._board.inputs.give("struck", stroke)
        self._on_news()

    def _strike(self, stroke: str) -> None:
        if self._hands.strokes:  # they come one after the other
            self._hands.give([stroke])
        else:
            self._keyboard.strike(stroke)

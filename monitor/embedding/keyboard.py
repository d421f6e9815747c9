"""Somebody at the PS/2 keyboard of the machine.

    machine.keyboard.type("dir\\n")
    machine.keyboard.press("ctrl"); machine.keyboard.press("c")
    machine.keyboard.release("c"); machine.keyboard.release("ctrl")

What the guest does not take yet waits with the keyboard, in order. Not to be confused with
send(), which types on the serial console.
"""

from __future__ import annotations

from devices.hands import strokes_for
from devices.scancodes import MAKE
from monitor.vmm.board import Board
from monitor.vmm.errors import UserError
from monitor.vmm.processor import Processor


class Keyboard:
    """The keys of a US keyboard, by the names in `keys`. For the machine's own thread."""

    def __init__(self, board: Board, processor: Processor) -> None:
        self._board = board
        self._keyboard = board.pc.kbc.keyboard
        self._notice = processor.notice

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of all keys: "a", "1", "enter", "shift", "f1", "left", "kp5" and so on."""
        return tuple(MAKE)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other; the last one repeats while it is down.

        UserError: there is no such key, and then none is pressed.
        """
        self._give(["+" + key for key in self._checked(keys)])

    def release(self, *keys: str) -> None:
        """Let go of keys, one after the other. UserError: there is no such key."""
        self._give(["-" + key for key in self._checked(keys)])

    def chord(self, *keys: str) -> None:
        """Press keys and let go of them in the other order: chord("ctrl", "alt", "delete").

        UserError: there is no such key.
        """
        self.press(*keys)
        self.release(*reversed(keys))

    def type(self, text: str) -> None:
        """Press and release what a text needs, Shift too. UserError: no key types a character."""
        try:
            strokes = strokes_for(text)
        except ValueError as error:
            raise UserError(str(error)) from error
        self._give(strokes)

    def _give(self, strokes: list[str]) -> None:
        self._board.give("keyboard", strokes)
        self._notice()  # a timer may be due sooner now

    def _checked(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        for key in keys:
            if key not in MAKE:
                raise UserError(f"no key named {key!r}; one of: {' '.join(MAKE)}")
        return keys

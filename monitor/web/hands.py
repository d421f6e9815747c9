"""What people do with keys and mouse in a browser, checked, and given to the machine.

    {"kind": "key", "code": "KeyA", "down": true, "repeat": false}
    {"kind": "mouse", "x": 3, "y": -1, "place": [100, 60000], "buttons": 1, "wheel": 0}
    {"kind": "release"}                 nobody is there any more: all keys and buttons come up

`x` and `y` are the motion, `place` where the pointer is, from 0 to 65535 over the whole screen, for
a guest whose driver follows that. Buttons are those of `MouseEvent.buttons`. What becomes of it is
monitor/host/user_input.py's, as for everybody at a display.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.host.user_input import WHOLE, UserInput
from monitor.web.codes import key_of

FARTHEST = 10_000  # of a motion
BUTTONS = {"left": 1, "right": 2, "middle": 4, "side": 8, "extra": 16}


class BadMessage(Exception):
    """No page of ours says this."""


class Person:
    """One of them, from one thread: what this one holds comes up when it leaves."""

    def __init__(self, inputs: UserInput) -> None:
        self._inputs = inputs
        self._keys: set[str] = set()
        self._buttons = 0

    def hear(self, message: Mapping[str, Any]) -> bool:
        """Is it about keys and mouse? BadMessage: it should be, and is none of ours."""
        kind = message.get("kind")
        if kind == "key":
            self._key(message)
        elif kind == "mouse":
            self._mouse(message)
        elif kind == "release":
            self.leave()
        else:
            return False
        return True

    def leave(self) -> None:
        """All that is down comes up."""
        for key in sorted(self._keys):
            self._inputs.key(key, False)
        self._keys.clear()
        self._hold(0)

    def _key(self, message: Mapping[str, Any]) -> None:
        code, down, repeat = (message.get(name) for name in ("code", "down", "repeat"))
        if not isinstance(code, str) or not isinstance(down, bool) or not isinstance(repeat, bool):
            raise BadMessage("a key has a code, and is down or not, repeated or not")
        key = key_of(code)
        if key is None or (not down and key not in self._keys):
            return
        (self._keys.add if down else self._keys.discard)(key)
        self._inputs.key(key, down)

    def _mouse(self, message: Mapping[str, Any]) -> None:
        x, y, wheel = (_number(message.get(name), FARTHEST) for name in ("x", "y", "wheel"))
        place = message.get("place")
        if place is not None:
            if not isinstance(place, list) or len(place) != 2:
                raise BadMessage("a place is two numbers")
            place = (max(0, _number(place[0], WHOLE)), max(0, _number(place[1], WHOLE)))
        buttons = _number(message.get("buttons"), 0xFFFF)
        self._inputs.move(x, y, place)
        self._inputs.scroll(wheel)
        self._hold(buttons)

    def _hold(self, buttons: int) -> None:
        for name, bit in BUTTONS.items():
            if (buttons ^ self._buttons) & bit:
                self._inputs.button(name, bool(buttons & bit))
        self._buttons = buttons


def _number(value: Any, most: int) -> int:
    """A whole number, cut to what makes sense. BadMessage."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadMessage("motions, wheel and buttons are whole numbers")
    return max(-most, min(most, value))

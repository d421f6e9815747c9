"""What people do with keys and mouse in a browser, checked, and given to the machine.

    {"kind": "key", "code": "KeyA", "down": true, "repeat": false}
    {"kind": "mouse", "x": 3, "y": -1, "place": [100, 60000], "buttons": 1, "wheel": 0}
    {"kind": "release"}                 nobody is there any more: all keys and buttons come up

`x` and `y` are the motion, `place` where the pointer is, from 0 to 65535 over the whole screen, for
a guest whose driver follows that. Buttons are those of `MouseEvent.buttons`.

Messages come in on any thread, and become input of the machine's in its own, as somebody's at its
keyboard do (machine.keys, machine.mouse): so they are part of the one record of all input.

Where the guest's time is instructions, a guest that idles lives through seconds while a finger
lifts from a key, and the key would repeat. There a key comes up as soon as it is down, and who
wants it repeated has the browser's own repetition.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from monitor.vmm.errors import UserError
from monitor.web.codes import MODIFIERS, key_of
from monitor.web.subject import Subject

MOST = 1024  # things done that wait, and keys that wait in the machine; more are lost
FARTHEST = 10_000  # of a motion
BUTTONS = {"left": 1, "right": 2, "middle": 4, "side": 8, "extra": 16}


class BadMessage(Exception):
    """No page of ours says this."""


@dataclass
class Motion:
    """Of the mouse."""

    x: int = 0
    y: int = 0
    wheel: int = 0
    place: tuple[int, int] | None = None


@dataclass(frozen=True)
class Button:
    """A button goes down, or comes up."""

    name: str
    down: bool


@dataclass(frozen=True)
class Key:
    """A key goes down, or comes up. `repeat`: it is down, and the browser says so once more."""

    name: str
    down: bool
    repeat: bool = False


Act = Motion | Button | Key


class Hands:
    """All people's at one machine; a chore of its loop."""

    def __init__(self, machine: Subject) -> None:
        self._machine = machine
        self._acts: deque[Act] = deque()
        self._lock = threading.Lock()
        self._held_down = machine.settings.clock == "host"  # as long as a finger does
        machine.loop.chores.append(self)

    def close(self) -> None:
        """Nobody is there any more."""
        self.look()
        if self in self._machine.loop.chores:
            self._machine.loop.chores.remove(self)

    def do(self, act: Act) -> None:
        """From any thread."""
        with self._lock:
            last = self._acts[-1] if self._acts else None
            if isinstance(act, Motion) and isinstance(last, Motion):
                _add(last, act)
            elif len(self._acts) < MOST:
                self._acts.append(act)
        self._machine.loop.look_soon()

    def look(self) -> int | None:
        """The machine's own thread: let it have what was done."""
        if not self._acts:
            return None
        with self._lock:
            acts = list(self._acts)
            self._acts.clear()
        for act in acts:
            with suppress(UserError):  # a machine without a mouse
                self._give(act)
        return None

    def _give(self, act: Act) -> None:
        if isinstance(act, Key):
            self._press(act)
        elif isinstance(act, Button):
            mouse = self._machine.mouse
            (mouse.press if act.down else mouse.release)(act.name)
        else:
            self._move(act)

    def _press(self, key: Key) -> None:
        keys = self._machine.keys
        if key.down and keys.waiting >= MOST:
            return
        stroke = ("+" if key.down else "-") + key.name
        if self._held_down:
            if not key.repeat:
                (keys.press if key.down else keys.release)(key.name)
        elif key.name in MODIFIERS:
            if not key.repeat:
                keys.give([stroke])
        elif key.down:
            keys.give([stroke, "-" + key.name])

    def _move(self, motion: Motion) -> None:
        mouse = self._machine.mouse
        if motion.place is not None and mouse.follows:
            mouse.move_to(*motion.place)
        elif motion.x or motion.y:
            mouse.move(motion.x, motion.y)
        if motion.wheel:
            mouse.scroll(motion.wheel)


class Person:
    """One of them, from one thread: what this one holds comes up when it leaves."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
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
            self._hands.do(Key(key, False))
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
        self._hands.do(Key(key, down, repeat))

    def _mouse(self, message: Mapping[str, Any]) -> None:
        x, y, wheel = (_number(message.get(name), FARTHEST) for name in ("x", "y", "wheel"))
        place = message.get("place")
        if place is not None:
            if not isinstance(place, list) or len(place) != 2:
                raise BadMessage("a place is two numbers")
            place = (max(0, _number(place[0], 0xFFFF)), max(0, _number(place[1], 0xFFFF)))
        if x or y or wheel or place:
            self._hands.do(Motion(x, y, wheel, place))
        self._hold(_number(message.get("buttons"), 0xFFFF))

    def _hold(self, buttons: int) -> None:
        for name, bit in BUTTONS.items():
            if (buttons ^ self._buttons) & bit:
                self._hands.do(Button(name, bool(buttons & bit)))
        self._buttons = buttons


def _number(value: Any, most: int) -> int:
    """A whole number, cut to what makes sense. BadMessage."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadMessage("motions, wheel and buttons are whole numbers")
    return max(-most, min(most, value))


def _add(motion: Motion, more: Motion) -> None:
    motion.x += more.x
    motion.y += more.y
    motion.wheel += more.wheel
    motion.place = more.place or motion.place

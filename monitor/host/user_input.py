"""People's keyboard and mouse at the machine's: VNC clients', a window's, browsers', a notebook's.

What they do comes in on any thread, waits here, and is given in the machine's own, into its one
record of inputs (monitor/vmm/inputs.py). Motions that wait are one.

A person holds a key for a tenth of a second. A guest whose time is counted in instructions may live
through minutes of its time meanwhile, and its keyboard would repeat that key. So with that clock a
key is let go at once, and repeats as often as the host's does; only MODIFIERS are held. With the
host's clock keys are down as long as they are, and the guest's keyboard repeats them.

Not more than MOST wait for the guest; what comes then is lost, as with a keyboard whose buffer is
full. Letting go never is.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing_extensions import Self

    from monitor.settings.machine import Settings
    from monitor.vmm.board import Board
    from monitor.vmm.loop import Loop

MOST = 256
SHIFTS = frozenset(("shift", "rshift"))
MODIFIERS = SHIFTS | {"ctrl", "rctrl", "alt", "ralt", "lwin", "rwin"}
WHOLE = 0xFFFF  # of the screen, for a mouse that points at places
Place = tuple[int, int]


class Keys(Protocol):
    """`machine.keys`."""

    @property
    def leds(self) -> frozenset[str]: ...
    @property
    def waiting(self) -> int: ...
    def give(self, strokes: list[str]) -> None: ...
    def press(self, *keys: str) -> None: ...
    def release(self, *keys: str) -> None: ...


class Mouse(Protocol):
    """`machine.mouse`."""

    @property
    def there(self) -> bool: ...
    @property
    def follows(self) -> bool: ...
    def move(self, right: int = 0, down: int = 0) -> None: ...
    def move_to(self, x: int, y: int) -> None: ...
    def press(self, *buttons: str) -> None: ...
    def release(self, *buttons: str) -> None: ...
    def scroll(self, steps: int) -> None: ...


class Seat(Protocol):
    """A machine, for who sits at it."""

    board: Board
    settings: Settings

    @property
    def loop(self) -> Loop: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def mouse(self) -> Mouse: ...


@dataclass
class Motion:
    """Of the mouse; to a place, if the guest follows that."""

    x: int = 0
    y: int = 0
    wheel: int = 0
    place: Place | None = None

    def add(self, more: Motion) -> None:
        """It goes on."""
        self.x += more.x
        self.y += more.y
        self.wheel += more.wheel
        self.place = more.place or self.place


Act = Motion | Callable[[], None]


class UserInput:
    """Of all people at one display. A context manager, and a chore of the machine's loop.

    `typed`: programs type there, too, faster than a keyboard takes it; so keys wait for each other.
    """

    def __init__(self, machine: Seat, typed: bool = False) -> None:
        self._machine = machine
        self._at_once = machine.settings.clock == "icount"
        self._typed = typed or self._at_once
        self._acts: deque[Act] = deque()
        self._lock = threading.Lock()
        self._down: set[str] = set()
        self._buttons: set[str] = set()

    def __enter__(self) -> Self:
        self._machine.board.real_inputs.attended += 1
        self.begin()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.let_go()
        self.look()
        self._machine.loop.chores.remove(self)
        self._machine.board.real_inputs.attended -= 1

    def begin(self) -> None:
        """Without end, and no guest that waits goes on waiting because of us."""
        self._machine.loop.chores.append(self)

    def look(self) -> int | None:
        """The machine's own thread: let it have what was done."""
        if not self._acts:
            return None
        with self._lock:
            acts = list(self._acts)
            self._acts.clear()
        for act in acts:
            if isinstance(act, Motion):
                self._give(act)
            else:
                act()
        return None

    # --- keys, by the names of machine.keys -------------------------------------------------------

    def key(self, key: str, down: bool) -> None:
        """A key goes down or comes up. One that is down only repeats."""
        if (key in self._down) == down:
            return
        keys = self._machine.keys
        if not down:
            self._down.discard(key)
            up = partial(keys.give, ["-" + key]) if self._typed else partial(keys.release, key)
            self._do(up, always=True)
        elif self._at_once and key not in MODIFIERS:
            self.character([key])
        elif self._has_room():
            self._down.add(key)
            self._do(partial(keys.give, ["+" + key]) if self._typed else partial(keys.press, key))

    def character(self, chord: Collection[str]) -> None:
        """The keys of a character, down in order and up again, whatever is down now."""
        if self._has_room():
            keys = list(chord)
            up = ["-" + key for key in reversed(keys)]
            self._do(partial(self._machine.keys.give, ["+" + key for key in keys] + up))

    @property
    def shifted(self) -> bool:
        """Is a Shift key down, as far as we know?"""
        return not SHIFTS.isdisjoint(self._down)

    @property
    def capitals(self) -> bool:
        """Does the guest's Caps Lock shine?"""
        return "capslock" in self._machine.keys.leds

    def let_go(self) -> None:
        """The person goes away."""
        for key in sorted(self._down):
            self.key(key, False)
        for button in sorted(self._buttons):
            self.button(button, False)

    # --- the mouse --------------------------------------------------------------------------------

    @property
    def follows(self) -> bool:
        """Does the guest take places (move_to), and not steps?"""
        return self._machine.mouse.follows

    def move(self, right: int, down: int, place: Place | None = None) -> None:
        """By so much; to a place, each from 0 to WHOLE, if the guest `follows`."""
        if right or down or place is not None:
            self._move(Motion(right, down, 0, place))

    def move_to(self, x: int, y: int, width: int, height: int) -> None:
        """To a pixel of a screen of that size."""
        across, along = max(1, width - 1), max(1, height - 1)
        place = min(max(x, 0), across) * WHOLE // across, min(max(y, 0), along) * WHOLE // along
        self.move(0, 0, place)

    def scroll(self, steps: int) -> None:
        """The wheel; down is positive."""
        if steps:
            self._move(Motion(wheel=steps))

    def button(self, button: str, down: bool) -> None:
        """A button goes down or comes up."""
        mouse = self._machine.mouse
        if (button in self._buttons) == down or not mouse.there:
            return
        if not down:
            self._buttons.discard(button)
            self._do(partial(mouse.release, button), always=True)
        elif len(self._acts) < MOST:
            self._buttons.add(button)
            self._do(partial(mouse.press, button))

    # --- what waits -------------------------------------------------------------------------------

    def _has_room(self) -> bool:
        return len(self._acts) + self._machine.keys.waiting < MOST

    def _move(self, motion: Motion) -> None:
        if not self._machine.mouse.there:
            return
        with self._lock:
            last = self._acts[-1] if self._acts else None
            if isinstance(last, Motion):
                last.add(motion)
                return
        self._do(motion)

    def _do(self, act: Act, always: bool = False) -> None:
        with self._lock:
            if always or len(self._acts) < MOST:
                self._acts.append(act)
        self._machine.loop.look_soon()

    def _give(self, motion: Motion) -> None:
        mouse = self._machine.mouse
        if motion.place is not None and mouse.follows:
            mouse.move_to(*motion.place)
        elif motion.x or motion.y:
            mouse.move(motion.x, motion.y)
        if motion.wheel:
            mouse.scroll(motion.wheel)

"""Somebody's keyboard and mouse at the machine's: a VNC client's, a window's.

Keys and motion go into the machine's one record of inputs (monitor/vmm/inputs.py), from any thread.

A person holds a key for a tenth of a second. A guest whose time is counted in instructions may live
through minutes of its time meanwhile, and its keyboard would repeat that key. So with that clock a
key is let go at once, and repeats as often as the host's does; only Shift, Ctrl and Alt are held.
With the host's clock keys are down as long as they are.

Not more than MOST wait for the guest; what comes then is lost, as with a keyboard whose buffer is
full. Letting go never is.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

    from monitor import Machine

MOST = 256
MODIFIERS = frozenset(("shift", "rshift", "ctrl", "rctrl", "alt", "ralt"))
SHIFTS = ("shift", "rshift")
WHOLE = 0xFFFF  # of the screen, for a mouse that points at places


class UserInput:
    """One person's. A context manager, and a chore of the machine's loop."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._at_once = machine.settings.clock == "icount"
        self._down: set[str] = set()
        self._buttons: frozenset[str] = frozenset()
        self._given = 0  # since the last turn of the machine

    def __enter__(self) -> Self:
        self._machine.board.real_inputs.attended += 1
        self._machine.loop.chores.append(self)
        return self

    def __exit__(self, *_exception: object) -> None:
        self.let_go()
        self._machine.loop.chores.remove(self)
        self._machine.board.real_inputs.attended -= 1

    def look(self) -> int | None:
        """A turn begins: what was given before has gone to the guest."""
        self._given = 0
        return None

    # --- keys, by the names of machine.keys -------------------------------------------------------

    def key(self, key: str, down: bool) -> None:
        """A key goes down or comes up."""
        if not down:
            if key in self._down:
                self._down.discard(key)
                self._machine.keys.give(["-" + key])
        elif self._has_room():
            held = key in MODIFIERS or not self._at_once
            if held:
                self._down.add(key)
            self._machine.keys.give(["+" + key] if held else ["+" + key, "-" + key])

    def character(self, chord: Collection[str]) -> None:
        """The keys of a character, down in order and up again, whatever is down now."""
        if self._has_room():
            keys = list(chord)
            up = ["-" + key for key in reversed(keys)]
            self._machine.keys.give(["+" + key for key in keys] + up)

    @property
    def shifted(self) -> bool:
        """Is a Shift key down, as far as we know?"""
        return any(key in self._down for key in SHIFTS)

    @property
    def capitals(self) -> bool:
        """Does the guest's Caps Lock shine?"""
        return "capslock" in self._machine.keys.leds

    def let_go(self) -> None:
        """The person goes away."""
        for key in tuple(self._down):
            self.key(key, False)
        self.buttons(())

    # --- the mouse --------------------------------------------------------------------------------

    @property
    def follows(self) -> bool:
        """Does the guest take places (move_to), and not steps?"""
        return self._machine.mouse.follows

    def move(self, right: int, down: int) -> None:
        """By so much."""
        if (right or down) and self._has_mouse():
            self._machine.mouse.move(right, down)

    def move_to(self, x: int, y: int, width: int, height: int) -> None:
        """To a pixel of a screen of that size."""
        if self._has_mouse():
            across, along = max(1, width - 1), max(1, height - 1)
            self._machine.mouse.move_to(
                min(max(x, 0), across) * WHOLE // across, min(max(y, 0), along) * WHOLE // along
            )

    def buttons(self, held: Collection[str]) -> None:
        """Those that are down now: left, right, middle."""
        wanted = frozenset(held)
        if wanted == self._buttons or not self._has_mouse():
            return
        if wanted - self._buttons:
            self._machine.mouse.press(*sorted(wanted - self._buttons))
        if self._buttons - wanted:
            self._machine.mouse.release(*sorted(self._buttons - wanted))
        self._buttons = wanted

    def scroll(self, steps: int) -> None:
        """The wheel; down is positive."""
        if steps and self._has_mouse():
            self._machine.mouse.scroll(steps)

    # --- room -------------------------------------------------------------------------------------

    def _has_room(self) -> bool:
        if self._given + self._machine.keys.waiting >= MOST:
            return False
        self._given += 1
        return True

    def _has_mouse(self) -> bool:
        if not self._machine.mouse.there or self._given >= MOST:
            return False
        self._given += 1
        return True

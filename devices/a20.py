"""The A20 line: an address bit that the PC/AT can hold at zero, to wrap at 1 MiB like an 8086.

Two chips ask for it, the keyboard controller and port 0x92; the line is on when either wants it.
"""

from __future__ import annotations

from collections.abc import Callable

from devices.device import Chip
from devices.fields import FLAG, fields


class A20(Chip):
    """The line. `on_change` is told its level when it changes."""

    name = "a20"
    state = fields(keyboard_controller=FLAG, port92=FLAG)
    wiring = ("_on_change", "_level")

    def __init__(self, on_change: Callable[[bool], None] | None = None) -> None:
        self._on_change = on_change
        self.keyboard_controller = True  # its output port powers up with all ones
        self.port92 = False
        self._level = True

    @property
    def enabled(self) -> bool:
        """Is it on, so that addresses from 1 MiB on are themselves?"""
        return self._level

    def reset(self) -> None:
        """The sources reset the line: each chip drives its own part."""

    def set_keyboard_controller(self, level: bool) -> None:
        """What the keyboard controller's output port asks for."""
        self.keyboard_controller = level
        self._update()

    def set_port92(self, level: bool) -> None:
        """What port 0x92 asks for."""
        self.port92 = level
        self._update()

    def _update(self) -> None:
        level = self.keyboard_controller or self.port92
        if level != self._level:
            self._level = level
            if self._on_change is not None:
                self._on_change(level)

    def restored(self) -> None:
        self._update()

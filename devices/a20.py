"""The A20 gate: an address bit that the PC/AT can hold at zero, to wrap at 1 MiB like an 8086.

The PC/AT has it on a pin of the keyboard controller, the PS/2 in port 0x92 as well. Whoever knows
one of the two uses that alone: SeaBIOS opens the gate by port 0x92 and leaves it open, DOS's HIMEM
shuts it through the keyboard controller. So there is one gate with two handles, as in chipsets that
watch for the controller's command D1h, and as in Bochs and QEMU: what was asked last holds, and
both ports show it. (Where a board only ORs the two, its BIOS shuts port 0x92's before it boots.)
"""

from __future__ import annotations

from collections.abc import Callable

from devices.device import Chip
from devices.fields import FLAG, fields


class A20(Chip):
    """The gate. `on_change` is told its level when it changes."""

    name = "a20"
    state = fields(open=FLAG)
    wiring = ("_on_change", "_level")

    def __init__(self, on_change: Callable[[bool], None] | None = None) -> None:
        self._on_change = on_change
        self.open = True  # the controller's output port powers up with all ones
        self._level = True  # what was told last

    @property
    def enabled(self) -> bool:
        """Is it open, so that addresses from 1 MiB on are themselves?"""
        return self.open

    def reset(self) -> None:
        """Open, since the processor begins at the top of memory."""
        self.set(True)

    def set(self, level: bool) -> None:
        """What either port asks for."""
        self.open = level
        if level != self._level:
            self._level = level
            if self._on_change is not None:
                self._on_change(level)

    def restored(self) -> None:
        self.set(self.open)

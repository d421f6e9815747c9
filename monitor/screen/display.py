"""The machine's display: its adapter, if it has one, and a text that is waited for on the screen.

The adapter tells nobody that a guest has written to its memory, so a screen is looked at: every so
many instructions, and whenever the guest halts. Both are the same in every run, so a run that
waits for a text repeats exactly.

A machine without an adapter has a Display, too: one that shows nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from devices.bus import Bus
from monitor.vmm.errors import UserError
from monitor.vmm.loop import Loop

if TYPE_CHECKING:
    from devices.video.vga import Vga
    from monitor.embedding.plugging import Devices
    from monitor.screen.screen import Screen

INTERVAL = 1_000_000  # instructions: 5 ms of the guest's time
VGA = "vga"
PCI_DEVICE = 2  # the slot, where QEMU's board has it


class Display:
    """Of one machine. As a chore of the loop it looks for the awaited text."""

    def __init__(self, vga: Vga | None, screen: Screen | None, loop: Loop) -> None:
        #: The adapter, if there is one.
        self.vga = vga
        self._screen = screen
        self._loop = loop
        self._wanted = ""
        self._before = 0  # times that the text was there already
        self._found = False
        self._seen: object = None  # what was searched last
        self._next = 0  # the count at which to look again

    @staticmethod
    def of(vga: str, devices: Devices, loop: Loop) -> Display:
        """Plug in the adapter of this name, "std" or "none"; on PCI, if the board has that."""
        if vga == "none":
            return Display(None, None, loop)
        from devices.video.pci_vga import PciVga
        from devices.video.vga import Vga
        from monitor.screen.screen import Screen

        def make(bus: Bus) -> PciVga | Vga:
            return PciVga(bus, PCI_DEVICE) if bus.pci.functions() else Vga(bus)

        plugged = devices.add(make, VGA)
        adapter = plugged.vga if isinstance(plugged, PciVga) else plugged
        return Display(adapter, Screen(adapter), loop)

    @property
    def screen(self) -> Screen:
        """What is shown. UserError: there is no adapter."""
        if self._screen is None:
            raise UserError('this machine has no screen: give it one, with vga="std" (--vga std)')
        return self._screen

    def show_live(self, live: Callable[[], Any]) -> None:
        """What a notebook shows of the screen, if there is one."""
        if self._screen is not None:
            self._screen.live = live

    # A text that is waited for

    def await_text(self, wanted: bytes, since: int | str) -> None:
        """Look for a text from now on: "all", if it may be there already."""
        if self._screen is None:
            return
        self._wanted = wanted.decode(errors="replace")
        self._found, self._seen = False, None
        self._before = 0 if since == "all" else self._screen.text.count(self._wanted)
        self._next = self._loop.processor.count()
        if self not in self._loop.chores:
            self._loop.chores.append(self)

    def forget_text(self) -> None:
        """Look for nothing."""
        if self in self._loop.chores:
            self._loop.chores.remove(self)

    def found(self) -> bool:
        """Has it come?"""
        return self._found

    def look(self) -> int | None:
        """Search, if it is time; when to do so next."""
        count = self._loop.processor.count()
        if count >= self._next or self._loop.halted:
            self._next = count + INTERVAL
            self._search()
        return self._next

    def _search(self) -> None:
        assert self._screen is not None and self.vga is not None
        seen = self._screen.written_text()
        if seen is not None and seen == self._seen:
            return
        self._seen = seen
        times = self._screen.text.count(self._wanted)
        self._found = self._found or times > self._before
        self._before = min(self._before, times)

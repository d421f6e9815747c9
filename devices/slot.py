"""The bus as one device sees it, with a record of what that device has.

    slot = Slot(bus, on_release=gone)
    device = Scratch(slot)          # a device cannot tell it from the bus
    slot.release()                  # whatever the device has is given back

So a device leaves the board as a whole, whether somebody pulls it out or it goes by itself
(``self.bus.release()``), and needs no list of its own of what it has taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from weakref import WeakSet

from devices.bus import Bus
from devices.claims import Claim, MemoryClaim, PciClaim, PortClaim
from devices.device import MemoryDevice, PortDevice
from devices.dma import Memory
from devices.errors import Released
from devices.irq import IrqLine
from devices.own_memory import OwnMemory
from devices.pci.slots import PciTarget
from devices.timers import Timer

Held = TypeVar("Held", PortClaim, MemoryClaim, PciClaim, IrqLine)


class Slot(Bus):
    """A place on the board. `on_release` is called when the device has left it."""

    def __init__(self, bus: Bus, on_release: Callable[[], None] | None = None) -> None:
        vars(self).update(vars(bus))  # the same tables, wires, timers and memory
        self._board = bus
        self._on_release = on_release
        self._held: list[Claim | IrqLine] = []
        self._memories: list[OwnMemory] = []
        self._timers_held: WeakSet[Timer] = WeakSet()  # one that nobody knows cannot go off
        self._released = False

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The ranges that the device has."""
        return tuple(each for each in self._held if isinstance(each, Claim) and not each.released)

    def release(self) -> None:
        """Give back everything: ports, memory, lines (which fall) and timers.

        Also from inside the device's own callback. Released if that was done before.
        """
        if self._released:
            raise Released("a device leaves the board twice")
        self._released = True
        for each in (*reversed(self._held), *self._timers_held):
            if not each.released:
                each.release()
        for memory in self._memories:
            memory.hide()
        self.memory = Memory()  # it reaches none any more
        if self._on_release is not None:
            self._on_release()

    def claim_ports(self, first: int, count: int, device: PortDevice) -> PortClaim:
        return self._hold(self._board.claim_ports(first, count, device))

    def claim_memory(self, first: int, size: int, device: MemoryDevice) -> MemoryClaim:
        return self._hold(self._board.claim_memory(first, size, device))

    def claim_pci(self, device: int, function: int, target: PciTarget) -> PciClaim:
        return self._hold(self._board.claim_pci(device, function, target))

    def make_memory(self, name: str, size: int) -> OwnMemory:
        made = self._board.make_memory(name, size)
        self._memories.append(made)
        return made

    def irq(self, line: int) -> IrqLine:
        return self._hold(self._board.irq(line))

    def shared_irq(self, line: int) -> IrqLine:
        return self._hold(self._board.shared_irq(line))

    def timer(self, callback: Callable[[], None]) -> Timer:
        return self._hold_timer(self._board.timer(callback))

    def schedule(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        return self._hold_timer(self._board.schedule(when_ns, callback))

    def _hold(self, held: Held) -> Held:
        self._check(held)
        self._held = [each for each in self._held if not each.released]
        self._held.append(held)
        return held

    def _hold_timer(self, timer: Timer) -> Timer:
        self._check(timer)
        self._timers_held.add(timer)
        return timer

    def _check(self, taken: Claim | IrqLine | Timer) -> None:
        if self._released:
            taken.release()
            raise Released("a device takes something of the board that it has left")

    # What the board has once, and the slot only passes on.

    @property
    def intr(self) -> bool:
        return self._board.intr

    def set_intr(self, level: bool) -> None:
        self._board.set_intr(level)

"""The slots of PCI bus 0: who answers in configuration space, and where interrupt pins lead.

Manual: PCI Local Bus Specification 2.2, 2.2.6 (interrupt pins) and 3.2.2.3 (configuration cycles).

Every board has them; functions plug in by ``bus.claim_pci``, which devices.pci.function does for
them. A configuration cycle needs a host bridge that makes it (devices/pci/mechanism1.py): without
one, functions are plugged in and nobody finds them.

The pins INTA# to INTD# of the slots lead to the chipset's PIRQ0 to PIRQ3, one further in each slot,
so that cards that all use INTA# do not all meet on one line:

>>> [pirq_of(device, pin=1) for device in range(1, 6)]
[0, 1, 2, 3, 0]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from devices.errors import PciOverlap

DEVICES, FUNCTIONS = 32, 8
PIRQS = 4


class PciTarget(Protocol):
    """A function, as the bus sees it."""

    def read_config(self, offset: int, size: int) -> int:
        """1, 2 or 4 bytes of its configuration space, which do not leave a doubleword."""
        ...

    def write_config(self, offset: int, size: int, value: int) -> None:
        """The same, to be written."""
        ...


class Blocked(Protocol):
    """A base address at which somebody else answers."""

    def retry(self) -> None:
        """Look whether he has gone."""
        ...


def pirq_of(device: int, pin: int) -> int:
    """To which PIRQ a device's pin leads; 1 is INTA#. Device 1 is on the board, with PIRQ0."""
    return (device + pin - 2) % PIRQS


class PciSlots:
    """One board's. `on_pirq` is told when one of the four lines may have another level."""

    def __init__(self) -> None:
        self.on_pirq: Callable[[], None] = _unconnected
        self._targets: dict[int, PciTarget] = {}
        self._pulled: dict[int, int] = {}  # functions that pull: which PIRQ
        self._blocked: list[Blocked] = []

    # Who is there

    def enter(self, place: int, target: PciTarget) -> None:
        """For a claim: a function plugs in. PciOverlap."""
        if place in self._targets:
            raise PciOverlap(f"there is a PCI function at {name_of_place(place)} already")
        self._targets[place] = target

    def leave(self, place: int) -> None:
        """For a claim: it leaves."""
        del self._targets[place]
        self.pull(place, 1, False)

    def functions(self) -> list[tuple[int, int, PciTarget]]:
        """Device number, function number, and who is there, in their order."""
        return [
            (*divmod(place, FUNCTIONS), self._targets[place]) for place in sorted(self._targets)
        ]

    # Configuration cycles

    def read_config(self, place: int, offset: int, size: int) -> int:
        """All ones where nobody is: the host bridge ends the cycle by a master abort."""
        target = self._targets.get(place)
        return (1 << 8 * size) - 1 if target is None else target.read_config(offset, size)

    def write_config(self, place: int, offset: int, size: int, value: int) -> None:
        """Vanishes where nobody is."""
        target = self._targets.get(place)
        if target is not None:
            target.write_config(offset, size, value)

    # Interrupts

    def pull(self, place: int, pin: int, level: bool, quietly: bool = False) -> None:
        """A function pulls its interrupt pin, or lets go of it. `quietly`: nobody is told."""
        if level:
            self._pulled[place] = pirq_of(place // FUNCTIONS, pin)
        else:
            self._pulled.pop(place, None)
        if not quietly:
            self.on_pirq()

    def pirq(self, number: int) -> bool:
        """Does anybody pull this line?"""
        return number in self._pulled.values()

    # Base addresses that others are in the way of

    def block(self, bar: Blocked) -> None:
        """It could not be where the guest wants it; it is asked again when something has moved."""
        if bar not in self._blocked:
            self._blocked.append(bar)

    def moved(self) -> None:
        """A base address is free."""
        waiting, self._blocked = self._blocked, []
        for bar in waiting:
            bar.retry()


def name_of_place(place: int) -> str:
    """As lspci writes it.

    >>> name_of_place(0x0B)
    '00:01.3'
    """
    return f"00:{place // FUNCTIONS:02x}.{place % FUNCTIONS}"


def _unconnected() -> None:
    """A board whose PIRQ lines lead nowhere."""

"""Interrupt lines: the wires from devices to the inputs of the interrupt controllers.

Two kinds of driver meet on a wire::

    bus.irq(5)          ISA: strong both ways, so whoever drove the wire last has its say
    bus.shared_irq(11)  PCI's INTx: pulls the wire or lets go of it; it is up while anybody pulls

The wire is up if ISA's driver says so or anybody pulls (a wired OR: PCI Local Bus Specification
2.2, 2.2.6; there the level is low for active, and the bridge inverts it). What that means is the
interrupt controller's business, which takes edges on some inputs and levels on others (ELCR). A
shared line only makes sense with levels: of two devices that pull, the second makes no edge.
"""

from __future__ import annotations

from collections.abc import Callable

from devices.device import Chip
from devices.errors import Released
from devices.fields import fields, number

LINES = 16
IRQ2, ARRIVES_AT = 2, 9  # the AT moved this pin of the XT's bus, to make room for the cascade

# What an interrupt controller offers the wires: (line, level).
InterruptSink = Callable[[int, bool], None]


def _unconnected(_line: int, _level: bool) -> None:
    """A board without an interrupt controller: the wire ends nowhere."""


class IrqWires(Chip):
    """All wires of a board; the interrupt controller plugs itself in at their far end."""

    name = "irq-wires"
    state = fields(driven=number(0, 0xFFFF))
    wiring = ("sink", "_pulled")

    def __init__(self) -> None:
        self.sink: InterruptSink = _unconnected
        self.driven = 0  # wires that ISA's driver holds up, as bits
        self._pulled: dict[int, list[IrqLine]] = {}  # who shares a wire

    def reset(self) -> None:
        """Wires have no RESET pin: whoever drives them has."""

    def line(self, number: int, shared: bool) -> IrqLine:
        """A driver's end of a wire."""
        line = IrqLine(number, self, shared)
        if shared:
            self._pulled.setdefault(_wire(number), []).append(line)
        return line

    def level(self, number: int) -> bool:
        """Is the wire up?"""
        wire = _wire(number)
        return bool(self.driven >> wire & 1) or any(
            line.level for line in self._pulled.get(wire, ())
        )

    def drive(self, line: IrqLine) -> None:
        """A driver's level is another one, or may be."""
        wire = _wire(line.number)
        if not line.shared:
            self.driven = self.driven | 1 << wire if line.level else self.driven & ~(1 << wire)
        self.sink(line.number, self.level(wire))

    def take_out(self, line: IrqLine) -> None:
        """A driver leaves its wire."""
        if line.shared:
            self._pulled[_wire(line.number)].remove(line)


class IrqLine:
    """A device's end of a wire, by the number of the controller's input."""

    __slots__ = ("_wires", "level", "number", "released", "shared")

    def __init__(self, number: int, wires: IrqWires, shared: bool = False) -> None:
        self.number = number
        self.shared = shared
        #: What this device drives it to, or did last.
        self.level = False
        self._wires = wires
        #: It was given back.
        self.released = False

    def raise_(self) -> None:
        """Drive it high."""
        self.set(True)

    def lower(self) -> None:
        """Drive it low; a shared one: let go of it."""
        self.set(False)

    def set(self, level: bool) -> None:
        """Drive it to a level."""
        if self.released:
            raise Released(f"interrupt line {self.number} is driven by a device that gave it back")
        self.level = level
        self._wires.drive(self)

    def pulse(self) -> None:
        """One rising edge. The line stays high, as the 8259A wants it to until the INTA cycle."""
        self.set(False)
        self.set(True)

    def release(self) -> None:
        """Give it back, and let go of the wire. Released if it was before."""
        if self.released:
            raise Released(f"interrupt line {self.number} is given back twice")
        if self.level:
            self.set(False)
        self.released = True
        self._wires.take_out(self)


def _wire(number: int) -> int:
    return ARRIVES_AT if number == IRQ2 else number

"""An interrupt line: the wire from a chip to an input of the interrupt controller.

The controller keeps the level of its pins; a line has no state of its own. ISA lines belong to one
chip each, so there is no wired OR here.
"""

from __future__ import annotations

from collections.abc import Callable

# What an interrupt controller offers the wires: (line, level).
InterruptSink = Callable[[int, bool], None]


def _unconnected(_line: int, _level: bool) -> None:
    """A board without an interrupt controller: the wire ends nowhere."""


class IrqWires:
    """The far end of every line; the interrupt controller plugs itself in."""

    def __init__(self) -> None:
        self.sink: InterruptSink = _unconnected


class IrqLine:
    """One wire, by the number of the controller's input."""

    __slots__ = ("_wires", "number")

    def __init__(self, number: int, wires: IrqWires) -> None:
        self.number = number
        self._wires = wires

    def raise_(self) -> None:
        """Drive it high."""
        self._wires.sink(self.number, True)

    def lower(self) -> None:
        """Drive it low."""
        self._wires.sink(self.number, False)

    def set(self, level: bool) -> None:
        """Drive it to a level."""
        self._wires.sink(self.number, level)

    def pulse(self) -> None:
        """One rising edge. The line stays high, as the 8259A wants it to until the INTA cycle."""
        self._wires.sink(self.number, False)
        self._wires.sink(self.number, True)

"""Interrupt lines as somebody outside the machine drives them, and the NMI pin.

    machine.lines.raise_irq(5)     a level; the guest's handler has to have it lowered
    machine.lines.pulse_irq(5)     one edge
    machine.lines.nmi()
"""

from __future__ import annotations

from monitor.vmm.board import Board
from monitor.vmm.errors import UserError
from monitor.vmm.processor import Processor

LINES = 16
CASCADE = 2  # where the second interrupt controller is


class Lines:
    """The inputs of the two 8259A, IRQ 0 to 15, and the processor's NMI pin.

    A chip of the board that has a line of its own (0 timer, 1 keyboard, 4 serial port, 8 clock, 12
    mouse) drives it too, and the last one to do so counts. For the machine's own thread: between
    runs, or from a function that the machine calls; an interrupt is taken at the next instruction
    boundary where the guest may be interrupted.
    """

    def __init__(self, board: Board, processor: Processor) -> None:
        self._board = board
        self._processor = processor

    def raise_irq(self, line: int) -> None:
        """Drive a line high. UserError: not a line that leads to an input."""
        self._board.bus.irq(_checked(line)).raise_()

    def lower_irq(self, line: int) -> None:
        """Drive a line low. UserError: not a line that leads to an input."""
        self._board.bus.irq(_checked(line)).lower()

    def pulse_irq(self, line: int) -> None:
        """One rising edge; the line stays high until the next one or lower_irq().

        An 8259A takes an edge for an interrupt only if the line is still high when the processor
        acknowledges. UserError: not a line that leads to an input.
        """
        self._board.bus.irq(_checked(line)).pulse()

    def nmi(self) -> None:
        """An edge of the NMI pin: vector 2, whatever IF says, until IRET no second one.

        One more edge is remembered meanwhile. While the guest masks NMI with bit 7 of port 0x70,
        nothing gets through.
        """
        if not self._board.pc.rtc.nmi_masked:
            self._board.nmi()


def _checked(line: int) -> int:
    if not 0 <= line < LINES or line == CASCADE:
        raise UserError(f"interrupt line {line}: choose one from 0 to 15, but not 2, the cascade's")
    return line

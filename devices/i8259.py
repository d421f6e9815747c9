"""Intel 8259A Programmable Interrupt Controller, and the pair of a PC/AT.

Manual: Intel 8259A datasheet (231468), "Interrupt sequence", "Initialization command words",
"Operation command words"; ELCR: 82371SB (PIIX3) datasheet, 4.2.6.

How one interrupt goes through a chip::

    pin rises      IRR bit set                 INT high if the bit is unmasked (IMR) and of higher
                                               priority than everything in service (ISR)
    INTA cycle     IRR bit -> ISR bit          the vector is ICW2's top five bits and the line
    EOI            ISR bit cleared             lower priorities may interrupt again

An edge-triggered request must hold its line until the INTA cycle: a line that falls takes its IRR
bit with it, and an INTA cycle that finds no request gets line 7 without an ISR bit, the spurious
interrupt. The slave's INT output is the master's line 2.

Vectors are always those of 8086 mode; a PC has no use for the CALL instructions of MCS-80 mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from devices.bus import Bus
from devices.device import Chip
from devices.fields import BYTE, FLAG, PART, choice, fields, number

CASCADE_LINE = 2
INSTEAD_OF_CASCADE = 9
SPURIOUS_LINE = 7
OPEN_BUS = 0xFF

ICW1_IC4 = 0x01  # an ICW4 follows
ICW1_SNGL = 0x02  # no cascade, no ICW3
ICW1_LTIM = 0x08  # all lines are level-triggered
ICW1_SELECT = 0x10
ICW4_AEOI = 0x02
ICW4_SFNM = 0x10
OCW3_SELECT = 0x08
OCW3_RIS = 0x01
OCW3_RR = 0x02
OCW3_POLL = 0x04
OCW3_SMM = 0x20
OCW3_ESMM = 0x40


class I8259(Chip):
    """One 8259A. ``output`` is told every change of its INT pin."""

    name = "i8259"
    state = fields(
        pins=BYTE,
        irr=BYTE,
        imr=BYTE,
        isr=BYTE,
        elcr=BYTE,
        icw1=BYTE,
        icw2=BYTE,
        icw3=BYTE,
        icw4=BYTE,
        next_icw=choice((0, 2, 3, 4)),
        lowest=number(0, 7),
        special_mask=FLAG,
        rotate_in_aeoi=FLAG,
        read_isr=FLAG,
        poll=FLAG,
        ready=FLAG,
        int_pin=FLAG,
    )
    wiring = ("_elcr_mask", "_output")

    def __init__(self, output: Callable[[bool], None], elcr_mask: int = 0) -> None:
        self._output = output
        self._elcr_mask = elcr_mask
        self.pins = 0
        self.int_pin = False
        self.reset()

    def reset(self) -> None:
        """Power on: silent until it is initialised. The pins are driven by others and stay."""
        self.irr = self.isr = 0
        self.imr = 0xFF
        self.elcr = 0
        self.icw1 = self.icw2 = self.icw3 = self.icw4 = 0
        self.next_icw = 0
        self.lowest = 7
        self.special_mask = self.rotate_in_aeoi = self.read_isr = self.poll = False
        self.ready = False
        self._update()

    def contradiction(self, state: Mapping[str, Any]) -> str | None:
        if state["elcr"] & ~self._elcr_mask:
            return f"elcr: {state['elcr']:#04x} has lines that are always edges"
        return None

    # The request side

    def set_pin(self, line: int, level: bool) -> None:
        """A line rises or falls."""
        bit = 1 << line
        if bool(self.pins & bit) == level:
            return
        self.pins ^= bit
        if level:
            self.irr |= bit
        else:
            self.irr &= ~bit
        self._update()

    def set_elcr(self, value: int) -> None:
        """Which lines are level-triggered, of those that can be."""
        self.elcr = value & self._elcr_mask
        self._follow_levels()
        self._update()

    def _level_triggered(self) -> int:
        return 0xFF if self.icw1 & ICW1_LTIM else self.elcr

    def _follow_levels(self) -> None:
        """Request bits of level-triggered lines are the pins themselves."""
        level = self._level_triggered()
        self.irr = self.irr & ~level | self.pins & level

    def requested(self, coming: int = 0) -> int | None:
        """The line that INT stands for, or None. `coming`: as if these lines had risen, too."""
        pending = (self.irr | coming) & ~self.imr
        if not pending or not self.ready:
            return None
        line = self._highest(pending)
        serving = self.isr & ~self.imr if self.special_mask else self.isr
        if not serving:
            return line
        in_service = self._highest(serving)
        if self._rank(line) < self._rank(in_service):
            return line
        if line == in_service and self.icw4 & ICW4_SFNM and self.icw3 >> line & 1:
            return line  # special fully nested: a slave may interrupt its own service
        return None

    def _rank(self, line: int) -> int:
        """0 is the highest priority: the line after the lowest one."""
        return (line - self.lowest - 1) & 7

    def _highest(self, lines: int) -> int:
        first = self.lowest + 1 & 7
        rotated = (lines >> first | lines << 8 - first) & 0xFF
        return (rotated & -rotated).bit_length() - 1 + first & 7

    def _update(self) -> None:
        self._drive(self.requested() is not None)

    def _drive(self, level: bool) -> None:
        if level != self.int_pin:
            self.int_pin = level
            self._output(level)

    # The acknowledge side

    def acknowledge(self) -> int:
        """An INTA cycle, or a poll: which line is served now."""
        line = self.requested()
        # INT falls during INTA, so that what is still pending makes a new edge on a cascade.
        self._drive(False)
        if line is None:
            return SPURIOUS_LINE
        bit = 1 << line
        self.irr &= ~bit | self._level_triggered()
        if not self.icw4 & ICW4_AEOI:
            self.isr |= bit
        elif self.rotate_in_aeoi:
            self.lowest = line
        return line

    def finish_acknowledge(self) -> None:
        """The INTA cycle is over: INT shows what is pending now."""
        self._update()

    def vector(self, line: int) -> int:
        """The vector that a line has."""
        return self.icw2 & 0xF8 | line

    # The processor's side

    def read_port(self, offset: int, size: int) -> int:
        if self.poll:
            return self._read_poll()
        if offset == 1:
            return self.imr
        return self.isr if self.read_isr else self.irr

    def _read_poll(self) -> int:
        self.poll = False
        if self.requested() is None:
            return 0
        line = self.acknowledge()
        self.finish_acknowledge()
        return 0x80 | line

    def write_port(self, offset: int, size: int, value: int) -> None:
        if offset == 1:
            self._write_data(value)
        elif value & ICW1_SELECT:
            self._write_icw1(value)
        elif value & OCW3_SELECT:
            self._write_ocw3(value)
        else:
            self._write_ocw2(value)

    def _write_icw1(self, value: int) -> None:
        self.icw1 = value
        self.icw3 = self.icw4 = 0
        self.imr = self.isr = self.irr = 0  # the edge detectors are cleared
        self.lowest = 7
        self.special_mask = self.read_isr = self.poll = self.rotate_in_aeoi = False
        self.ready = False
        self.next_icw = 2
        self._follow_levels()
        self._update()

    def _write_data(self, value: int) -> None:
        step = self.next_icw
        if step == 0:
            self.imr = value
        elif step == 2:
            self.icw2 = value
            self.next_icw = 4 if self.icw1 & ICW1_SNGL else 3
            self._skip_icw4()
        elif step == 3:
            self.icw3 = value
            self.next_icw = 4
            self._skip_icw4()
        else:
            self.icw4 = value
            self._initialised()
        self._update()

    def _skip_icw4(self) -> None:
        if self.next_icw == 4 and not self.icw1 & ICW1_IC4:
            self._initialised()

    def _initialised(self) -> None:
        self.next_icw = 0
        self.ready = True

    def _write_ocw2(self, value: int) -> None:
        """R, SL and EOI, then the line that SL makes valid."""
        command, line = value >> 5, value & 7
        if command in (0b000, 0b100):
            self.rotate_in_aeoi = command == 0b100
        elif command in (0b001, 0b101):
            self._end_highest(rotate=command == 0b101)
        elif command in (0b011, 0b111):
            self.isr &= ~(1 << line)
            if command == 0b111:
                self.lowest = line
        elif command == 0b110:
            self.lowest = line
        self._update()

    def _end_highest(self, rotate: bool) -> None:
        """Non-specific EOI. In special mask mode it passes over masked lines."""
        serving = self.isr & ~self.imr if self.special_mask else self.isr
        if serving:
            line = self._highest(serving)
            self.isr &= ~(1 << line)
            if rotate:
                self.lowest = line

    def _write_ocw3(self, value: int) -> None:
        if value & OCW3_ESMM:
            self.special_mask = bool(value & OCW3_SMM)
        if value & OCW3_POLL:
            self.poll = True
        elif value & OCW3_RR:
            self.read_isr = bool(value & OCW3_RIS)
        self._update()


class I8259Pair(Chip):
    """The two 8259As of a PC/AT at 0x20 and 0xa0, with the edge/level registers at 0x4d0."""

    name = "i8259-pair"
    state = fields(master=PART, slave=PART)
    wiring = ("_bus", "output")
    # The timer, the keyboard, the cascade, the RTC and the coprocessor are always edges.
    ELCR_MASTER = 0xF8
    ELCR_SLAVE = 0xDE

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        #: Where INT leads: to the processor, or to its local APIC (devices/apic/board.py).
        self.output: Callable[[bool], None] = bus.set_intr
        self.master = I8259(lambda level: self.output(level), self.ELCR_MASTER)
        self.slave = I8259(self._cascade, self.ELCR_SLAVE)
        bus.claim_ports(0x20, 2, self.master)
        bus.claim_ports(0xA0, 2, self.slave)
        bus.claim_ports(0x4D0, 2, self)
        bus.connect_interrupt_controller(self.set_line)

    def _cascade(self, level: bool) -> None:
        self.master.set_pin(CASCADE_LINE, level)

    def set_line(self, line: int, level: bool) -> None:
        """IRQ 0 to 15; line 2 is the cascade, and what an AT bus calls IRQ2 arrives as IRQ9."""
        if line == CASCADE_LINE:
            line = INSTEAD_OF_CASCADE
        if line < 8:
            self.master.set_pin(line, level)
        else:
            self.slave.set_pin(line - 8, level)

    def would_interrupt(self, line: int) -> bool:
        """Would INT be up if this line rose now: is it unmasked, and nothing above it served?"""
        if line == CASCADE_LINE:
            line = INSTEAD_OF_CASCADE
        if line >= 8:
            if self.slave.requested(1 << line - 8) is None:
                return False
            line = CASCADE_LINE
        return self.master.requested(1 << line) is not None

    def acknowledge(self) -> int:
        """The two INTA cycles: the vector of the interrupt that the processor takes now."""
        line = self.master.acknowledge()
        if line == CASCADE_LINE and self.master.icw3 >> CASCADE_LINE & 1:
            vector = self._acknowledge_slave()
        else:
            vector = self.master.vector(line)
        self.master.finish_acknowledge()
        return vector

    def _acknowledge_slave(self) -> int:
        if self.slave.icw3 & 7 != CASCADE_LINE:
            return OPEN_BUS  # nobody recognises the cascade lines
        line = self.slave.acknowledge()
        vector = self.slave.vector(line)
        self.slave.finish_acknowledge()
        return vector

    def read_port(self, offset: int, size: int) -> int:
        return (self.slave if offset else self.master).elcr

    def write_port(self, offset: int, size: int, value: int) -> None:
        (self.slave if offset else self.master).set_elcr(value)

    def reset(self) -> None:
        self.slave.reset()
        self.master.reset()

    def restored(self) -> None:
        self._bus.set_intr(self.master.int_pin)

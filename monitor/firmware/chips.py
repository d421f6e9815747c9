"""The chips as a BIOS leaves them, programmed through their ports as a BIOS does it.

Manual: IBM PC/AT Technical Reference, "System BIOS"; the chips' own datasheets.

    8259A     vectors 08h and 70h, cascade on line 2; lines 0, 1, 2, 6 and 8 are open
    8237A     channel 4 is the way in for channels 0 to 3
    8254      counter 0: mode 3, 65536, so 18.2 Hz; counter 1: refresh; counter 2: the speaker, off
    8042      keyboard on, translated, interrupting; its buffer empty
    MC146818  equipment byte, and the checksum over it; interrupts off

Line 6, the diskette's, is open as in every BIOS, though there is no controller to drive it.
"""

from __future__ import annotations

from typing import Protocol

from devices.bcd import from_bcd
from devices.i8254 import PIT_HZ
from monitor.firmware.data_area import Found

PIC1, PIC2 = 0x20, 0xA0
MASTER_MASK, SLAVE_MASK = 0xB8, 0xFE  # lines 0, 1, 2, 6; 8
COUNTERS, PIT_CONTROL = (0x40, 0x41, 0x42), 0x43
PORT_61 = 0x61
SPEAKER = 0x03
KBD_DATA, KBD_COMMAND = 0x60, 0x64
OUTPUT_FULL = 0x01
WRITE_COMMAND_BYTE = 0x60
COMMAND_BYTE = 0x65  # translate, no mouse, self-test passed, interrupt
MOST_KEYS = 64  # that a keyboard and its controller hold
CMOS_INDEX, CMOS_DATA = 0x70, 0x71
REG_B, REG_C, REG_D = 0x0B, 0x0C, 0x0D
B_BINARY, B_24H, B_INTERRUPTS = 0x04, 0x02, 0x70
PM = 0x80
EQUIPMENT_BYTE = 0x14
CHECKSUMMED, CHECKSUM = range(0x10, 0x2E), 0x2E  # the high byte first
DMA1_CLEAR, DMA2_CLEAR, DMA2_MODE, DMA2_MASK = 0x0D, 0xDA, 0xD6, 0xD4
CASCADE_MODE = 0xC0
SERIAL_PORTS = (0x3F8, 0x2F8, 0x3E8, 0x2E8)
PARALLEL_PORTS = (0x3BC, 0x378, 0x278)
IER, IIR = 1, 2
THR_EMPTY = 0x02  # in both


class Ports(Protocol):
    """The I/O side of a bus."""

    def read_port(self, port: int, size: int, /) -> int: ...

    def write_port(self, port: int, size: int, value: int, /) -> None: ...


def power_on(bus: Ports) -> Found:
    """Look what there is and leave the chips ready; says what was found."""
    found = Found(_serial_ports(bus), _ticks(bus), _parallel_ports(bus))
    _keyboard(bus)
    _clock_chip(bus, found.equipment & 0xFF)
    _dma(bus)
    _timer(bus)
    _controllers(bus)  # last: it forgets the edges that the others made
    return found


def _serial_ports(bus: Ports) -> list[int]:
    """Where an 8250 answers: its transmitter is empty, and says so when asked to."""
    found = []
    for base in SERIAL_PORTS:
        bus.write_port(base + IER, 1, THR_EMPTY)
        there = bus.read_port(base + IER, 1) == THR_EMPTY
        if there and bus.read_port(base + IIR, 1) & 0x3F == THR_EMPTY:
            found.append(base)
        bus.write_port(base + IER, 1, 0)
    return found


def _parallel_ports(bus: Ports) -> list[int]:
    """Where a data register keeps what is written to it."""
    found = []
    for base in PARALLEL_PORTS:
        bus.write_port(base, 1, 0xAA)
        if bus.read_port(base, 1) == 0xAA:
            found.append(base)
    return found


def _ticks(bus: Ports) -> int:
    """Timer ticks since midnight, by the clock chip."""
    mode = _read_cmos(bus, REG_B)
    second, minute, hour = (_read_cmos(bus, register) for register in (0, 2, 4))
    afternoon = not mode & B_24H and hour & PM
    if not mode & B_24H:
        hour &= ~PM
    if not mode & B_BINARY:
        second, minute, hour = from_bcd(second), from_bcd(minute), from_bcd(hour)
    if not mode & B_24H:
        hour = hour % 12 + (12 if afternoon else 0)
    return ((hour * 60 + minute) * 60 + second) * PIT_HZ // 0x10000


def _keyboard(bus: Ports) -> None:
    bus.write_port(KBD_COMMAND, 1, WRITE_COMMAND_BYTE)
    bus.write_port(KBD_DATA, 1, COMMAND_BYTE)
    for _ in range(MOST_KEYS):
        if not bus.read_port(KBD_COMMAND, 1) & OUTPUT_FULL:
            break
        bus.read_port(KBD_DATA, 1)


def _clock_chip(bus: Ports, equipment: int) -> None:
    _write_cmos(bus, REG_B, _read_cmos(bus, REG_B) & ~B_INTERRUPTS)
    _read_cmos(bus, REG_C)
    _write_cmos(bus, EQUIPMENT_BYTE, equipment)
    total = sum(_read_cmos(bus, register) for register in CHECKSUMMED)
    _write_cmos(bus, CHECKSUM, total >> 8 & 0xFF)
    _write_cmos(bus, CHECKSUM + 1, total & 0xFF)
    bus.write_port(CMOS_INDEX, 1, REG_D)


def _dma(bus: Ports) -> None:
    bus.write_port(DMA1_CLEAR, 1, 0)
    bus.write_port(DMA2_CLEAR, 1, 0)
    bus.write_port(DMA2_MODE, 1, CASCADE_MODE)
    bus.write_port(DMA2_MASK, 1, 0)


def _timer(bus: Ports) -> None:
    _counter(bus, 0, 0x36, 0, 0)  # both bytes, mode 3, 0 for 65536
    _counter(bus, 1, 0x54, 18)  # low byte, mode 2: a refresh each 15 us
    _counter(bus, 2, 0xB6, 0, 0)
    bus.write_port(PORT_61, 1, bus.read_port(PORT_61, 1) & ~SPEAKER & 0xFF)


def _counter(bus: Ports, number: int, control: int, *count: int) -> None:
    bus.write_port(PIT_CONTROL, 1, control)
    for byte in count:
        bus.write_port(COUNTERS[number], 1, byte)


def _controllers(bus: Ports) -> None:
    """ICW1 to ICW4 (edges, cascade, 8086 mode), then the masks."""
    for base, vector, cascade, mask in (
        (PIC1, 0x08, 0x04, MASTER_MASK),
        (PIC2, 0x70, 0x02, SLAVE_MASK),
    ):
        bus.write_port(base, 1, 0x11)
        for byte in (vector, cascade, 0x01, mask):
            bus.write_port(base + 1, 1, byte)


def _read_cmos(bus: Ports, register: int) -> int:
    bus.write_port(CMOS_INDEX, 1, register)
    return bus.read_port(CMOS_DATA, 1)


def _write_cmos(bus: Ports, register: int, value: int) -> None:
    bus.write_port(CMOS_INDEX, 1, register)
    bus.write_port(CMOS_DATA, 1, value)

"""What the power-on test finds, and how it leaves the chips, on boards of several kinds."""

from __future__ import annotations

import pytest

from devices.bus import Bus
from devices.clock import ManualClock
from devices.i8254 import PIT_HZ
from devices.pc import Pc, build_pc
from devices.uart16550 import Uart16550
from monitor.firmware.chips import power_on
from monitor.firmware.data_area import data_area


def board(**options: object) -> tuple[Bus, Pc]:
    bus = Bus(ManualClock())
    return bus, build_pc(bus, **options)  # type: ignore[arg-type]


def cmos(bus: Bus, register: int) -> int:
    bus.write_port(0x70, 1, register)
    return bus.read_port(0x71, 1)


def test_serial_ports_are_found_where_they_answer() -> None:
    bus, _ = board()
    Uart16550(bus, base=0x2E8, irq=3)
    Uart16550(bus, base=0x2F8, irq=3)
    found = power_on(bus)
    assert found.serial_ports == [0x3F8, 0x2F8, 0x2E8]
    assert found.equipment == 0x0602
    assert data_area(found)[:8] == b"\xf8\x03\xf8\x02\xe8\x02\0\0"
    assert data_area(found)[0x7C:0x80] == b"\1\1\1\0"
    for base in found.serial_ports:
        assert bus.read_port(base + 1, 1) == 0  # its interrupts are off


@pytest.mark.parametrize(
    ("mode", "hour", "minute", "seconds"),
    [
        (0x02, 0x13, 0x45, 13 * 3600 + 45 * 60),
        (0x06, 13, 45, 13 * 3600 + 45 * 60),
        (0x00, 0x81, 0x45, 13 * 3600 + 45 * 60),
        (0x04, 0x81, 45, 13 * 3600 + 45 * 60),
        (0x00, 0x11, 0x00, 11 * 3600),
        (0x00, 0x12, 0x00, 0),
        (0x00, 0x92, 0x00, 12 * 3600),
    ],
)
def test_the_time_of_day_in_every_format(mode: int, hour: int, minute: int, seconds: int) -> None:
    bus, _ = board(cmos={0x0B: mode, 0: 0, 2: minute, 4: hour})
    assert power_on(bus).ticks == seconds * PIT_HZ // 0x10000


def test_the_cmos_has_its_equipment_and_a_true_checksum() -> None:
    bus, pc = board(memory_bytes=64 << 20)
    pc.rtc.cmos[0x0B] |= 0x70
    power_on(bus)
    assert cmos(bus, 0x14) == 0x02
    assert cmos(bus, 0x2E) << 8 | cmos(bus, 0x2F) == sum(cmos(bus, n) for n in range(0x10, 0x2E))
    assert cmos(bus, 0x15) | cmos(bus, 0x16) << 8 == 640
    assert cmos(bus, 0x0B) == 0x02  # 24 hours, no interrupts


def test_the_timer_and_the_speaker() -> None:
    bus, _ = board()
    bus.write_port(0x61, 1, 0x03)
    power_on(bus)
    assert bus.read_port(0x61, 1) & 0x03 == 0
    for counter, status in ((0, 0x36), (1, 0x14), (2, 0x36)):
        bus.write_port(0x43, 1, 0xE0 | 2 << counter)
        assert bus.read_port(0x40 + counter, 1) & 0x3F == status


def test_the_keyboard_is_ready_and_empty() -> None:
    bus, pc = board()
    bus.write_port(0x64, 1, 0xAD)  # off
    bus.write_port(0x64, 1, 0xAA)  # a reply that nobody fetches
    power_on(bus)
    assert bus.read_port(0x64, 1) & 1 == 0
    assert pc.kbc.command_byte == 0x65


def test_no_interrupt_is_left_over() -> None:
    bus, _ = board()
    Uart16550(bus, base=0x2F8, irq=3)
    bus.write_port(0x64, 1, 0xAA)
    power_on(bus)
    assert not bus.intr
    for base in (0x20, 0xA0):
        bus.write_port(base, 1, 0x0A)
        assert bus.read_port(base, 1) == 0

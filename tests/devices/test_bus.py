"""The bus: claims, widths, open bus, timers, interrupt wires."""

import pytest

from devices.bus import BadRange, Bus, MemoryOverlap, PortOverlap
from devices.clock import ManualClock, ns_of_tick, tick_at


class Bytes:
    """Four byte registers that also answer as memory of any width."""

    name = "bytes"

    def __init__(self):
        self.cells = bytearray(16)
        self.sizes = []

    def read_port(self, offset, size):
        self.sizes.append(size)
        return self.cells[offset]

    def write_port(self, offset, size, value):
        self.sizes.append(size)
        self.cells[offset] = value

    def read_memory(self, offset, size):
        self.sizes.append(size)
        return int.from_bytes(self.cells[offset : offset + size], "little")

    def write_memory(self, offset, size, value):
        self.sizes.append(size)
        self.cells[offset : offset + size] = value.to_bytes(size, "little")


class Wide(Bytes):
    name = "wide"

    def port_widths(self, offset):
        return (1, 2, 4) if offset == 0 else (1,)

    def read_port(self, offset, size):
        self.sizes.append(size)
        return int.from_bytes(self.cells[offset : offset + size], "little")

    def write_port(self, offset, size, value):
        self.sizes.append(size)
        self.cells[offset : offset + size] = value.to_bytes(size, "little")


@pytest.fixture
def bus():
    return Bus(ManualClock())


def test_who_answers_where():
    bus = Bus(ManualClock())
    for first, count, device in ((0x40, 4, Bytes()), (0x20, 2, Bytes()), (0x22, 1, Wide()),
                                 (0x44, 4, Bytes()), (0xA0, 1, Bytes())):  # fmt: skip
        bus.claim_ports(first, count, device)
    assert bus.port_ranges() == [
        (0x20, 0x21, "bytes"), (0x22, 0x22, "wide"), (0x40, 0x47, "bytes"), (0xA0, 0xA0, "bytes"),
    ]  # fmt: skip


def test_open_bus_reads_all_ones_of_its_width_and_swallows_writes(bus):
    assert [bus.read_port(0x300, size) for size in (1, 2, 4)] == [0xFF, 0xFFFF, 0xFFFFFFFF]
    bus.write_port(0x300, 4, 0)
    assert [bus.read_memory(0xE0000000, size) for size in (1, 2, 4)] == [
        0xFF,
        0xFFFF,
        0xFFFFFFFF,
    ]
    bus.write_memory(0xE0000000, 4, 0)


def test_offsets_are_relative_to_the_claim(bus):
    device = Bytes()
    bus.claim_ports(0x300, 4, device)
    bus.write_port(0x302, 1, 0xAB)
    assert device.cells[2] == 0xAB
    assert bus.read_port(0x302, 1) == 0xAB


def test_wide_access_to_a_byte_device_is_split_low_byte_first(bus):
    device = Bytes()
    bus.claim_ports(0x300, 4, device)
    bus.write_port(0x300, 4, 0x44332211)
    assert device.cells[:4] == bytes.fromhex("11223344")
    assert bus.read_port(0x301, 2) == 0x3322
    assert set(device.sizes) == {1}


def test_wide_access_over_the_end_of_a_claim_reads_ones_there(bus):
    bus.claim_ports(0x300, 1, Bytes())
    assert bus.read_port(0x300, 4) == 0xFFFFFF00
    assert bus.read_port(0xFFFF, 4) == 0xFFFFFFFF
    bus.write_port(0xFFFF, 4, 0)


def test_no_wrap_from_the_last_port_to_the_first(bus):
    device = Bytes()
    bus.claim_ports(0, 1, device)
    bus.write_port(0xFFFF, 2, 0xAA55)
    assert device.cells[0] == 0


def test_a_device_that_knows_wide_accesses_gets_them_whole(bus):
    device = Wide()
    bus.claim_ports(0x1F0, 2, device)
    bus.write_port(0x1F0, 2, 0x1234)
    assert bus.read_port(0x1F0, 4) == 0x1234
    assert device.sizes == [2, 4]
    bus.read_port(0x1F1, 2)  # that offset only knows bytes
    assert device.sizes == [2, 4, 1]


def test_write_values_are_cut_to_the_access(bus):
    device = Wide()
    bus.claim_ports(0x300, 1, device)
    bus.claim_memory(0x1000, 16, device)
    bus.write_port(0x300, 1, 0x1FF)
    bus.write_memory(0x1004, 1, 0x1FE)
    assert device.cells[0] == 0xFF and device.cells[4] == 0xFE


def test_overlapping_ports_are_refused_by_name(bus):
    bus.claim_ports(0x300, 4, Bytes())
    message = "wide claims ports 0x303-0x304, but 0x303 belongs to bytes"
    with pytest.raises(PortOverlap, match=message):
        bus.claim_ports(0x303, 2, Wide())
    assert bus.read_port(0x304, 1) == 0xFF  # nothing of the refused claim stays
    bus.claim_ports(0x304, 1, Wide())


@pytest.mark.parametrize("first, count", [(-1, 1), (0xFFFF, 2), (0, 0)])
def test_ports_out_of_range_are_refused(bus, first, count):
    with pytest.raises(BadRange):
        bus.claim_ports(first, count, Bytes())


def test_memory_ranges(bus):
    low, high = Bytes(), Bytes()
    bus.claim_memory(0x2000, 16, high)
    bus.claim_memory(0x1000, 16, low)
    bus.write_memory(0x1004, 4, 0xDEADBEEF)
    assert bus.read_memory(0x1004, 4) == 0xDEADBEEF
    assert low.sizes == [4, 4]
    assert bus.memory_ranges() == [(0x1000, 0x1010), (0x2000, 0x2010)]
    assert bus.memory_in(0x100F, 1) and bus.memory_in(0xFFF, 2) and bus.memory_in(0, 0x8000)
    assert not bus.memory_in(0x1010, 0xFF0) and not bus.memory_in(0xFFF, 1)
    assert bus.read_memory(0x200E, 4) == 0xFFFF0000  # the end of a range is split
    bus.write_memory(0x200E, 4, 0x11223344)
    assert high.cells[14:] == bytes.fromhex("4433")


@pytest.mark.parametrize(("first", "size"), [(-1, 4), (0, 0), (1 << 32, 1), (0xFFFFF000, 0x1001)])
def test_memory_that_is_not_on_the_bus(bus: Bus, first: int, size: int) -> None:
    with pytest.raises(BadRange):
        bus.claim_memory(first, size, Bytes())
    bus.claim_memory(0xFFFFF000, 0x1000, Bytes())


@pytest.mark.parametrize("first, size", [(0xFF8, 9), (0x100F, 1), (0x1004, 4), (0x800, 0x1000)])
def test_overlapping_memory_is_refused(bus, first, size):
    bus.claim_memory(0x1000, 16, Bytes())
    with pytest.raises(MemoryOverlap, match="belongs to bytes"):
        bus.claim_memory(first, size, Wide())
    bus.claim_memory(0xFF8, 8, Wide())
    bus.claim_memory(0x1010, 8, Wide())


def test_timers_fire_in_order_of_time_then_of_scheduling(bus):
    fired = []
    for when, name in ((20, "c"), (10, "a"), (10, "b"), (30, "d")):
        bus.schedule(when, lambda name=name: fired.append(name))
    assert bus.next_deadline() == 10
    bus.clock.time = 20
    bus.run_due()
    assert fired == ["a", "b", "c"]
    assert bus.next_deadline() == 30


def test_cancelled_timers_neither_fire_nor_count(bus):
    fired = []
    first = bus.schedule(10, lambda: fired.append(1))
    bus.schedule(20, lambda: fired.append(2))
    first.cancel()
    first.cancel()
    assert bus.next_deadline() == 20
    bus.clock.time = 50
    bus.run_due()
    assert fired == [2]
    assert bus.next_deadline() is None


def test_a_timer_may_schedule_and_cancel_others_from_its_callback(bus):
    fired = []
    later = bus.schedule(30, lambda: fired.append("cancelled"))

    def callback():
        fired.append("first")
        later.cancel()
        bus.schedule(20, lambda: fired.append("second"))

    bus.schedule(10, callback)
    bus.clock.time = 40
    bus.run_due()
    assert fired == ["first", "second"]


def test_rearming_for_ever_does_not_grow_the_heap(bus):
    for when in range(10_000):
        bus.schedule(10**9 + when, lambda: None).cancel()
    keep = bus.schedule(5, lambda: None)
    assert len(bus._timers) < 200
    assert bus.next_deadline() == keep.when


def test_interrupt_lines_without_a_controller_go_nowhere(bus):
    line = bus.irq(3)
    line.raise_()
    line.lower()
    line.pulse()
    assert not bus.intr


def test_on_intr_is_told_changes_only(bus):
    seen = []
    bus.on_intr = seen.append
    for level in (False, True, True, False):
        bus.set_intr(level)
    assert seen == [True, False]


@pytest.mark.parametrize("hertz", [1193182, 32768, 1843200, 14318180])
def test_ticks_are_exact_for_years(hertz):
    for tick in (0, 1, 2, 3, 65536, 10**6, 10**12 + 7, 10**15 + 1):
        moment = ns_of_tick(tick, hertz)
        assert tick_at(moment, hertz) == tick
        assert tick == 0 or tick_at(moment - 1, hertz) == tick - 1

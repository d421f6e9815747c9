"""Devices come and go while the machine runs (devices/claims.py, devices/slot.py)."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from devices.bus import Bus
from devices.clock import ManualClock
from devices.errors import (
    BadRange,
    MemoryOverlap,
    NotClaimed,
    PortOverlap,
    Released,
)
from devices.slot import Slot

BASE = 0xE0000000


class Echo:
    """Answers with its number, at ports and in memory, whatever the width."""

    name = "echo"

    def __init__(self, number: int = 7) -> None:
        self.number = number

    def port_widths(self, offset: int) -> tuple[int, ...]:
        return (1, 2, 4)

    def read_port(self, offset: int, size: int) -> int:
        return self.number + offset

    def write_port(self, offset: int, size: int, value: int) -> None: ...

    read_memory = read_port
    write_memory = write_port


@pytest.fixture
def bus() -> Bus:
    return Bus(ManualClock())


def test_ports_that_are_given_back_are_anybodys(bus: Bus) -> None:
    claim = bus.claim_ports(0x300, 4, Echo())
    assert bus.read_port(0x302, 2) == 9
    claim.release()
    assert [bus.read_port(0x300 + at, size) for at in range(4) for size in (1, 2, 4)] == [
        0xFF, 0xFFFF, 0xFFFFFFFF] * 4  # fmt: skip
    bus.write_port(0x300, 4, 1)
    assert bus.owner_of(0x300) is None and bus.port_ranges() == []
    assert bus.port_time(0x300, 4) == 4000
    bus.claim_ports(0x302, 4, Echo(1))
    assert bus.read_port(0x302, 1) == 1


def test_memory_that_is_given_back_is_anybodys(bus: Bus) -> None:
    told = []
    bus.on_memory = lambda: told.append(bus.memory_ranges())
    low = bus.claim_memory(BASE, 16, Echo(1))
    high = bus.claim_memory(BASE + 16, 16, Echo(2))
    low.release()
    assert bus.read_memory(BASE, 4) == 0xFFFFFFFF and bus.read_memory(BASE + 16, 4) == 2
    assert not bus.memory_in(BASE, 16) and bus.memory_in(BASE + 15, 2)
    high.release()
    assert told == [[(BASE, BASE + 16)], [(BASE, BASE + 16), (BASE + 16, BASE + 32)],
                    [(BASE + 16, BASE + 32)], []]  # fmt: skip


def test_twice_is_an_error_that_says_what(bus: Bus) -> None:
    ports, memory = bus.claim_ports(0x300, 4, Echo()), bus.claim_memory(BASE, 16, Echo())
    line, shared, timer = bus.irq(5), bus.shared_irq(11), bus.timer(lambda: None)
    for each in (ports, memory, line, shared, timer):
        assert not each.released
        each.release()
        assert each.released
    for each, error, words in (
        (ports, NotClaimed, "echo gives ports 0x300-0x303 back, and does not have it"),
        (memory, NotClaimed, "echo gives memory 0xe0000000-0xe000000f back"),
        (line, Released, "interrupt line 5 is given back twice"),
        (shared, Released, "interrupt line 11 is given back twice"),
        (timer, Released, "a timer is given back twice"),
    ):
        with pytest.raises(error, match=words):
            each.release()
    with pytest.raises(NotClaimed):
        ports.move(0x310)
    with pytest.raises(Released, match="line 5 is driven by a device that gave it back"):
        line.raise_()
    with pytest.raises(Released, match="a timer is set that was given back"):
        timer.set(10)
    timer.cancel()  # is never wrong


def test_anothers_claim_of_the_same_place_is_not_touched(bus: Bus) -> None:
    first = bus.claim_ports(0x300, 4, Echo(1))
    first.release()
    bus.claim_ports(0x300, 4, Echo(2))
    with pytest.raises(NotClaimed):
        first.release()
    assert bus.read_port(0x300, 1) == 2


def test_a_claim_that_moves(bus: Bus) -> None:
    told = []
    ports, memory = bus.claim_ports(0x300, 4, Echo()), bus.claim_memory(BASE, 16, Echo())
    bus.on_memory = lambda: told.append(bus.memory_ranges())
    ports.move(0x302)  # over itself
    memory.move(BASE + 8)
    assert bus.read_port(0x300, 1) == 0xFF and bus.read_port(0x305, 1) == 10
    assert bus.memory_ranges() == [(BASE + 8, BASE + 24)] == told[-1]
    assert (str(ports), str(memory)) == ("ports 0x302-0x305", "memory 0xe0000008-0xe0000017")
    ports.release(), memory.release()
    assert bus.port_ranges() == [] and bus.memory_ranges() == []


def test_one_that_cannot_move_stays_where_it_is(bus: Bus) -> None:
    ports, memory = bus.claim_ports(0x300, 4, Echo(1)), bus.claim_memory(BASE, 16, Echo(1))
    bus.claim_ports(0x310, 4, Echo(2))
    bus.claim_memory(BASE + 0x100, 16, Echo(2))
    for move, where, error in (
        (ports.move, 0x30D, PortOverlap), (ports.move, 0xFFFF, BadRange),
        (ports.move, -1, BadRange),
        (memory.move, BASE + 0xFF, MemoryOverlap), (memory.move, 0xFFFFFFF8, BadRange),
    ):  # fmt: skip
        with pytest.raises(error):
            move(where)
    assert bus.read_port(0x300, 1) == bus.read_memory(BASE, 1) == 1
    assert bus.read_port(0x310, 1) == bus.read_memory(BASE + 0x100, 1) == 2
    assert not ports.released and not memory.released


def test_a_line_that_is_given_back_falls(board: Any) -> None:
    board.init_pics()
    line = board.bus.irq(5)
    line.raise_()
    assert board.bus.intr
    line.release()
    assert not board.bus.intr and not board.bus.wires.level(5)


# --- in the middle of a callback ------------------------------------------------------------------


class Suicidal(Echo):
    """Leaves the board when it is told to, whatever it is doing."""

    def __init__(self, bus: Slot) -> None:
        super().__init__()
        self.bus, self.rang = bus, 0
        bus.claim_ports(0x300, 4, self)
        bus.claim_ports(0x310, 4, self)
        bus.claim_memory(BASE, 16, self)
        self.line = bus.shared_irq(11)
        self.timer = bus.timer(self.ring)

    def write_port(self, offset: int, size: int, value: int) -> None:
        self.bus.release()

    write_memory = write_port

    def read_port(self, offset: int, size: int) -> int:
        self.bus.release()
        return 42

    read_memory = read_port

    def ring(self) -> None:
        self.rang += 1
        self.line.raise_()
        self.timer.set(self.bus.clock.now() + 1)
        self.bus.release()


def gone(bus: Bus) -> bool:
    return not bus.port_ranges() and not bus.memory_ranges() and bus.next_deadline() is None


@pytest.mark.parametrize("how", ["read_port", "write_port", "read_memory", "write_memory", "timer"])
def test_a_device_that_goes_while_it_is_called(bus: Bus, how: str) -> None:
    left: list[str] = []
    slot = Slot(bus, lambda: left.append("left"))
    device = Suicidal(slot)
    device.timer.set(10)
    if how == "timer":
        bus.clock.time = 1000  # type: ignore[attr-defined]
        bus.run_due()
        assert device.rang == 1
    elif how == "read_port":
        assert bus.read_port(0x300, 4) == 42
    elif how == "write_port":
        bus.write_port(0x303, 4, 1)  # four bytes, of which one was its own
    elif how == "read_memory":
        assert bus.read_memory(BASE + 15, 4) == 0xFFFFFF2A
    else:
        bus.write_memory(BASE, 4, 1)
    assert gone(bus) and left == ["left"] and slot.claims == ()
    assert not bus.wires.level(11)
    with pytest.raises(Released, match="leaves the board twice"):
        slot.release()


def test_bytes_of_one_access_after_its_device_has_gone(bus: Bus) -> None:
    class Bytes(Suicidal):
        def port_widths(self, offset: int) -> tuple[int, ...]:
            return (1,)

    Bytes(Slot(bus))
    assert bus.read_port(0x300, 4) == 0xFFFFFF2A


def test_a_timer_that_is_given_back_by_another_of_the_same_moment(bus: Bus) -> None:
    fired = []
    one = bus.timer(lambda: (fired.append("one"), two.release()))
    two = bus.timer(lambda: fired.append("two"))
    two.set(10), one.set(10)
    bus.clock.time = 20  # type: ignore[attr-defined]
    bus.run_due()
    assert fired == ["one"] and bus.next_deadline() is None


# --- slots ----------------------------------------------------------------------------------------


def test_a_slot_is_a_bus_to_its_device(bus: Bus) -> None:
    slot = Slot(bus)
    slot.claim_ports(0x300, 4, Echo(3))
    assert slot.read_port(0x300, 1) == bus.read_port(0x300, 1) == 3
    assert slot.clock is bus.clock and slot.memory is bus.memory
    slot.set_intr(True)
    assert bus.intr and slot.intr
    assert [str(claim) for claim in slot.claims] == ["ports 0x300-0x303"]


def test_what_it_gave_back_by_itself_is_not_given_back_again(bus: Bus) -> None:
    slot = Slot(bus)
    claim, timer = slot.claim_ports(0x300, 4, Echo()), slot.timer(lambda: None)
    line = slot.irq(5)
    claim.release(), timer.release(), line.release()
    bus.claim_ports(0x300, 4, Echo(9))
    slot.release()
    assert bus.read_port(0x300, 1) == 9


def test_a_device_that_has_left_takes_nothing_more(bus: Bus) -> None:
    slot = Slot(bus)
    slot.release()
    for take in (
        lambda: slot.claim_ports(0x300, 4, Echo()), lambda: slot.claim_memory(BASE, 4, Echo()),
        lambda: slot.irq(5), lambda: slot.shared_irq(5), lambda: slot.timer(print),
        lambda: slot.schedule(5, print),
    ):  # fmt: skip
        with pytest.raises(Released, match="of the board that it has left"):
            take()
    assert gone(bus)


def test_a_device_that_takes_and_gives_for_ever_does_not_grow(bus: Bus) -> None:
    slot = Slot(bus)
    for at in range(2000):
        slot.claim_ports(0x300, 4, Echo()).release()
        slot.irq(5).release()
        slot.schedule(at, print).cancel()
    gc.collect()
    assert len(slot._held) < 10 and len(slot._timers_held) < 200 and len(bus._timers) < 200


def test_a_timer_that_its_device_has_forgotten_is_given_back(bus: Bus) -> None:
    fired = []
    slot = Slot(bus)
    slot.schedule(10, lambda: fired.append(1))
    gc.collect()
    slot.release()
    bus.clock.time = 20  # type: ignore[attr-defined]
    bus.run_due()
    assert not fired


def test_there_are_sixteen_lines(bus: Bus) -> None:
    for number in (-1, 16):
        for take in (bus.irq, bus.shared_irq):
            with pytest.raises(BadRange, match="there are 0 to 15"):
                take(number)

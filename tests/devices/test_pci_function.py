"""PCI configuration space: what sticks, base addresses that move, interrupt pins, snapshots."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from devices.bus import Bus
from devices.clock import ManualClock
from devices.errors import BadRange, PciOverlap, SnapshotError
from devices.fields import BYTE, fields
from devices.pci.bars import MemoryBar, PortBar, RegisterBar
from devices.pci.function import PciFunction
from devices.pci.mechanism1 import ConfigMechanism1
from devices.pci.slots import pirq_of
from devices.slot import Slot

IO, MEMORY = 1, 2


class Picture:
    """Memory of a device's own, as a machine gives it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.shown: list[int] = []

    def show(self, first: int) -> None:
        self.shown.append(first)

    def hide(self, first: int) -> None:
        self.shown.remove(first)


class Card(PciFunction):
    name = "card"
    vendor_id, device_id, revision = 0x1234, 0x5678, 2
    class_code = 0x020001
    subsystem = (0xABCD, 0x0042)
    interrupt_pin = 1
    state = fields(**PciFunction.state, last=BYTE)
    wiring = (*PciFunction.wiring, "picture", "written")

    def __init__(self, bus: Bus, device: int = 3, function: int = 0) -> None:
        super().__init__(bus, device, function)
        self.picture = Picture(1 << 20)
        self.written: list[tuple[int, int]] = []
        self.last = 0
        self.add_bar(PortBar(0, 16, self))
        self.add_bar(RegisterBar(1, 0x1000, self))
        self.add_bar(MemoryBar(2, self.picture))  # type: ignore[arg-type]
        self.define(0x40, 2, value=0x8003, writable=0x00F0, clears=0x8000)

    def config_written(self, first: int, end: int) -> None:
        self.written.append((first, end))

    def read_port(self, offset: int, size: int) -> int:
        return 0xA0 + offset

    def write_port(self, offset: int, size: int, value: int) -> None:
        self.last = value

    def read_memory(self, offset: int, size: int) -> int:
        return 0xB0 + offset

    write_memory = write_port


class Pc:
    """A bus with the configuration mechanism on it."""

    def __init__(self) -> None:
        self.bus = Bus(ManualClock())
        self.mechanism = ConfigMechanism1(self.bus)

    def select(self, device: int, register: int, function: int = 0, bus: int = 0) -> None:
        place = bus << 16 | device << 11 | function << 8 | register & 0xFC
        self.bus.write_port(0xCF8, 4, 0x80000000 | place)

    def read(self, register: int, size: int = 4, device: int = 3, function: int = 0) -> int:
        self.select(device, register, function)
        return self.bus.read_port(0xCFC + register % 4, size)

    def write(self, register: int, value: int, size: int = 4, device: int = 3) -> None:
        self.select(device, register)
        self.bus.write_port(0xCFC + register % 4, size, value)


@pytest.fixture
def pc() -> Pc:
    return Pc()


# --- the mechanism --------------------------------------------------------------------------------


def test_every_width_at_every_offset(pc: Pc) -> None:
    Card(pc.bus)
    assert pc.read(0) == 0x56781234
    assert [pc.read(at, 1) for at in range(4)] == [0x34, 0x12, 0x78, 0x56]
    assert [pc.read(at, 2) for at in range(3)] == [0x1234, 0x7812, 0x5678]
    assert pc.read(8) == 0x02000102
    assert (pc.read(0x2C, 2), pc.read(0x2E, 2)) == (0xABCD, 0x0042)


def test_nobody_is_all_ones(pc: Pc) -> None:
    Card(pc.bus)
    assert pc.read(0, device=4) == 0xFFFFFFFF
    assert pc.read(0, device=3, function=1) == 0xFFFFFFFF
    pc.select(3, 0, bus=1)
    assert pc.bus.read_port(0xCFC, 4) == 0xFFFFFFFF
    pc.bus.write_port(0xCF8, 4, 3 << 11)  # not enabled
    assert pc.bus.read_port(0xCFC, 4) == 0xFFFFFFFF
    pc.write(0x04, 7, device=4)


def test_only_a_doubleword_is_the_address(pc: Pc) -> None:
    pc.bus.write_port(0xCF8, 4, 0xFFFFFFFF)
    assert pc.bus.read_port(0xCF8, 4) == 0x80FFFFFC, "reserved bits are zeros"
    pc.bus.write_port(0xCF8, 2, 0)
    pc.bus.write_port(0xCF9, 1, 0)
    assert pc.mechanism.address == 0x80FFFFFC
    assert pc.bus.read_port(0xCF8, 2) == 0xFFFF, "as no device answers bytes there"
    assert pc.bus.owner_of(0xCF9) is None


def test_places_that_are_taken_or_none(pc: Pc) -> None:
    Card(pc.bus)
    with pytest.raises(PciOverlap, match=r"00:03\.0"):
        Card(pc.bus)
    with pytest.raises(BadRange):
        Card(pc.bus, device=32)
    assert [(device, function) for device, function, _ in pc.bus.pci.functions()] == [(3, 0)]


# --- what sticks ----------------------------------------------------------------------------------


def test_only_what_is_writable_sticks(pc: Pc) -> None:
    card = Card(pc.bus)
    for register in range(0, 0x100, 4):
        if not 0x10 <= register < 0x28:
            pc.write(register, 0xFFFFFFFF)
    assert pc.read(0) == 0x56781234 and pc.read(8) == 0x02000102
    assert pc.read(4) == 0x02000147, "command, and a status whose bits nothing has set"
    assert pc.read(0x3C) == 0x000001FF, "interrupt line holds what the BIOS writes"
    assert pc.read(0x40, 2) == 0x00F3, "bit 15 was cleared by writing it"
    assert pc.read(0x44) == 0
    card.reset()
    assert pc.read(4) == 0x02000000 and pc.read(0x40, 2) == 0x8003


def test_a_function_is_told_what_was_written(pc: Pc) -> None:
    card = Card(pc.bus)
    pc.write(0x42, 1, size=2)
    pc.write(0x41, 1, size=1)
    assert card.written == [(0x42, 0x44), (0x41, 0x42)]


# --- base addresses -------------------------------------------------------------------------------


def test_sizing(pc: Pc) -> None:
    Card(pc.bus)
    for register, wanted in ((0x10, 0xFFFFFFF1), (0x14, 0xFFFFF000), (0x18, 0xFFF00008), (0x1C, 0)):
        pc.write(register, 0xFFFFFFFF)
        assert pc.read(register) == wanted


def test_it_answers_where_it_is_put_while_it_may(pc: Pc) -> None:
    card = Card(pc.bus)
    pc.write(0x10, 0xC000)
    pc.write(0x14, 0xE0000000)
    pc.write(0x18, 0xE1000000)
    assert pc.bus.read_port(0xC003, 1) == 0xFF and card.picture.shown == []
    pc.write(0x04, IO, 2)
    assert pc.bus.read_port(0xC003, 1) == 0xA3 and pc.bus.read_memory(0xE0000004, 4) == 0xFFFFFFFF
    pc.write(0x04, IO | MEMORY, 2)
    assert pc.bus.read_memory(0xE0000004, 4) == 0xB4 and card.picture.shown == [0xE1000000]
    pc.write(0x10, 0xC100)
    pc.write(0x18, 0xE2000000)
    assert pc.bus.read_port(0xC003, 1) == 0xFF and pc.bus.read_port(0xC103, 1) == 0xA3
    assert card.picture.shown == [0xE2000000]
    pc.write(0x04, 0, 2)
    assert pc.bus.read_port(0xC103, 1) == 0xFF and card.picture.shown == []
    assert pc.bus.memory_ranges() == []


def test_address_zero_is_no_address(pc: Pc) -> None:
    card = Card(pc.bus)
    pc.write(0x04, IO | MEMORY, 2)
    assert pc.bus.memory_ranges() == [] and card.picture.shown == []
    assert pc.bus.owner_of(0) is None


def test_whoever_was_there_first_stays(pc: Pc) -> None:
    """And the other one comes when he has gone."""
    one, other = Card(pc.bus, 3), Card(pc.bus, 4)
    for device in (3, 4):
        pc.write(0x10, 0xC000, device=device)
        pc.write(0x04, IO, 2, device=device)
    assert (one.bars[0].at, other.bars[0].at) == (0xC000, None)
    pc.write(0x10, 0xD000, device=3)
    assert (one.bars[0].at, other.bars[0].at) == (0xD000, 0xC000)
    pc.write(0x10, 0xFFFFFF00, device=3)  # no such ports
    assert one.bars[0].at is None and pc.bus.read_port(0xD000, 1) == 0xFF


def test_a_card_that_is_pulled_out(pc: Pc) -> None:
    slot = Slot(pc.bus)
    Card(slot)
    pc.write(0x10, 0xC000)
    pc.write(0x04, IO, 2)
    slot.release()
    assert pc.read(0) == 0xFFFFFFFF and pc.bus.read_port(0xC000, 1) == 0xFF
    Card(pc.bus)  # there is room again


@pytest.mark.parametrize("size", [0, 3, 24, 512])
def test_sizes_that_are_none(size: int) -> None:
    with pytest.raises(ValueError, match="base address register 0"):
        PortBar(0, size, Card(Bus(ManualClock())))


# --- interrupts -----------------------------------------------------------------------------------


def test_pins_lead_to_four_lines(pc: Pc) -> None:
    told: list[list[bool]] = []
    pc.bus.pci.on_pirq = lambda: told.append([pc.bus.pci.pirq(n) for n in range(4)])
    one, other = Card(pc.bus, 3), Card(pc.bus, 7)  # both on PIRQ2
    assert pirq_of(3, 1) == pirq_of(7, 1) == 2
    one.set_interrupt(True)
    one.set_interrupt(True)  # no news
    other.set_interrupt(True)
    one.set_interrupt(False)
    other.reset()
    assert [levels[2] for levels in told] == [True, True, True, False]
    assert not any(levels[n] for levels in told for n in (0, 1, 3))


# --- snapshots ------------------------------------------------------------------------------------


def test_a_snapshot_is_whole(pc: Pc) -> None:
    card = Card(pc.bus)
    assert card.unsaved() == []
    pc.write(0x10, 0xC000)
    pc.write(0x18, 0xE2000000)
    pc.write(0x04, IO | MEMORY, 2)
    card.set_interrupt(True)
    other = Pc()
    copy = Card(other.bus)
    told: list[int] = []
    other.bus.pci.on_pirq = lambda: told.append(1)
    copy.restore(json.loads(json.dumps(card.snapshot())))
    assert copy.snapshot() == card.snapshot()
    assert other.bus.read_port(0xC003, 1) == 0xA3 and copy.picture.shown == [0xE2000000]
    assert other.bus.pci.pirq(2) and not told, "the router has the levels in its own snapshot"


@pytest.mark.parametrize("at", [0, 0x10, 0x2C, 0x41, 0xFF])
def test_what_cannot_stick_is_no_snapshot(pc: Pc, at: int) -> None:
    card = Card(pc.bus)
    state: dict[str, Any] = card.snapshot()
    config = bytearray.fromhex(state["config"])
    config[at] ^= 0x02
    with pytest.raises(SnapshotError, match="do not stick"):
        card.restore({**state, "config": config.hex()})
    with pytest.raises(SnapshotError, match="no configuration space"):
        card.restore({**state, "config": state["config"][:-2]})


@pytest.mark.parametrize("seed", range(4))
def test_a_guest_may_write_anything_anywhere(pc: Pc, seed: int) -> None:
    """Nothing raises, and afterwards everything still works."""
    dice = random.Random(seed)
    cards = [Card(pc.bus, device) for device in range(1, 5)]
    for _ in range(4000):
        device, register = dice.randrange(6), dice.randrange(64) * 4
        value = dice.choice((0, 1, 0x10, 0xC000, 0xE0000000, 0xFFFFFFFF, dice.getrandbits(32)))
        register = dice.choice((4, 0x10, 0x14, 0x18, register))
        pc.write(register, value, dice.choice((1, 2, 4)), device)
        pc.bus.read_port(0xCF8 + dice.randrange(8), dice.choice((1, 2, 4)))
    for card in cards:
        card.reset()
    assert pc.bus.memory_ranges() == []
    assert [name for *_, name in pc.bus.port_ranges()] == ["pci-mechanism-1"] * 2
    test_whoever_was_there_first_stays(Pc())

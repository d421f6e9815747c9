"""Several devices on one interrupt line, and inputs that go by level.

8259A datasheet (231468), "Level triggered mode"; 82371SB (PIIX3), 4.2.6 "ELCR"; PCI Local Bus
Specification 2.2, 2.2.6 "Interrupt pins": level sensitive, open drain, shared.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from devices.bus import Bus
from devices.clock import ManualClock

LINE = 11


@pytest.fixture
def pci(board: Any) -> Any:
    """As a BIOS leaves it: line 11 by level."""
    board.init_pics()
    board.outb(0x4D1, 0x08)
    return board


def irr(board: Any) -> int:
    board.outb(0xA0, 0x0A)
    return int(board.inb(0xA0))


def acknowledge(board: Any) -> int:
    return int(board.pc.pic.acknowledge())


def end(board: Any) -> None:
    board.outb(0xA0, 0x20)
    board.outb(0x20, 0x20)


def test_up_while_anybody_pulls() -> None:
    bus = Bus(ManualClock())
    seen: list[tuple[int, bool]] = []
    bus.connect_interrupt_controller(lambda line, level: seen.append((line, level)))
    one, two, other = bus.shared_irq(LINE), bus.shared_irq(LINE), bus.shared_irq(10)
    one.raise_()
    two.raise_()
    one.lower()
    assert bus.wires.level(LINE) and not bus.wires.level(10)
    other.raise_()
    two.lower()
    assert not bus.wires.level(LINE) and bus.wires.level(10)
    assert seen == [(11, True), (11, True), (11, True), (10, True), (11, False)]


def test_an_isa_card_on_the_same_wire() -> None:
    """It holds the wire like anybody; among ISA's own drivers the last one has its say."""
    bus = Bus(ManualClock())
    card, again, shared = bus.irq(LINE), bus.irq(LINE), bus.shared_irq(LINE)
    card.raise_()
    shared.raise_()
    again.lower()
    assert bus.wires.level(LINE)
    shared.lower()
    assert not bus.wires.level(LINE)


def test_irq2_and_irq9_are_one_wire() -> None:
    bus = Bus(ManualClock())
    two, nine = bus.shared_irq(2), bus.shared_irq(9)
    two.raise_()
    nine.raise_()
    two.lower()
    assert bus.wires.level(2) and bus.wires.level(9)


def test_a_level_asks_again_after_each_end_of_interrupt(pci: Any) -> None:
    line = pci.bus.shared_irq(LINE)
    line.raise_()
    for _ in range(3):
        assert pci.bus.intr and acknowledge(pci) == 0x3B
        assert irr(pci) & 8, "the request is the level"
        assert not pci.bus.intr, "not while it is served"
        end(pci)
    line.lower()
    assert not pci.bus.intr and irr(pci) == 0


def test_two_devices_are_both_served(pci: Any) -> None:
    """The second one's request comes while the first one's is served, and is no edge."""
    one, two = pci.bus.shared_irq(LINE), pci.bus.shared_irq(LINE)
    one.raise_()
    assert acknowledge(pci) == 0x3B
    two.raise_()
    one.lower()  # the handler has seen to the first
    end(pci)
    assert pci.bus.intr and acknowledge(pci) == 0x3B
    two.lower()
    end(pci)
    assert not pci.bus.intr


def test_with_edges_the_second_request_is_lost(board: Any) -> None:
    """Why shared lines have to be levels."""
    board.init_pics()
    one, two = board.bus.shared_irq(LINE), board.bus.shared_irq(LINE)
    one.raise_()
    assert acknowledge(board) == 0x3B
    two.raise_()
    one.lower()
    end(board)
    assert not board.bus.intr and two.level


def test_a_level_that_falls_before_it_is_taken_is_spurious(pci: Any) -> None:
    line = pci.bus.shared_irq(LINE)
    line.raise_()
    master = pci.pc.pic.master
    assert master.acknowledge() == 2  # the first INTA cycle
    line.lower()
    assert pci.pc.pic._acknowledge_slave() == 0x3F
    master.finish_acknowledge()
    pci.outb(0xA0, 0x0B)
    assert pci.inb(0xA0) == 0, "no bit in service: EOI goes to the master alone"


def test_an_edge_needs_no_level_any_more_but_a_level_does(pci: Any) -> None:
    """Masked meanwhile: an edge is remembered while its line is up, a level is its line."""
    pci.outb(0xA1, 0xFF)
    level, edge = pci.bus.shared_irq(LINE), pci.bus.irq(10)
    level.raise_(), edge.raise_()
    assert irr(pci) == 0x0C
    level.lower()
    assert irr(pci) == 0x04
    level.raise_()
    pci.outb(0xA1, 0)
    assert [acknowledge(pci), (end(pci), acknowledge(pci))[1]] == [0x3A, 0x3B]


def test_initialisation_forgets_edges_and_not_levels(pci: Any) -> None:
    pci.bus.irq(10).raise_()
    pci.bus.shared_irq(LINE).raise_()
    pci.init_pics()
    assert irr(pci) == 0x08
    assert pci.bus.intr and acknowledge(pci) == 0x3B


def test_switching_between_level_and_edge(board: Any) -> None:
    board.init_pics()
    line = board.bus.shared_irq(LINE)
    line.raise_()
    assert acknowledge(board) == 0x3B
    end(board)
    assert not board.bus.intr, "by edges it has been served"
    board.outb(0x4D1, 0x08)
    assert board.bus.intr and irr(board) == 0x08, "by level it asks"
    assert board.inb(0x4D1) == 0x08


def test_which_lines_cannot_be_levels(board: Any) -> None:
    """PIIX3: IRQ 0, 1, 2, 8 and 13 are edges for ever."""
    board.outb(0x4D0, 0xFF)
    board.outb(0x4D1, 0xFF)
    assert (board.inb(0x4D0), board.inb(0x4D1)) == (0xF8, 0xDE)


def test_automatic_end_of_interrupt_with_a_level_asks_at_once(board: Any) -> None:
    for port, values in ((0x20, (0x11,)), (0x21, (0x30, 0x04, 0x03)), (0xA0, (0x11,)),
                         (0xA1, (0x38, 0x02, 0x03))):  # fmt: skip
        board.outb(port, *values)
    board.outb(0x21, 0), board.outb(0xA1, 0), board.outb(0x4D1, 0x08)
    line = board.bus.shared_irq(LINE)
    line.raise_()
    assert [acknowledge(board) for _ in range(3)] == [0x3B] * 3
    line.lower()
    assert not board.bus.intr


@pytest.mark.parametrize("masked", [False, True])
def test_can_a_line_still_wake_the_guest(pci: Any, masked: bool) -> None:
    """The question of a halted guest (Board.can_interrupt), for a device that will pull later."""
    if masked:
        pci.outb(0xA1, 0x08)
    assert pci.pc.pic.would_interrupt(LINE) != masked
    one, two = pci.bus.shared_irq(LINE), pci.bus.shared_irq(LINE)
    one.raise_()
    if masked:
        assert not pci.bus.intr and not pci.pc.pic.would_interrupt(LINE)
        return
    acknowledge(pci)
    assert not pci.pc.pic.would_interrupt(LINE), "served, and its handler sleeps: nothing wakes it"
    end(pci)
    assert pci.bus.intr, "the first one still pulls: no need to ask"
    one.lower()
    assert not pci.bus.intr and pci.pc.pic.would_interrupt(LINE)
    two.raise_()
    assert pci.bus.intr


@pytest.mark.parametrize("seed", range(4))
def test_against_a_plain_model(board: Any, seed: int) -> None:
    """Random pulling: by level INT is up exactly while somebody pulls and nothing is served."""
    dice = random.Random(seed)
    board.init_pics()
    board.outb(0x4D1, 0x0E)
    lines = [board.bus.shared_irq(number) for number in (9, 10, 11) for _ in range(3)]
    served: list[int] = []
    for _ in range(2000):
        what = dice.random()
        if what < 0.6:
            line = dice.choice(lines)
            line.set(bool(dice.getrandbits(1)))
        elif what < 0.65:
            line = lines.pop(dice.randrange(len(lines)))
            line.release()
            lines.append(board.bus.shared_irq(line.number))
        elif what < 0.85 and board.bus.intr:
            served.append(acknowledge(board) - 0x38 + 8)
        elif served:
            end(board)
            served.pop()
        pulled = {line.number for line in lines if line.level}
        now = min(served, default=16)  # the highest priority that is served
        # The slave lets through what is above what it serves, the master nothing while it serves 2.
        assert board.bus.intr == bool(pulled and not served), (pulled, served)
        assert irr(board) == sum(1 << number - 8 for number in pulled)
        assert now == 16 or len(served) == 1

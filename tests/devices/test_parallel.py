"""The parallel port's handshake, as the adapter's manual and IEEE 1284 have it."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from devices.parallel import ACK_NS, BUSY_NS, ParallelPort

DATA, STATUS, CONTROL = 0x378, 0x379, 0x37A
READY, BUSY, ACK = 0xDF, 0x5F, 0x1F


@pytest.fixture
def lpt(board: Any) -> Any:
    board.printed = bytearray()
    board.lpt = ParallelPort(board.bus, board.printed.extend)
    board.devices.add("parallel", board.lpt)
    board.init_pics()
    return board


def strobe(board: Any, value: int, interrupt: int = 0) -> None:
    board.outb(DATA, value)
    board.outb(CONTROL, 0x0D | interrupt)
    board.outb(CONTROL, 0x0C | interrupt)


def test_power_on(lpt: Any) -> None:
    assert (lpt.inb(DATA), lpt.inb(STATUS), lpt.inb(CONTROL)) == (0, READY, 0xCC)


def test_a_byte_and_its_handshake(lpt: Any) -> None:
    strobe(lpt, 0x41)
    assert lpt.printed == b"A" and lpt.inb(DATA) == 0x41
    assert lpt.inb(STATUS) == BUSY
    lpt.advance(BUSY_NS)
    assert lpt.inb(STATUS) == ACK
    lpt.advance(ACK_NS)
    assert lpt.inb(STATUS) == READY
    assert not lpt.bus.intr and lpt.bus.next_deadline() is None


def test_the_end_of_the_acknowledgement_interrupts(lpt: Any) -> None:
    strobe(lpt, 0x41, 0x10)
    lpt.advance(BUSY_NS)
    assert not lpt.bus.intr and lpt.can_interrupt(False)
    lpt.advance(ACK_NS)
    assert lpt.take() == 0x37
    strobe(lpt, 0x42, 0x10)
    lpt.advance(BUSY_NS + ACK_NS)
    assert lpt.take() == 0x37 and lpt.printed == b"AB"
    lpt.outb(CONTROL, 0x0C)
    assert not lpt.lpt.line.level


def test_a_strobe_while_it_is_busy_is_lost(lpt: Any) -> None:
    strobe(lpt, 0x41)
    strobe(lpt, 0x42)
    lpt.advance(BUSY_NS + ACK_NS)
    strobe(lpt, 0x43)
    assert lpt.printed == b"AC"


def test_one_strobe_is_one_byte(lpt: Any) -> None:
    lpt.outb(DATA, 0x41)
    lpt.outb(CONTROL, 0x0D)
    lpt.advance(BUSY_NS + ACK_NS)
    lpt.outb(CONTROL, 0x0D)
    assert lpt.printed == b"A"


def test_init_makes_the_printer_start_anew(lpt: Any) -> None:
    strobe(lpt, 0x41, 0x10)
    lpt.outb(CONTROL, 0x18)
    assert lpt.inb(STATUS) == BUSY
    lpt.outb(CONTROL, 0x1C)
    lpt.advance(BUSY_NS + ACK_NS)
    assert lpt.inb(STATUS) == READY and not lpt.bus.intr


def test_the_other_direction_has_nobody_to_read_from(lpt: Any) -> None:
    lpt.outb(DATA, 0x41)
    lpt.outb(CONTROL, 0x2C)
    assert lpt.inb(DATA) == 0xFF and lpt.inb(CONTROL) == 0xEC
    lpt.outb(CONTROL, 0x2D)
    assert lpt.printed == b""
    lpt.outb(STATUS, 0x00)
    assert lpt.lpt.unsaved() == []


@pytest.mark.parametrize("seed", range(4))
def test_any_bytes_and_a_copy_amid_them(make_board: Any, seed: int) -> None:
    dice = random.Random(seed)
    boards = [make_board(), make_board()]
    for each in boards:
        each.devices.add("parallel", ParallelPort(each.bus, each.serial.extend))
        each.init_pics()
    board, copy = boards
    for step in range(2000):
        if step == 1000:
            copy.clock.time = board.clock.time
            copy.restore(json.loads(json.dumps(board.snapshot())))
            board.serial.clear()
        port = dice.choice((DATA, STATUS, CONTROL, CONTROL))
        value = dice.choice((0x0C, 0x0D, 0x1C, 0x1D, dice.getrandbits(8)))
        passing = dice.choice((0, 1000, 6000, 20_000))
        seen = []
        for each in boards if step >= 1000 else [board]:
            each.outb(port, value)
            each.advance(passing)
            seen.append((each.inb(STATUS), each.inb(CONTROL), each.inb(DATA), each.bus.intr))
        assert len(set(seen)) == 1
    assert board.serial == copy.serial and len(board.serial) > 20

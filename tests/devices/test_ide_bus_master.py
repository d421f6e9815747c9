"""Bus-master DMA, with tables of physical regions that a driver or an enemy made."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from ide_lab import BUFFER, COMMAND, CONTROL, MASTER, SECOND, TABLE, IdeLab, sectors

READY, START, TO_MEMORY = 0x50, 0x01, 0x08
ACTIVE, INTERRUPT = 0x01, 0x04


@pytest.fixture
def lab(board: Any) -> IdeLab:
    return IdeLab(board)


def test_reading_by_regions(lab: IdeLab) -> None:
    lab.regions((BUFFER, 512), (BUFFER + 0x1000, 1024), (BUFFER + 0x3000, 512))
    lab.outb(MASTER, TO_MEMORY | START)
    assert lab.command(0xC8, 3, 4) == READY and lab.taken == 1
    assert lab.inb(MASTER + 2) == INTERRUPT, "and no longer active"
    data = sectors(7)[3 * 512 :]
    assert bytes(lab.memory[BUFFER : BUFFER + 512]) == data[:512]
    assert bytes(lab.memory[BUFFER + 0x1000 : BUFFER + 0x1400]) == data[512:1536]
    assert bytes(lab.memory[BUFFER + 0x3000 : BUFFER + 0x3200]) == data[1536:]
    lab.outb(MASTER + 2, INTERRUPT)
    lab.outb(MASTER, 0)
    assert lab.inb(MASTER + 2) == 0


def test_writing(lab: IdeLab) -> None:
    data = random.Random(2).randbytes(1024)
    lab.memory[BUFFER : BUFFER + 1024] = list(data)
    lab.regions((BUFFER, 1024))
    assert lab.command(0xCA, 8, 2) & 0x88 == 0x08, "it waits for the bus master"
    lab.outb(MASTER, START)
    assert lab.wait() == READY and lab.taken == 1
    assert lab.medium.bytes[8 * 512 : 10 * 512] == data


def test_48_bit_transfers_of_more_than_a_buffer(board: Any) -> None:
    lab = IdeLab(board, 0x300)
    lab.regions((0x20000, 0), (0x30000, 0), (0x40000, 0x8000))
    lab.outb(MASTER, TO_MEMORY | START)
    assert lab.command_48(0x25, 0x10, 0x140) == READY
    assert bytes(lab.memory[0x20000 : 0x20000 + 0x28000]) == sectors(0x150)[0x10 * 512 :]
    lab.outb(MASTER, 0)
    lab.regions((0x20000, 0), (0x30000, 0), (0x40000, 0x8000))
    lab.outb(MASTER, START)
    assert lab.command_48(0x35, 0x1A0, 0x140) == READY
    assert lab.medium.bytes[0x1A0 * 512 : 0x2E0 * 512] == sectors(0x150)[0x10 * 512 :]


def test_regions_that_are_too_small_or_too_large(lab: IdeLab) -> None:
    lab.regions((BUFFER, 512))
    lab.outb(MASTER, TO_MEMORY | START)
    assert lab.command(0xC8, 0, 2) & 0x88 == 0x08 and lab.taken == 0, "the drive has more"
    assert lab.inb(MASTER + 2) == 0
    lab.outb(CONTROL, 4)
    lab.outb(CONTROL, 0)
    assert lab.wait() == READY
    lab.outb(MASTER, 0)
    lab.regions((BUFFER, 4096))
    lab.outb(MASTER, TO_MEMORY | START)
    assert lab.command(0xC8, 0, 2) == READY
    assert lab.inb(MASTER + 2) == ACTIVE | INTERRUPT, "the table has more"
    lab.outb(MASTER, 0)
    assert lab.inb(MASTER + 2) == INTERRUPT


def test_its_registers(lab: IdeLab) -> None:
    bus = lab.board.bus
    bus.write_port(MASTER + 4, 4, 0x12345677)
    assert bus.read_port(MASTER + 4, 4) == 0x12345674 and bus.read_port(MASTER + 6, 2) == 0x1234
    lab.outb(MASTER + 5, 0xAB)
    assert bus.read_port(MASTER + 4, 4) == 0x1234AB74
    lab.outb(MASTER + 2, 0x67)
    assert lab.inb(MASTER + 2) == 0x60, "the drives can DMA"
    lab.outb(MASTER, 0xFF)
    assert lab.inb(MASTER) == 0x09
    assert lab.inb(MASTER + 1) == lab.inb(MASTER + 3) == 0


ENEMIES = [
    [(BUFFER, 2)] * 64,
    [(0xFFFFFFFE, 0)],
    [(0xFFFFF000, 0x8000), (0, 0)],
    [(TABLE, 0)],
    [(BUFFER, 1)],
    [(0xE0000000, 512), (BUFFER, 3)],
]


@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("table", ENEMIES)
@pytest.mark.parametrize("code", [0xC8, 0xCA])
def test_hostile_tables(lab: IdeLab, table: Any, end: bool, code: int) -> None:
    """Loops, sizes of nothing, addresses of nobody, a table that is overwritten as it is read."""
    lab.regions(*table, end=end)
    lab.outb(MASTER, (TO_MEMORY if code == 0xC8 else 0) | START)
    lab.command(code, 0, 0)
    for _ in range(20):
        assert lab.wait() in (READY, READY | 0x08)
    lab.outb(CONTROL, 4)
    lab.outb(CONTROL, 0)
    assert lab.wait() == READY


@pytest.mark.parametrize("pointer", [0xFFFFFFFC, 0x1FFFFC, 0xFFFC, 0x80000000])
def test_tables_that_are_nowhere(lab: IdeLab, pointer: int) -> None:
    lab.board.bus.write_port(MASTER + 4, 4, pointer)
    lab.outb(MASTER, TO_MEMORY | START)
    assert lab.command(0xC8, 0, 8) in (READY, READY | 0x08)


def test_one_call_is_bounded(lab: IdeLab) -> None:
    """A table of regions of two bytes, round and round: 65536 bytes take many calls."""
    lab.memory[:] = 0
    for at in range(0, 0x10000, 8):  # all of a segment
        lab.memory[at : at + 8] = [0, 0, 2, 0, 2, 0, 0, 0]
    lab.board.bus.write_port(MASTER + 4, 4, 0)
    lab.outb(MASTER, TO_MEMORY | START)
    master, entries = lab.channel.bus_master, []
    regions = master._regions
    master._regions = lambda most: entries.append(len(found := regions(most))) or found
    assert lab.command(0xC8, 0, 128) == READY
    assert max(entries) <= 256 and sum(entries) == 0x8000


def test_the_other_direction_moves_nothing(lab: IdeLab) -> None:
    lab.regions((BUFFER, 512))
    lab.outb(MASTER, START)
    assert lab.command(0xC8) & 0x88 == 0x08
    assert not lab.memory[BUFFER : BUFFER + 512].any()
    lab.board.advance(SECOND)
    assert lab.board.bus.next_deadline() is None, "and nobody tries for ever"


def test_a_snapshot_in_the_middle(make_board: Any) -> None:
    lab = IdeLab(make_board())
    lab.regions(*[(BUFFER + 32 * i, 32) for i in range(500)])
    lab.outb(MASTER, TO_MEMORY | START)
    for port, value in ((0x1F6, 0xE0), (0x1F2, 20), (0x1F3, 7), (0x1F4, 0), (0x1F5, 0)):
        lab.outb(port, value)
    lab.outb(COMMAND, 0xC8)
    for _ in range(80):
        lab.board.advance(10_000)
        other = IdeLab(make_board())
        other.memory[:] = lab.memory
        other.board.clock.time = lab.board.clock.time
        other.board.restore(json.loads(json.dumps(lab.board.snapshot())))
        assert other.wait() == READY
        assert bytes(other.memory[BUFFER : BUFFER + 10240]) == sectors(27)[7 * 512 :]

"""The CD-ROM drive: the packet protocol, and what MMC's commands answer."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from ide_lab import (
    BASE,
    BUFFER,
    COMMAND,
    CONTROL,
    COUNT,
    DRQ,
    ERR,
    HIGH,
    MASTER,
    MID,
    SECOND,
    IdeLab,
    sectors,
)

from devices.storage.medium import MemoryMedium

READY = 0x50
BLOCKS = 400


@pytest.fixture
def lab(board: Any) -> IdeLab:
    lab = IdeLab(board, disk=None, cd=BLOCKS)
    assert lab.packet(0) == READY | ERR and lab.sense() == (6, 0x29, 0), "it was reset"
    assert lab.packet(0) == READY
    return lab


def read(first: int, count: int) -> tuple[int, ...]:
    return (0x28, 0, *first.to_bytes(4, "big"), 0, *count.to_bytes(2, "big"))


def test_identify(lab: IdeLab) -> None:
    assert lab.command(0xA1, device=0xA0) == READY | DRQ and lab.taken == 1
    data = lab.pull(512)
    assert data[:2] == b"\xc0\x85" and lab.wait() == READY
    assert lab.command(0xEC, device=0xA0) == READY | ERR and lab.inb(BASE + 1) == 4
    assert lab.inb(MID) == 0x14 and lab.inb(HIGH) == 0xEB


def test_inquiry_is_cut_to_what_was_asked_for(lab: IdeLab) -> None:
    data = lab.data(0x12, 0, 0, 0, 36)
    assert data[:2] == b"\x05\x80" and data[8:32] == b"VIRTUAL PLATFORM CD-ROM " and len(data) == 36
    assert lab.data(0x12, 0, 0, 0, 5) == data[:5]
    assert lab.data(0x12, 0, 0, 0, 0) == b""
    assert lab.packet(0x12, 1) & ERR and lab.sense() == (5, 0x24, 0)


def test_reading_in_pieces(lab: IdeLab) -> None:
    want = sectors(BLOCKS, 2048)
    assert lab.data(*read(7, 2), most=2048) == want[7 * 2048 : 9 * 2048]
    assert lab.data(*read(0, 70)) == want[: 70 * 2048], "more than a buffer"
    assert lab.data(*read(BLOCKS - 1, 1), most=600) == want[-2048:]
    assert lab.data(*read(3, 0)) == b""
    assert lab.data(0xA8, 0, 0, 0, 0, 9, 0, 0, 0, 1) == want[9 * 2048 : 10 * 2048]
    assert lab.data(0xBE, 0, 0, 0, 0, 9, 0, 0, 1, 0x10) == want[9 * 2048 : 10 * 2048]


def test_byte_counts_that_are_odd_or_nothing(lab: IdeLab) -> None:
    assert lab.data(*read(1, 1), most=601) == sectors(2, 2048)[2048:]
    assert lab.packet(*read(1, 1), most=0) & DRQ
    assert lab.inb(MID) | lab.inb(HIGH) << 8 == 2048


def test_beyond_the_disc(lab: IdeLab) -> None:
    assert lab.packet(*read(BLOCKS, 1)) == READY | ERR and lab.inb(BASE + 1) == 0x54
    assert lab.sense() == (5, 0x21, 0) and lab.sense() == (0, 0, 0), "told once"
    assert lab.packet(*read(0xFFFFFFFF, 0xFFFF)) & ERR
    assert lab.packet(0x2B, 0, 0, 0, 1, 0) == READY
    assert lab.packet(0x2B, 0, 0, 0, 2, 0) & ERR


def test_by_dma(lab: IdeLab) -> None:
    lab.regions((BUFFER, 0x8000), (BUFFER + 0x8000, 0), (BUFFER + 0x18000, 0xB000))
    lab.outb(MASTER, 0x09)
    assert lab.packet(*read(20, 70), features=1) == READY and lab.taken == 1
    assert lab.inb(COUNT) & 3 == 3
    assert bytes(lab.memory[BUFFER : BUFFER + 0x23000]) == sectors(90, 2048)[20 * 2048 :]


def test_capacity_and_contents(lab: IdeLab) -> None:
    assert lab.data(0x25) == (BLOCKS - 1).to_bytes(4, "big") + (2048).to_bytes(4, "big")
    toc = lab.data(0x43, 0, 0, 0, 0, 0, 0, 3, 0)
    assert toc.hex() == "0012010100140100000000000014aa00" + BLOCKS.to_bytes(4, "big").hex()
    timed = lab.data(0x43, 2, 0, 0, 0, 0, 0, 3, 0)
    assert timed[8:12].hex() == "00000200" and timed[16:20].hex() == "00000719"
    assert lab.data(0x43, 0, 0, 0, 0, 0, 0xAA, 0, 12)[4:8].hex() == "0014aa00"
    assert lab.data(0x43, 0, 1, 0, 0, 0, 0, 0, 12).hex() == "000a01010014010000000000"
    assert len(lab.data(0x43, 2, 2, 0, 0, 0, 1, 3, 0)) == 4 + 4 * 11
    assert lab.packet(0x43, 0, 5, 0, 0, 0, 0, 0, 12) & ERR
    assert len(lab.data(0x51, 0, 0, 0, 0, 0, 0, 0, 34)) == 34


def test_mode_pages_and_features(lab: IdeLab) -> None:
    page = lab.data(0x5A, 0, 0x2A, 0, 0, 0, 0, 0, 0xFF)
    assert page[:4] == b"\x00\x1a\x01\x00" and page[8:10] == b"\x2a\x12" and len(page) == 28
    assert lab.data(0x1A, 0, 0x2A, 0, 0xFF)[4:] == page[8:]
    assert set(lab.data(0x5A, 0, 0x6A, 0, 0, 0, 0, 0, 0xFF)[10:]) == {0}, "none can be changed"
    assert len(lab.data(0x5A, 0, 0x3F, 0, 0, 0, 0, 0, 0xFF)) == 8 + 8 + 16 + 20
    assert lab.packet(0x5A, 0, 0x08, 0, 0, 0, 0, 0, 0xFF) & ERR
    features = lab.data(0x46, 0, 0, 0, 0, 0, 0, 1, 0)
    assert int.from_bytes(features[:4], "big") == len(features) - 4
    assert features[6:8] == b"\x00\x08" and features[8:10] == b"\0\0"
    assert lab.data(0x46, 2, 0, 3, 0, 0, 0, 1, 0)[8:10] == b"\x00\x03"
    assert len(lab.data(0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8)) == 8


def event(lab: IdeLab) -> tuple[int, int]:
    data = lab.data(0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8)
    return data[4], data[5]


def test_a_disc_goes_and_another_comes(lab: IdeLab) -> None:
    assert lab.cd is not None
    assert event(lab) == (0, 2)
    lab.cd.insert(None)
    assert lab.packet(0) & ERR and lab.sense() == (2, 0x3A, 1)
    assert event(lab) == (3, 0) and event(lab) == (0, 0)
    assert lab.packet(*read(0, 1)) & ERR
    lab.cd.insert(MemoryMedium(bytes(2048 * 5)))
    assert event(lab) == (2, 2)
    assert lab.data(0x12, 0, 0, 0, 36), "INQUIRY is always answered"
    assert lab.packet(0x25) & ERR and lab.sense() == (6, 0x28, 0)
    assert lab.data(0x25)[:4] == (4).to_bytes(4, "big")
    assert lab.packet(0x4A, 0, 0, 0, 0x10) & ERR, "only polled"
    assert lab.data(0x4A, 1, 0, 0, 0x02, 0, 0, 0, 8) == b"\0\x02\x80\x10"


def test_the_tray_and_its_lock(lab: IdeLab) -> None:
    assert lab.cd is not None
    assert lab.packet(0x1E, 0, 0, 0, 1) == READY and lab.cd.locked
    assert lab.packet(0x1B, 0, 0, 0, 2) & ERR and lab.sense() == (5, 0x53, 2)
    assert lab.packet(0x1E, 0, 0, 0, 0) == READY
    assert lab.packet(0x1B, 0, 0, 0, 2) == READY and lab.cd.medium is None
    assert lab.packet(0) & ERR and lab.sense() == (2, 0x3A, 2)
    assert lab.packet(0x1B, 0, 0, 0, 3) == READY and lab.packet(0) & ERR
    assert lab.sense() == (2, 0x3A, 1)
    assert lab.packet(0x1B, 0, 0, 0, 1) == READY, "start and stop without the tray"


def test_no_disc_from_the_beginning(board: Any) -> None:
    lab = IdeLab(board, disk=None, cd=0)
    assert lab.packet(0) & ERR and lab.sense() == (6, 0x29, 0)
    assert lab.packet(0) & ERR and lab.sense() == (2, 0x3A, 1)
    assert lab.data(0x46, 0, 0, 0, 0, 0, 0, 0, 8)[6:8] == b"\0\0"


def test_device_reset_ends_everything(lab: IdeLab) -> None:
    lab.packet(*read(0, 4), most=2048)
    assert lab.inb(CONTROL) & DRQ
    lab.outb(COMMAND, 0x08)
    assert lab.inb(CONTROL) == 0 and lab.inb(MID) == 0x14
    assert lab.packet(0xFF) & ERR and lab.sense() == (5, 0x20, 0)


def test_a_snapshot_in_the_middle(make_board: Any) -> None:
    lab = IdeLab(make_board(), disk=None, cd=BLOCKS)
    lab.packet(0)
    status, found = lab.packet(*read(5, 40), most=8192), b""
    while status & DRQ:
        found += lab.pull(4096)
        other = IdeLab(make_board(), disk=None, cd=BLOCKS)
        other.board.clock.time = lab.board.clock.time
        other.board.restore(json.loads(json.dumps(lab.board.snapshot())))
        rest, more = found, other.inb(CONTROL)
        while more & 0x88:
            rest += other.pull(4096) if more & DRQ else b""
            other.board.advance(SECOND)
            more = other.inb(COMMAND)
        assert rest == sectors(45, 2048)[5 * 2048 :]
        lab.board.advance(SECOND)
        status = lab.inb(COMMAND)


@pytest.mark.parametrize("seed", range(6))
def test_anything_at_the_channels_ports(make_board: Any, seed: int) -> None:
    """A disk and a CD-ROM: no exception, no growth, and the same again."""
    traces = []
    for _ in range(2):
        dice = random.Random(seed)
        lab, seen = IdeLab(make_board(), disk=64, cd=64), []
        codes = (0x20, 0x30, 0xC4, 0xC5, 0xC6, 0xC8, 0xCA, 0x25, 0x35, 0xA0, 0xA0, 0xEC, 0xEF, 0x90)
        for step in range(2500):
            port = dice.choice(
                (*range(BASE, BASE + 8), BASE, BASE, CONTROL, *range(MASTER, MASTER + 8))
            )
            value = dice.choice((0, 1, 2, 9, 0xE0, 0xF0, 0x1000, dice.getrandbits(32)))
            if port == COMMAND and dice.random() < 0.9:
                value = dice.choice(codes)
            if port == CONTROL and dice.random() < 0.8:
                value = 0
            size = dice.choice((1, 2, 4))
            if dice.random() < 0.7:
                for _ in range(dice.choice((1, 1, 6, 256)) if port == BASE else 1):
                    lab.board.bus.write_port(port, size, value)
            else:
                seen.append(lab.board.bus.read_port(port, size))
            if dice.random() < 0.2:
                lab.board.advance(dice.choice((1000, 10**6, SECOND)))
            if dice.random() < 0.01 and lab.cd is not None:
                lab.cd.insert(dice.choice((None, lab.disc)))
            if step % 200 == 0:
                state = json.loads(json.dumps(lab.channel.snapshot()))
                lab.channel.restore(state)
                assert lab.channel.snapshot() == state
            while lab.board.bus.intr:
                seen.append(lab.board.take())
        traces.append((seen, lab.medium.bytes, bytes(lab.memory)))
    assert traces[0] == traces[1]

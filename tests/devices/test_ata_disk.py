"""ATA disks on their channel, as ATA/ATAPI-6 has them; PIO, and the registers that both have."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ide_lab import (
    BASE,
    BSY,
    COMMAND,
    CONTROL,
    COUNT,
    DEVICE,
    DRDY,
    DRQ,
    ERR,
    HIGH,
    LOW,
    MID,
    SECOND,
    IdeLab,
    sectors,
)

from devices.storage.ata_disk import AtaDisk
from devices.storage.ide_channel import IdeChannel
from devices.storage.medium import MediumError, MemoryMedium

READY = 0x50


@pytest.fixture
def lab(board: Any) -> IdeLab:
    return IdeLab(board)


def words(data: bytes) -> list[int]:
    return [int.from_bytes(data[i : i + 2], "little") for i in range(0, len(data), 2)]


def test_identify(lab: IdeLab) -> None:
    assert lab.command(0xEC) == READY | DRQ and lab.taken == 1
    block = words(lab.pull(512))
    assert lab.wait() == READY and lab.taken == 0, "no interrupt for the last data"
    assert [block[0], block[1], block[3], block[6]] == [0x0040, 4, 16, 63]
    assert block[60] == 0x1000 and block[61] == 0 and block[100:104] == [0x1000, 0, 0, 0]
    assert block[49] & 0x0300 == 0x0300 and block[83] & 0x0400, "LBA, DMA, 48-bit addresses"
    assert block[63] == 7 and block[88] == 7
    name = b"".join(word.to_bytes(2, "big") for word in block[27:47])
    assert name.rstrip() == b"VIRTUAL PLATFORM DISK"
    assert lab.command(0xEF, count=0x22, features=3) == READY
    assert lab.command(0xC6, count=8) == READY
    lab.command(0xEC)
    block = words(lab.pull(512))
    assert block[63] == 0x0407 and block[59] == 0x0108


def test_reading_sectors(lab: IdeLab) -> None:
    assert lab.command(0x20, 5, 2) == READY | DRQ and lab.taken == 1
    assert lab.pull(512) == sectors(7)[5 * 512 : 6 * 512]
    assert lab.inb(COMMAND) & BSY
    assert lab.wait() == READY | DRQ and lab.taken == 1, "one interrupt a sector"
    assert lab.pull(512) == sectors(7)[6 * 512 :]
    assert lab.wait() == READY and lab.taken == 0
    assert [lab.inb(port) for port in (COUNT, LOW, MID, HIGH)] == [0, 6, 0, 0]
    assert lab.inw() == 0xFFFF, "there is no more"


def test_256_sectors_are_0(lab: IdeLab) -> None:
    lab.command(0x20, 0, 0)
    found = b""
    for _ in range(256):
        found += lab.pull(512)
        status = lab.wait()
    assert status == READY and found == sectors(256)


def test_data_by_double_words(lab: IdeLab) -> None:
    lab.command(0x20, 3)
    found = b"".join(lab.board.bus.read_port(BASE, 4).to_bytes(4, "little") for _ in range(128))
    assert found == sectors(4)[3 * 512 :]


def test_writing_sectors(lab: IdeLab) -> None:
    data = sectors(40)[38 * 512 :]
    assert lab.command(0x30, 9, 2) == READY | DRQ and lab.taken == 0, "none before the first"
    lab.push(data[:512])
    assert lab.wait() == READY | DRQ and lab.taken == 1
    lab.push(data[512:])
    assert lab.wait() == READY and lab.taken == 1
    assert lab.medium.bytes[9 * 512 : 11 * 512] == data
    assert lab.medium.bytes[: 9 * 512] == sectors(9)


def test_multiple(lab: IdeLab) -> None:
    assert lab.command(0xC4, 0, 4) == READY | ERR and lab.inb(BASE + 1) == 4, "not set yet"
    assert lab.command(0xC6, count=3) == READY | ERR and lab.command(0xC6, count=32) & ERR
    assert lab.command(0xC6, count=4) == READY
    lab.command(0xC4, 1, 6)
    found = lab.pull(2048)
    assert lab.wait() == READY | DRQ and lab.taken == 1
    found += lab.pull(1024)
    assert lab.wait() == READY and found == sectors(7)[512:]
    lab.command(0xC5, 100, 5)
    lab.push(sectors(4))
    assert lab.wait() & DRQ
    lab.push(sectors(5)[2048:])
    assert lab.wait() == READY and lab.medium.bytes[51200 : 51200 + 2560] == sectors(5)


def test_48_bit_addresses(board: Any) -> None:
    lab = IdeLab(board, 0x200)
    assert lab.command_48(0x24, 0x150, 1) & DRQ
    assert lab.pull(512) == sectors(0x151)[0x150 * 512 :]
    assert lab.command_48(0x24, 0x1_0000_0150, 1) == READY | ERR and lab.inb(BASE + 1) == 0x10
    lab.outb(COUNT, 0x12)
    lab.outb(COUNT, 0x34)
    assert lab.inb(COUNT) == 0x34
    lab.outb(CONTROL, 0x80)
    assert lab.inb(COUNT) == 0x12, "the high order byte"
    lab.outb(LOW, 0)
    assert lab.inb(COUNT) == 0x34, "a write ends that"
    lab.command(0x27)
    assert [lab.inb(port) for port in (LOW, MID, HIGH)] == [0xFF, 0x01, 0]


def test_cylinders_heads_and_sectors(lab: IdeLab) -> None:
    lab.outb(DEVICE, 0xA3)
    for port, value in ((COUNT, 1), (LOW, 7), (MID, 2), (HIGH, 0), (COMMAND, 0x20)):
        lab.outb(port, value)
    assert lab.wait() & DRQ
    assert int.from_bytes(lab.pull(512)[:4], "little") == (2 * 16 + 3) * 63 + 6
    assert lab.inb(LOW) == 7 and lab.inb(DEVICE) & 0x0F == 3
    assert lab.command(0x91, count=17, device=0xA3) == READY
    lab.outb(DEVICE, 0xA1)
    for port, value in ((COUNT, 1), (LOW, 17), (MID, 3), (HIGH, 0), (COMMAND, 0x20)):
        lab.outb(port, value)
    lab.wait()
    assert int.from_bytes(lab.pull(512)[:4], "little") == (3 * 4 + 1) * 17 + 16
    lab.outb(LOW, 18)
    lab.outb(COMMAND, 0x20)
    assert lab.wait() == READY | ERR and lab.inb(BASE + 1) == 0x10


def test_beyond_the_end(lab: IdeLab) -> None:
    assert lab.command(0x20, 0x1000) == READY | ERR and lab.inb(BASE + 1) == 0x10
    lab.command(0x20, 0xFFF, 2)
    assert lab.pull(512) == sectors(0x1000)[-512:]
    assert lab.wait() == READY | ERR and lab.inb(BASE + 1) == 0x10
    assert lab.inb(LOW) | lab.inb(MID) << 8 == 0x1000, "the sector that was not found"
    lab.command(0x30, 0xFFF, 2)
    lab.push(bytes(512))
    assert lab.wait() == READY | ERR


def test_a_medium_that_fails(board: Any) -> None:
    class Bad(MemoryMedium):
        def read(self, offset: int, size: int) -> bytes:
            raise MediumError("scratched")

        write = read  # type: ignore[assignment]
        flush = read  # type: ignore[assignment]

    lab = IdeLab(board, medium=Bad(bytes(512 * 64)))
    assert lab.command(0x20) == READY | ERR and lab.inb(BASE + 1) == 0x40 and lab.taken == 1


def test_verify_flush_and_the_rest(lab: IdeLab) -> None:
    assert lab.command(0x40, 0, 0) == READY and lab.taken == 1
    assert lab.command(0x40, 0xF80, 0) == READY | ERR
    for code in (0x10, 0x70, 0xE0, 0xE1, 0xE2, 0xE3, 0xE6, 0xE7, 0xEA, 0xF8):
        assert lab.command(code) == READY and lab.taken == 1, hex(code)
    assert lab.medium.flushes == 2
    assert lab.command(0xE5) == READY and lab.inb(COUNT) == 0xFF
    for code in (0x00, 0x08, 0xA0, 0xA1, 0x50, 0xFF):
        assert lab.command(code) == READY | ERR and lab.inb(BASE + 1) == 4, hex(code)
    assert lab.command(0xEF, features=0x82) == READY and lab.command(0xEF, features=0x99) & ERR
    assert lab.command(0xEF, count=0x77, features=3) == READY | ERR


def test_signatures_and_resets(board: Any) -> None:
    lab = IdeLab(board, cd=16)
    lab.command(0x20)
    lab.outb(CONTROL, 0x04)
    assert lab.inb(CONTROL) == BSY
    lab.outb(CONTROL, 0x00)
    assert lab.inb(CONTROL) == BSY
    assert lab.wait() == READY and lab.taken == 0
    assert [lab.inb(port) for port in range(BASE + 1, BASE + 7)] == [1, 1, 1, 0, 0, 0]
    lab.outb(DEVICE, 0x10)
    assert [lab.inb(port) for port in range(BASE + 1, BASE + 6)] == [1, 1, 1, 0x14, 0xEB]
    assert lab.inb(COMMAND) == 0
    lab.outb(COMMAND, 0x90)
    assert lab.wait() == READY and lab.taken == 1 and lab.inb(DEVICE) == 0
    assert lab.command(0xEC, device=0xB0) & ERR and lab.inb(MID) == 0x14, "I am ATAPI"


def test_interrupts_can_be_off_and_status_takes_them(lab: IdeLab) -> None:
    lab.outb(CONTROL, 0x02)
    lab.command(0xEC)
    assert lab.taken == 0
    lab.pull(512)
    lab.outb(CONTROL, 0x00)
    lab.outb(COMMAND, 0xE7)
    lab.board.advance(SECOND)
    assert lab.channel.line.level
    assert lab.inb(CONTROL) == READY and lab.channel.line.level, "the alternate status does not"
    assert lab.inb(COMMAND) == READY and not lab.channel.line.level


def test_a_second_disk_that_is_not_there(lab: IdeLab) -> None:
    lab.outb(DEVICE, 0xF0)
    assert lab.inb(COMMAND) == 0 and lab.inb(CONTROL) == 0
    lab.outb(COUNT, 0x55)
    assert lab.inb(COUNT) == 0x55, "device 0 answers for it"
    lab.outb(COMMAND, 0xEC)
    assert lab.wait() == 0 and lab.taken == 0 and lab.inw() == 0xFFFF


def test_registers_are_both_devices(board: Any) -> None:
    one, two = MemoryMedium(sectors(64)), MemoryMedium(sectors(64)[::-1])
    channel = IdeChannel(board.bus, [AtaDisk(board.bus, one), AtaDisk(board.bus, two)], 0x170, 15)
    board.outb(0x176, 0xE0)
    for port, value in ((0x172, 1), (0x173, 9), (0x174, 0), (0x175, 0), (0x176, 0xF0)):
        board.outb(port, value)
    board.outb(0x177, 0x20)
    board.advance(SECOND)
    assert board.inb(0x177) == READY | DRQ and channel.devices[0].status == READY
    found = b"".join(board.bus.read_port(0x170, 2).to_bytes(2, "little") for _ in range(256))
    assert found == bytes(two.bytes[9 * 512 : 10 * 512])


@pytest.mark.parametrize("write", [False, True])
def test_a_snapshot_in_the_middle(make_board: Any, write: bool) -> None:
    lab = IdeLab(make_board())
    lab.command(0x30 if write else 0x20, 4, 2)
    data, found = sectors(90)[88 * 512 :], b""
    for half in range(4):
        lab.push(data[half * 256 : half * 256 + 256]) if write else None
        found += b"" if write else lab.pull(256)
        for settled in (False, True):
            if settled:
                lab.wait()
            other = IdeLab(make_board(), medium=MemoryMedium(bytes(lab.medium.bytes)))
            other.board.clock.time = lab.board.clock.time
            other.board.restore(json.loads(json.dumps(lab.board.snapshot())))
            other.wait()
            rest = found
            for left in range(half + 1, 4):
                if write:
                    other.push(data[left * 256 : left * 256 + 256])
                else:
                    rest += other.pull(256)
                other.wait()
            assert other.inb(COMMAND) == READY
            if write:
                assert other.medium.bytes[4 * 512 : 6 * 512] == data
            else:
                assert rest == sectors(6)[4 * 512 :]


def test_a_halted_guest_waits_for_it(lab: IdeLab) -> None:
    lab.board.outb(0xA1, 0xBF)
    lab.board.outb(0x21, 0xFB)
    assert not lab.board.can_interrupt(False)
    lab.outb(COMMAND, 0xE7)
    assert lab.board.can_interrupt(False)
    lab.wait()
    assert not lab.board.can_interrupt(False)


def test_tiny_disks(board: Any) -> None:
    lab = IdeLab(board, 1)
    lab.command(0xEC)
    block = words(lab.pull(512))
    assert block[1] == 1 and block[60] == 1
    assert lab.command(0x20) & DRQ and lab.command(0x20, 1, device=0xE0) & (DRQ | DRDY)

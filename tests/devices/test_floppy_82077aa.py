"""The floppy disk controller and its drives, as the 82077AA's datasheet has them."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from devices.dma import PlainMemory
from devices.storage.floppy_82077aa import Floppy82077aa
from devices.storage.floppy_drive import FloppyDrive
from devices.storage.floppy_formats import FORMATS, QUICK, drive_for, format_of
from devices.storage.medium import MemoryMedium

RAM = 0x40000
BUFFER = 0x10000
MS = 1_000_000
SECOND = 1000 * MS
DOR, MSR, FIFO, DIR, CCR = 0x3F2, 0x3F4, 0x3F5, 0x3F7, 0x3F7
READ, WRITE, VERIFY, FORMAT_TRACK = 0x46, 0x45, 0x56, 0x4D


def image(size: int = 1474560) -> bytearray:
    """Each sector begins with its number, and has a byte of its own after that."""
    return bytearray(
        b"".join(n.to_bytes(4, "little") + bytes([n % 251]) * 508 for n in range(size // 512))
    )


class Lab:
    """A board with a controller, one drive at least, and the driver's side of it."""

    def __init__(self, board: Any, data: bytes | None = None, read_only: bool = False) -> None:
        self.board = board
        self.taken = 0  # interrupts of the last execute()
        board.bus.memory.behind = PlainMemory(RAM)
        self.memory = board.bus.memory.behind.bytes
        self.medium = MemoryMedium(bytes(image() if data is None else data), read_only)
        self.drive = FloppyDrive(drive_for(format_of(self.medium.size)), self.medium)
        self.other = FloppyDrive(drive_for(None))
        self.fdc = Floppy82077aa(board.bus, board.pc.dma, [self.drive, self.other])
        board.devices.add("fdc", self.fdc)
        board.init_pics()
        board.outb(0xD6, 0xC0)
        board.outb(0xD4, 0x00)

    def start(self, rate: int = 0, non_dma: bool = False) -> None:
        """Out of reset, motor of drive 0 on, steps of 3 ms, sensed and recalibrated."""
        self.board.outb(DOR, 0x1C)
        self.board.advance(MS)
        for unit in range(4):
            assert self.call(0x08) == [0xC0 | unit, 0]
        self.board.outb(CCR, rate)
        self.call(0x03, 0xDF, 0x02 | non_dma)
        self.interrupts()

    def send(self, *command: int) -> None:
        for byte in command:
            assert self.board.inb(MSR) & 0xC0 == 0x80, "it wants no byte"
            self.board.outb(FIFO, byte)

    def result(self) -> list[int]:
        found = []
        while self.board.inb(MSR) & 0xC0 == 0xC0:
            found.append(self.board.inb(FIFO))
        return found

    def call(self, *command: int) -> list[int]:
        """One that is done at once."""
        self.send(*command)
        return self.result()

    def execute(self, *command: int, ns: int = SECOND) -> list[int]:
        self.send(*command)
        self.board.advance(ns)
        self.taken = self.interrupts()
        return self.result()

    def interrupts(self) -> int:
        count = 0
        while self.board.bus.intr:
            count += self.board.take() == 0x36
        return count

    def dma(self, mode: int, size: int, address: int = BUFFER) -> None:
        out = self.board.outb
        out(0x0A, 6)
        out(0x0C, 0)
        out(0x0B, mode | 2)
        out(0x04, address & 0xFF, address >> 8 & 0xFF)
        out(0x81, address >> 16)
        out(0x05, size - 1 & 0xFF, size - 1 >> 8)
        out(0x0A, 2)

    def seek(self, cylinder: int, unit: int = 0) -> list[int]:
        self.send(0x0F, unit, cylinder)
        self.board.advance(SECOND)
        return self.call(0x08)

    def read(self, c: int, h: int, r: int, count: int = 1, command: int = READ) -> list[int]:
        self.dma(0x44, 512 * count)
        last = self.drive.format.sectors if self.drive.format else 18
        return self.execute(command, h << 2, c, h, r, 2, last, 0x1B, 0xFF)

    def got(self, sectors: int = 1) -> bytes:
        return bytes(self.memory[BUFFER : BUFFER + 512 * sectors])


@pytest.fixture
def lab(board: Any) -> Lab:
    lab = Lab(board)
    lab.start()
    return lab


def test_reset_interrupts_and_four_drives_have_changed(board: Any) -> None:
    lab = Lab(board)
    assert board.inb(MSR) == 0 and board.inb(DOR) == 0
    board.outb(DOR, 0x0C)
    assert board.inb(MSR) == 0, "it takes its time"
    board.advance(MS)
    assert board.inb(MSR) == 0x80 and lab.interrupts() == 1
    assert [lab.call(0x08) for _ in range(5)] == [
        [0xC0, 0],
        [0xC1, 0],
        [0xC2, 0],
        [0xC3, 0],
        [0x80],
    ]
    assert lab.interrupts() == 0
    board.outb(0x3F4, 0x80)  # DSR's reset ends by itself
    board.advance(MS)
    assert lab.interrupts() == 1
    board.outb(DOR, 0x04)  # no DMAGATE: INT stays inside
    board.outb(0x3F4, 0x80)
    board.advance(MS)
    assert lab.interrupts() == 0 and lab.call(0x08) == [0xC0, 0]


def test_commands_that_answer_at_once(lab: Lab) -> None:
    assert lab.call(0x10) == [0x90], "an 82077AA"
    assert lab.call(0x1F) == [0x80] and lab.call(0x00) == [0x80] and lab.call(0x48) == [0x80]
    assert lab.call(0x94) == [0x10]
    assert lab.call(0x13, 0, 0x57, 7) == []
    lab.board.outb(0x3F4, 0x80)
    lab.board.advance(MS)
    assert lab.call(0x0E) == [0, 0, 0, 0, 0xDF, 2, 0, 0x80, 0x57, 7], "locked: they survive"
    assert lab.call(0x14) == [0]
    lab.board.outb(0x3F4, 0x80)
    lab.board.advance(MS)
    assert lab.call(0x0E)[7:] == [0, 0x20, 0]
    assert lab.call(0x12, 0x84) == [] and lab.call(0x0E)[7] == 0x04
    assert lab.call(0x04, 0x00) == [0x38] and lab.call(0x04, 0x05) == [0x7D], "empty: protected"


def test_seek_takes_its_steps(lab: Lab) -> None:
    board = lab.board
    lab.send(0x0F, 0x04, 10)
    assert board.inb(MSR) == 0x81, "drive 0 is busy, the controller is not"
    board.advance(29 * MS // QUICK)
    assert board.inb(MSR) == 0x81 and not lab.interrupts()
    board.advance(2 * MS // QUICK)
    assert board.inb(MSR) == 0x80 and lab.interrupts() == 1
    assert lab.call(0x08) == [0x24, 10] and lab.call(0x08) == [0x80]
    assert lab.drive.cylinder == 10
    assert lab.execute(0xCF, 0x00, 5) == [] and lab.call(0x08) == [0x20, 15]
    assert lab.execute(0x8F, 0x00, 15) == [] and lab.call(0x08) == [0x20, 0]


def test_recalibrate(lab: Lab) -> None:
    lab.seek(40)
    lab.interrupts()
    lab.send(0x07, 0)
    lab.board.advance(SECOND)
    assert lab.interrupts() == 1 and lab.call(0x08) == [0x20, 0] and lab.drive.cylinder == 0
    lab.send(0x07, 3)
    lab.board.advance(SECOND)
    assert lab.call(0x08) == [0x73, 0], "no drive: track 0 is never met"


def test_two_heads_move_at_once(lab: Lab) -> None:
    lab.send(0x0F, 0, 20)
    lab.send(0x0F, 1, 20)
    assert lab.board.inb(MSR) == 0x83
    lab.board.advance(SECOND)
    assert lab.interrupts() == 1
    assert lab.call(0x08) == [0x20, 20] and lab.interrupts() == 1, "an edge for the other"
    assert lab.call(0x08) == [0x21, 20] and lab.interrupts() == 0


def test_a_sector_by_dma(lab: Lab) -> None:
    lab.seek(3)
    lab.interrupts()
    assert lab.read(3, 1, 5) == [0x04, 0, 0, 3, 1, 6, 2]
    number = (3 * 2 + 1) * 18 + 4
    assert lab.got() == bytes(lab.medium.bytes[number * 512 : number * 512 + 512])
    assert int.from_bytes(lab.got()[:4], "little") == number
    assert lab.taken == 1


def test_a_whole_cylinder_with_mt_takes_two_turns(lab: Lab) -> None:
    lab.dma(0x44, 36 * 512)
    lab.send(0xE6, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF)
    begun = lab.board.clock.time
    while not lab.board.bus.intr:
        lab.board.advance(MS // 10)
    turns = (lab.board.clock.time - begun) * QUICK / (200 * MS)
    assert 1.9 < turns < 3.1
    assert lab.result() == [0x04, 0, 0, 1, 0, 1, 2], "ends on the other side"
    assert lab.got(36) == bytes(lab.medium.bytes[: 36 * 512])


@pytest.mark.parametrize(
    ("command", "head", "sector", "count", "result"),
    [
        (0x46, 0, 17, 1, [0x00, 0, 0, 0, 0, 18, 2]),
        (0x46, 0, 18, 1, [0x00, 0, 0, 1, 0, 1, 2]),
        (0xC6, 0, 18, 1, [0x00, 0, 0, 0, 1, 1, 2]),
        (0xC6, 1, 18, 1, [0x04, 0, 0, 1, 0, 1, 2]),
        (0x46, 0, 18, 2, [0x40, 0x80, 0, 1, 0, 1, 2]),
        (0xC6, 0, 18, 20, [0x44, 0x80, 0, 1, 0, 1, 2]),
    ],
)
def test_where_it_ends(
    lab: Lab, command: int, head: int, sector: int, count: int, result: list[int]
) -> None:
    """Table 5-5: the address after terminal count, and the end of the cylinder without it."""
    assert lab.read(0, head, sector, count, command) == result


@pytest.mark.parametrize(
    ("address", "errors"),
    [
        ((0, 0, 19, 2), [0x40, 0x04, 0x00]),
        ((0, 0, 0, 2), [0x40, 0x04, 0x00]),
        ((0, 1, 1, 2), [0x40, 0x04, 0x00]),
        ((0, 0, 1, 3), [0x40, 0x04, 0x00]),
        ((1, 0, 1, 2), [0x40, 0x04, 0x10]),
        ((0xFF, 0, 1, 2), [0x40, 0x04, 0x02]),
    ],
)
def test_sectors_that_are_not_there(
    lab: Lab, address: tuple[int, int, int, int], errors: list[int]
) -> None:
    lab.dma(0x44, 512)
    assert lab.execute(READ, 0, *address, 18, 0x1B, 0xFF)[:3] == errors
    assert not lab.memory.any()


def test_a_wrong_rate_no_disk_and_no_motor_find_no_mark(lab: Lab) -> None:
    lab.board.outb(CCR, 2)
    assert lab.read(0, 0, 1)[:3] == [0x40, 0x01, 0]
    lab.board.outb(CCR, 0)
    lab.drive.insert(None)
    assert lab.read(0, 0, 1)[:3] == [0x40, 0x01, 0]
    lab.drive.insert(lab.medium)
    lab.board.outb(DOR, 0x0C)
    assert lab.read(0, 0, 1)[:3] == [0x40, 0x01, 0]
    lab.board.outb(DOR, 0x1C)
    assert lab.read(0, 0, 1)[:3] == [0, 0, 0]


def test_writing(lab: Lab) -> None:
    lab.memory[BUFFER : BUFFER + 1024] = list(random.Random(1).randbytes(1024))
    lab.dma(0x48, 1024)
    assert lab.execute(WRITE, 0, 0, 0, 2, 2, 18, 0x1B, 0xFF) == [0, 0, 0, 0, 0, 4, 2]
    assert lab.taken == 1
    assert bytes(lab.medium.bytes[512:1536]) == lab.got(2)
    assert lab.medium.bytes[:512] == image()[:512] and lab.medium.bytes[1536:] == image()[1536:]


def test_after_terminal_count_a_sector_is_filled_with_zeros(lab: Lab) -> None:
    lab.memory[BUFFER : BUFFER + 512] = 0xEE
    lab.dma(0x48, 100)
    assert lab.execute(WRITE, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF)[:3] == [0, 0, 0]
    assert bytes(lab.medium.bytes[:512]) == b"\xee" * 100 + bytes(412)


def test_write_protected(board: Any) -> None:
    lab = Lab(board, read_only=True)
    lab.start()
    assert lab.call(0x04, 0) == [0x78]
    lab.dma(0x48, 512)
    assert lab.execute(WRITE, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF)[:3] == [0x40, 0x02, 0]
    assert lab.medium.bytes == image()


def test_formatting_a_track(lab: Lab) -> None:
    ids = b"".join(bytes((0, 0, sector, 2)) for sector in (1, 10, *range(2, 10), *range(11, 19)))
    lab.memory[BUFFER : BUFFER + 72] = list(ids)
    lab.dma(0x48, 72)
    assert lab.execute(FORMAT_TRACK, 0, 2, 18, 0x54, 0xF6)[:3] == [0, 0, 0]
    assert bytes(lab.medium.bytes[: 18 * 512]) == b"\xf6" * (18 * 512)
    assert lab.medium.bytes[18 * 512 :] == image()[18 * 512 :]


def test_verify_moves_nothing(lab: Lab) -> None:
    assert lab.execute(VERIFY, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF) == [0, 0, 0, 1, 0, 1, 2]
    assert lab.execute(VERIFY, 0x80, 0, 0, 1, 2, 18, 0x1B, 4) == [0, 0, 0, 0, 0, 5, 2]
    assert lab.execute(VERIFY, 0x80, 0, 0, 16, 2, 18, 0x1B, 9)[:2] == [0x40, 0x80]
    assert not lab.memory.any()


def test_read_id_says_what_passes(lab: Lab) -> None:
    lab.seek(7)
    found = {tuple(lab.execute(0x4A, 4, ns=(250 + n * 11) * MS // QUICK)) for n in range(25)}
    assert {each[:5] + each[6:] for each in found} == {(4, 0, 0, 7, 1, 2)}
    assert {each[5] for each in found} <= set(range(1, 19)) and len(found) > 6


def test_deleted_data_is_what_the_disk_has_not(lab: Lab) -> None:
    assert lab.read(0, 0, 1, 2, 0x4C) == [0, 0, 0x40, 0, 0, 2, 2], "one sector, with its mark"
    assert lab.got() == bytes(image()[:512])
    assert lab.read(0, 0, 1, 2, 0x6C)[:3] == [0x40, 0x80, 0x40], "skipped, to the end"


def test_implied_seek(lab: Lab) -> None:
    lab.call(0x13, 0, 0x70, 0)
    assert lab.read(30, 0, 1) == [0, 0, 0, 30, 0, 2, 2]
    assert lab.drive.cylinder == 30 and lab.call(0x0E)[0] == 30


def test_without_dma(board: Any) -> None:
    lab = Lab(board)
    lab.start(non_dma=True)
    lab.send(READ, 0, 0, 0, 18, 2, 18, 0x1B, 0xFF)
    assert board.inb(MSR) == 0x30
    board.advance(SECOND)
    assert lab.interrupts() == 1
    data = bytearray()
    while board.inb(MSR) == 0xF0:
        data.append(board.inb(FIFO))
    assert data == image()[17 * 512 : 18 * 512]
    board.advance(SECOND)
    assert lab.result() == [0x40, 0x80, 0, 1, 0, 1, 2], "nobody gives terminal count"
    lab.interrupts()
    lab.send(WRITE, 0, 0, 0, 18, 2, 18, 0x1B, 0xFF)
    for n in range(512):
        assert board.inb(MSR) == 0xB0
        board.outb(FIFO, n & 0xFF)
    board.advance(SECOND)
    assert lab.result()[:2] == [0x40, 0x80]
    assert lab.medium.bytes[17 * 512 : 18 * 512] == bytes(n & 0xFF for n in range(512))


def test_the_change_line(lab: Lab) -> None:
    board = lab.board
    assert board.inb(DIR) & 0x80, "since the disk was put in"
    lab.seek(0)
    assert board.inb(DIR) & 0x80, "no step, no change"
    lab.seek(1)
    assert not board.inb(DIR) & 0x80
    lab.drive.insert(None)
    lab.seek(0)
    assert board.inb(DIR) & 0x80, "there is no disk"
    lab.drive.insert(MemoryMedium(bytes(737280)))
    assert board.inb(DIR) & 0x80
    board.outb(DOR, 0x0C)
    assert not board.inb(DIR) & 0x80, "only a drive that is selected and turns drives the line"


@pytest.mark.parametrize("format_", FORMATS, ids=lambda each: f"{each.size >> 10}K")
def test_every_format(board: Any, format_: Any) -> None:
    lab = Lab(board, image(format_.size))
    lab.start(rate=(500, 300, 250, 1000).index(format_.rate))
    last, head = format_.cylinders - 1, format_.heads - 1
    lab.seek(last)
    assert lab.read(last, head, format_.sectors)[:3] == [head << 2, 0, 0]
    assert int.from_bytes(lab.got()[:4], "little") == format_.size // 512 - 1
    assert lab.read(last, 1 - head, 1)[:2] == ([0x44, 1] if format_.heads == 1 else [0, 0])


def test_disks_that_a_drive_does_not_take(lab: Lab) -> None:
    with pytest.raises(ValueError, match=r'a 1\.44M 3\.5" drive takes no disk of 368640 bytes'):
        lab.drive.insert(MemoryMedium(bytes(368640)))
    with pytest.raises(ValueError, match="no disk of 1000 bytes"):
        lab.drive.insert(MemoryMedium(bytes(1000)))
    assert lab.drive.medium is lab.medium


def test_a_channel_that_opens_late(lab: Lab) -> None:
    lab.board.outb(0x0A, 6)
    lab.send(READ, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF)
    lab.board.advance(SECOND)
    assert lab.board.inb(MSR) == 0x10 and not lab.interrupts()
    lab.dma(0x44, 512)
    assert lab.interrupts() == 1 and lab.result()[:3] == [0, 0, 0]
    assert lab.got() == bytes(image()[:512])


def test_a_halted_guest_waits_for_it(lab: Lab) -> None:
    """A sector, a head and a reset are what can still interrupt; nothing else here does."""
    lab.board.outb(0x21, 0xBF)
    assert not lab.board.can_interrupt(False)
    lab.dma(0x44, 512)
    for command in ((0x0F, 0, 5), (0x07, 0), (READ, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF)):
        lab.send(*command)
        assert lab.board.can_interrupt(False), command
        lab.board.advance(SECOND)
        lab.result() or lab.call(0x08)
        lab.interrupts()
        assert not lab.board.can_interrupt(False)
    lab.board.outb(0x3F4, 0x80)
    assert lab.board.can_interrupt(False)


def test_a_snapshot_in_the_middle(make_board: Any) -> None:
    """At every sector of a transfer, onto a board of another past; then both end alike."""
    lab = Lab(make_board())
    lab.start()
    lab.dma(0x44, 6 * 512)
    lab.send(READ, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF)
    for _ in range(30):
        lab.board.advance(11 * MS // QUICK)
        other = Lab(make_board(), bytes(image()))
        other.board.clock.time = lab.board.clock.time
        other.board.restore(json.loads(json.dumps(lab.board.snapshot())))
        other.memory[:] = lab.memory
        assert other.fdc.snapshot() == lab.fdc.snapshot()
        other.board.advance(SECOND)
        assert other.result() == [0, 0, 0, 0, 0, 7, 2] and other.got(6) == image()[: 6 * 512]


PORTS = (0x3F2, 0x3F3, 0x3F4, 0x3F5, 0x3F5, 0x3F5, 0x3F5, 0x3F5, 0x3F7, 0x04, 0x05, 0x0A, 0x0B,
         0x0F, 0xD4, 0xD6, 0x08)  # fmt: skip
OFTEN = (0x46, 0x45, 0x4D, 0x0F, 0x07, 0x08, 0x13, 0x03, 0x56, 0x4A, 0, 1, 2, 18, 0xFF)


@pytest.mark.parametrize("seed", range(6))
def test_anything_at_its_ports(make_board: Any, seed: int) -> None:
    """No exception, no growth; the same again; and snapshots of it are taken back."""
    trace = []
    for _ in range(2):
        dice = random.Random(seed)
        lab = Lab(make_board())
        lab.start(non_dma=bool(seed & 1))
        board, seen = lab.board, []
        for step in range(3000):
            port = dice.choice(PORTS)
            value = dice.choice(OFTEN) if dice.random() < 0.7 else dice.getrandbits(8)
            if port == DOR and dice.random() < 0.9:
                value = 0x1C
            board.outb(port, value) if dice.random() < 0.7 else seen.append(board.inb(port))
            if dice.random() < 0.1:
                board.advance(dice.choice((1000, MS // 10, 3 * MS, SECOND)))
            if dice.random() < 0.02:
                lab.drive.insert(dice.choice((None, lab.medium, MemoryMedium(bytes(737280)))))
            if step % 100 == 0:
                state = json.loads(json.dumps(lab.fdc.snapshot()))
                assert len(str(state)) < 6000
                lab.fdc.restore(state)
                assert lab.fdc.snapshot() == state
            while board.bus.intr:
                seen.append(board.take())
        trace.append((seen, lab.medium.bytes, bytes(lab.memory)))
    assert trace[0] == trace[1]

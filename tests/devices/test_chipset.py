"""440FX, PIIX3, power management and fw_cfg on a board: from their datasheets, and under attack."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from devices.bus import Bus
from devices.chipset import build_chipset
from devices.clock import ManualClock
from devices.device import Chip
from devices.dma import PlainMemory
from devices.errors import SnapshotError
from devices.i8259 import I8259Pair
from devices.named import NamedDevices
from devices.pci.function import PciFunction
from devices.pci.piix4_pm import PM_HZ

HOST, ISA, PM = (0, 0), (1, 0), (1, 3)
PMBA = 0xB000
TMROF, PWRBTN = 0x0001, 0x0100
SECOND = 1_000_000_000


class Board:
    """A bus with interrupt controllers, the chipset and some memory."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.bus = Bus(self.clock)
        self.ram = PlainMemory(1 << 16)
        self.bus.memory.behind = self.ram
        self.shadow: list[tuple[int, int, bool, bool]] = []
        self.bus.on_shadow = lambda *piece: self.shadow.append(piece)
        self.resets: list[bool] = []
        self.power_offs = 0
        self.log = bytearray()
        self.pic = I8259Pair(self.bus)
        self.chipset = build_chipset(
            self.bus,
            memory_bytes=64 << 20,
            on_reset=self.resets.append,
            on_power_off=self._off,
            on_log=self.log.extend,
        )
        self.devices = NamedDevices()
        self.devices.add("pic", self.pic)
        for name, chip in self.chipset.named():
            self.devices.add(name, chip)

    def _off(self) -> None:
        self.power_offs += 1

    def select(self, place: tuple[int, int], register: int) -> None:
        address = place[0] << 11 | place[1] << 8 | register & 0xFC
        self.bus.write_port(0xCF8, 4, 0x80000000 | address)

    def config(self, place: tuple[int, int], register: int, size: int = 1) -> int:
        self.select(place, register)
        return self.bus.read_port(0xCFC + register % 4, size)

    def set(self, place: tuple[int, int], register: int, value: int, size: int = 1) -> None:
        self.select(place, register)
        self.bus.write_port(0xCFC + register % 4, size, value)

    def power_ports(self) -> None:
        self.set(PM, 0x40, PMBA, 4)
        self.set(PM, 0x04, 1, 2)
        self.set(PM, 0x80, 1)

    def elcr(self, value: int) -> None:
        self.bus.write_port(0x4D0, 1, value & 0xFF)
        self.bus.write_port(0x4D1, 1, value >> 8)


@pytest.fixture
def board() -> Board:
    return Board()


def card_in(board: Board, device: int = 3) -> PciFunction:
    class Card(PciFunction):
        name = "card"
        interrupt_pin = 1

    return Card(board.bus, device)


# --- 82441FX --------------------------------------------------------------------------------------


def test_who_is_there(board: Board) -> None:
    assert board.config(HOST, 0, 4) == 0x12378086 and board.config(HOST, 8, 4) == 0x06000002
    assert board.config(ISA, 0, 4) == 0x70008086 and board.config(ISA, 8, 4) == 0x06010000
    assert board.config(PM, 0, 4) == 0x71138086 and board.config(PM, 8, 4) == 0x06800003
    assert (board.config(HOST, 0x0E), board.config(ISA, 0x0E)) == (0, 0x80)
    assert board.config(HOST, 0x67) == 8, "DRB7: 64 MiB"


@pytest.mark.parametrize(
    ("register", "value", "pieces"),
    [
        (0x59, 0x30, [(0xF0000, 0x100000, True, True)]),
        (0x59, 0x0F, []),
        (0x5A, 0x21, [(0xC0000, 0xC4000, True, False), (0xC4000, 0xC8000, False, True)]),
        (0x5D, 0x03, [(0xD8000, 0xDC000, True, True)]),
        (0x5F, 0x10, [(0xEC000, 0xF0000, True, False)]),
        (0x5F, 0x44, []),  # cache enable
    ],
)
def test_pam(board: Board, register: int, value: int, pieces: list[Any]) -> None:
    board.set(HOST, register, value)
    assert board.shadow == pieces
    board.set(HOST, register, value)
    assert board.shadow == pieces, "no news"
    board.shadow.clear()
    board.devices.reset()
    assert board.shadow == [(first, end, False, False) for first, end, _, _ in pieces]


def test_a_lock_on_smram_holds_until_reset(board: Board) -> None:
    assert board.config(HOST, 0x72) == 0x02
    board.set(HOST, 0x72, 0x4A)
    assert board.config(HOST, 0x72) == 0x4A
    board.set(HOST, 0x72, 0x5A)
    assert board.config(HOST, 0x72) == 0x1A, "D_OPEN falls with the lock"
    board.set(HOST, 0x72, 0x4A)
    assert board.config(HOST, 0x72) == 0x1A
    board.devices.reset()
    assert board.config(HOST, 0x72) == 0x02


@pytest.mark.parametrize(
    ("port", "hard"), [(0xCF9, True), (0xCF9, False), (0x93, True), (0x93, False)]
)
def test_resets(board: Board, port: int, hard: bool) -> None:
    """The edge of the reset bit counts, and the other bit says of what."""

    def write(value: int) -> None:
        if port == 0xCF9:
            board.bus.write_port(port, 1, value)
        else:
            board.set(HOST, port, value)

    write(hard * 2)
    assert board.resets == []
    write(hard * 2 | 4)
    write(hard * 2 | 4)
    assert board.resets == [hard]
    write(hard * 2)
    write(hard * 2 | 4)
    assert board.resets == [hard, hard]


# --- 82371SB --------------------------------------------------------------------------------------


def test_a_pirq_goes_where_it_is_led(board: Board) -> None:
    card = card_in(board)  # PIRQ2
    wires = board.bus.wires
    card.set_interrupt(True)
    assert not any(wires.level(line) for line in range(16)), "not led anywhere after reset"
    board.set(ISA, 0x62, 11)
    assert wires.level(11)
    board.set(ISA, 0x62, 5)
    assert (wires.level(11), wires.level(5)) == (False, True)
    board.set(ISA, 0x62, 0x85)
    assert not wires.level(5)
    for nowhere in (0, 1, 2, 8, 13):  # reserved
        board.set(ISA, 0x62, nowhere)
        assert not any(wires.level(line) for line in range(16))
    board.set(ISA, 0x60, 5, 4)  # another PIRQ there
    assert not wires.level(5)


def test_two_pirqs_on_one_line(board: Board) -> None:
    one, other = card_in(board, 3), card_in(board, 4)
    board.set(ISA, 0x60, 0x0A0A0A0A, 4)
    one.set_interrupt(True)
    other.set_interrupt(True)
    one.set_interrupt(False)
    assert board.bus.wires.level(10)
    other.set_interrupt(False)
    assert not board.bus.wires.level(10)


def test_levels_survive_a_snapshot(board: Board) -> None:
    card = card_in(board)
    board.set(ISA, 0x62, 11)
    card.set_interrupt(True)
    other = Board()
    copy = card_in(other)
    other.devices.restore(json.loads(json.dumps(board.devices.snapshot())))
    copy.restore(card.snapshot())
    assert other.bus.wires.level(11)
    copy.set_interrupt(False)
    assert not other.bus.wires.level(11)


# --- 82371AB, function 3 --------------------------------------------------------------------------


def test_the_ports_are_where_pmba_says(board: Board) -> None:
    assert board.config(PM, 0x40, 4) == 1
    board.power_ports()
    assert board.config(PM, 0x40, 4) == PMBA | 1
    assert board.bus.read_port(PMBA + 4, 2) == 0
    board.set(PM, 0x40, 0xC000, 4)
    assert board.bus.read_port(PMBA + 4, 2) == 0xFFFF and board.bus.read_port(0xC004, 2) == 0
    board.set(PM, 0x80, 0)
    assert board.bus.read_port(0xC004, 2) == 0xFFFF


def test_the_timer_is_3_579545_megahertz_and_24_bits(board: Board) -> None:
    board.power_ports()
    board.clock.time = SECOND
    assert board.bus.read_port(PMBA + 8, 4) == PM_HZ
    board.clock.time = 5 * SECOND
    assert board.bus.read_port(PMBA + 8, 4) == 5 * PM_HZ - (1 << 24)
    board.bus.write_port(PMBA + 8, 4, 0)
    assert board.bus.read_port(PMBA + 8, 4) == 5 * PM_HZ - (1 << 24), "nobody writes it"


def test_the_timer_s_overflow_is_an_event(board: Board) -> None:
    board.power_ports()
    board.clock.time = 3 * SECOND  # bit 23 has changed once
    assert board.bus.read_port(PMBA, 2) == TMROF
    board.bus.write_port(PMBA, 2, TMROF)
    assert board.bus.read_port(PMBA, 2) == 0
    assert board.bus.next_deadline() is None, "nobody waits for the next"
    board.bus.write_port(PMBA + 2, 2, TMROF)
    board.bus.write_port(0xB2, 1, 0xF1)
    due = board.bus.next_deadline()
    assert due is not None and due == -(-2 * (1 << 23) * SECOND // PM_HZ)
    board.clock.time = due
    board.bus.run_due()
    assert board.bus.wires.level(9) and board.bus.read_port(PMBA, 2) == TMROF
    board.bus.write_port(PMBA, 1, TMROF)
    assert not board.bus.wires.level(9) and board.bus.next_deadline() is not None


def test_the_power_button_asks_the_guest(board: Board) -> None:
    board.power_ports()
    power = board.chipset.power
    power.press_power_button()
    board.bus.write_port(PMBA + 2, 2, PWRBTN)
    assert not board.bus.wires.level(9), "as long as ACPI is off"
    board.bus.write_port(0xB2, 1, 0xF1)
    assert board.bus.wires.level(9) and board.bus.read_port(PMBA + 4, 2) == 1
    board.bus.write_port(0xB2, 1, 0xF0)
    assert not board.bus.wires.level(9) and board.bus.read_port(PMBA + 4, 2) == 0


@pytest.mark.parametrize(
    ("offset", "size", "value", "off"),
    [
        (4, 2, 0x2000, True), (4, 2, 0x2001, True), (5, 1, 0x20, True), (4, 4, 0x2000, True),
        (4, 2, 0x2400, False), (4, 2, 0x1C00, False), (4, 1, 0x20, False), (2, 2, 0x2000, False),
    ],
)  # fmt: skip
def test_soft_off(board: Board, offset: int, size: int, value: int, off: bool) -> None:
    board.power_ports()
    board.bus.write_port(PMBA + offset, size, value)
    assert board.power_offs == off
    assert not board.bus.read_port(PMBA + 4, 2) & 0x2000, "SUS_EN is written only"


def test_firmware_finds_system_management_done(board: Board) -> None:
    """SeaBIOS would else raise an SMI and wait for its handler for ever."""
    board.set(PM, 0x58, 0, 4)
    assert board.config(PM, 0x58, 4) == 1 << 25
    board.bus.write_port(0xB3, 1, 0x5A)
    assert board.bus.read_port(0xB3, 1) == 0x5A


def test_no_general_purpose_event_ever(board: Board) -> None:
    board.bus.write_port(0xAFE0, 4, 0xFFFFFFFF)
    assert board.bus.read_port(0xAFE0, 4) == 0xFFFF0000


# --- fw_cfg ---------------------------------------------------------------------------------------


def item(board: Board, number: int, size: int) -> bytes:
    board.bus.write_port(0x510, 2, number)
    return bytes(board.bus.read_port(0x511, 1) for _ in range(size))


def order(board: Board, control: int, length: int, address: int) -> int:
    """By DMA; the control word that is left."""
    words = control.to_bytes(4, "big") + length.to_bytes(4, "big") + address.to_bytes(8, "big")
    board.bus.memory.write(0x100, words)
    board.bus.write_port(0x518, 4, int.from_bytes((0x100).to_bytes(4, "big"), "little"))
    return int.from_bytes(board.bus.memory.read(0x100, 4), "big")


def test_the_directory(board: Board) -> None:
    config = board.chipset.fw_cfg
    config.set_files({"etc/one": b"first", "genroms/x.rom": bytes(70_000)}, boot_menu=True)
    assert item(board, 0, 4) == b"QEMU" and item(board, 1, 4) == b"\3\0\0\0"
    assert item(board, 3, 8) == (64 << 20).to_bytes(8, "little")
    assert item(board, 0x0E, 2) == b"\1\0"
    directory = item(board, 0x19, 4 + 2 * 64)
    assert directory[:4] == b"\0\0\0\2"
    assert directory[4:12] == b"\0\0\0\5\0\x20\0\0" and directory[12:20] == b"etc/one\0"
    assert directory[68:76] == (70_000).to_bytes(4, "big") + b"\0\x21\0\0"
    assert item(board, 0x20, 7) == b"first\0\0", "zeros behind the end"
    assert item(board, 0x4020, 5) == b"first", "the bit for writing says nothing"
    assert item(board, 0x22, 2) == b"\0\0"
    config.set_files({})
    assert item(board, 0x19, 8) == bytes(8) and item(board, 0x20, 2) == bytes(2)


def test_many_bytes_at_once_are_those_one_by_one(board: Board) -> None:
    board.chipset.fw_cfg.add_file("etc/one", b"the first file")
    board.bus.write_port(0x510, 2, 0x20)
    assert board.bus.read_ports(0x511, 1, 4) == b"the "
    assert board.bus.read_port(0x511, 1) == ord("f")
    assert board.bus.read_ports(0x511, 1, 12) == b"irst file" + bytes(3)
    assert board.chipset.fw_cfg.offset == 17
    for port, size in ((0x510, 1), (0x510, 2), (0x511, 2), (0x514, 4)):
        assert board.bus.read_ports(port, size, 4) == b"", "one by one"
    assert board.bus.write_ports(0x511, 1, b"x") == board.bus.write_ports(0x510, 2, b"x") == 0
    assert board.chipset.fw_cfg.offset == 17


def test_dma(board: Board) -> None:
    board.chipset.fw_cfg.add_file("etc/one", b"the first file")
    assert board.bus.read_port(0x514, 4) == int.from_bytes(b"QEMU", "little")
    assert board.bus.read_port(0x518, 4) == int.from_bytes(b" CFG", "little")
    assert order(board, 0x20 << 16 | 8 | 4, 4, 0) == 0  # select, skip
    assert order(board, 2, 5, 0x200) == 0  # read
    assert board.bus.memory.read(0x200, 5) == b"first"
    assert order(board, 2, 12, 0x200) == 0
    assert board.bus.memory.read(0x200, 12) == b" file" + bytes(7)
    assert order(board, 0x10, 1, 0x200) == 1, "nobody writes"
    assert order(board, 2, 0xFFFFFFFF, 0x200) == 1, "nor reads what would take for ever"
    assert order(board, 2, 8, 0xFFFF_FFFF_0000_0000) == 0, "no memory there"


def test_what_is_no_file(board: Board) -> None:
    config = board.chipset.fw_cfg
    for name, data in (("", b""), ("x" * 56, b""), ("é", b""), ("x", bytes((1 << 20) + 1))):
        with pytest.raises(ValueError, match="1 files: "):
            config.add_file(name, data)
    with pytest.raises(ValueError, match="no list of at most 64"):
        config.set_files({str(each): b"" for each in range(65)})


def test_the_firmware_s_log(board: Board) -> None:
    assert board.bus.read_port(0x402, 1) == 0xE9
    for byte in b"SeaBIOS":
        board.bus.write_port(0x402, 1, byte)
    assert board.log == b"SeaBIOS"


# --- all of it ------------------------------------------------------------------------------------

PORTS = (
    *(0xCF8, 0xCF9, 0xCFC, 0xCFD, 0xCFE, 0x510, 0x511, 0x514, 0x518, 0x402, 0xB2, 0xB3),
    *(0x20, 0x21, 0xA0, 0xA1, 0x4D0, 0x4D1),
    *range(0xAFE0, 0xAFE4),
    *range(PMBA, PMBA + 64),
)
REGISTERS = (0x04, 0x10, 0x40, 0x59, 0x5A, 0x5F, 0x60, 0x61, 0x72, 0x80, 0x93)


def storm(board: Board, seed: int, steps: int) -> None:
    """A guest that does anything."""
    dice = random.Random(seed)
    for _ in range(steps):
        value = dice.choice((0, 1, 0xFF, 0xB001, 0xFFFFFFFF, dice.getrandbits(32)))
        if dice.random() < 0.4:
            place = dice.choice((HOST, ISA, PM, (3, 0)))
            register = dice.choice((*REGISTERS, dice.randrange(256)))
            board.set(place, register, value, dice.choice((1, 2, 4)))
        port = dice.choice(PORTS)
        board.bus.write_port(port, dice.choice((1, 2, 4)), value)
        board.bus.read_port(dice.choice(PORTS), dice.choice((1, 2, 4)))
        if dice.random() < 0.1:
            board.clock.time += dice.choice((1, 1000, SECOND, 3 * SECOND))
            board.bus.run_due()


def chips(board: Board) -> Iterator[Chip]:
    yield from (chip for _, chip in board.chipset.named())


def test_nothing_is_forgotten(board: Board) -> None:
    storm(board, 1, 200)
    for chip in chips(board):
        assert chip.unsaved() == [], chip.name
        assert set(chip.state) | set(chip.wiring) == set(vars(chip)), chip.name


@pytest.mark.parametrize("seed", range(4))
def test_a_restored_board_goes_on_alike(seed: int) -> None:
    one, other = Board(), Board()
    storm(one, seed, 800)
    storm(other, seed + 100, 300)
    other.clock.time = one.clock.time
    other.ram.bytes[:] = one.ram.bytes
    other.devices.restore(json.loads(json.dumps(one.devices.snapshot())))
    assert other.devices.snapshot() == one.devices.snapshot()
    assert other.bus.port_ranges() == one.bus.port_ranges()
    for board in (one, other):
        storm(board, seed + 200, 500)
    assert other.devices.snapshot() == one.devices.snapshot()


@pytest.mark.parametrize("seed", range(4))
def test_a_storm_leaves_no_ruins(board: Board, seed: int) -> None:
    before = Board().devices.snapshot()
    storm(board, seed, 3000)
    board.devices.reset()
    board.clock.time = 0
    board.chipset.power.halves_seen = 0
    assert len(json.dumps(board.devices.snapshot())) < 6000
    after = board.devices.snapshot()
    for name in ("pci", "host_bridge", "isa_bridge", "power", "fw_cfg"):
        assert after[name] == before[name], name
    assert board.bus.port_ranges() == Board().bus.port_ranges()


@pytest.mark.parametrize(
    ("chip", "field", "value"),
    [
        ("power", "pmen", 0x8000), ("power", "pmsts", 2), ("power", "held", "00"),
        ("power", "pmcntrl", 0x2000), ("isa_bridge", "asserted", 1), ("pci", "address", 1 << 32),
        ("fw_cfg", "files", [["a", "0"]]), ("fw_cfg", "files", [["a", ""], ["a", ""]]),
        ("fw_cfg", "files", {}), ("fw_cfg", "files", [["a", "zz"]]), ("fw_cfg", "files", [[1, ""]]),
        ("host_bridge", "config", ""),
    ],
)  # fmt: skip
def test_hostile_snapshots(board: Board, chip: str, field: str, value: object) -> None:
    state = board.devices.snapshot()
    with pytest.raises(SnapshotError, match=field):
        board.devices.restore({**state, chip: {**state[chip], field: value}})
    assert board.devices.snapshot() == state

"""The 82093AA against its datasheet; and both APICs saved, and under attack."""

from __future__ import annotations

import json
import random

import pytest
from apic_lab import EOI, IRR, ISR, LDR, LEVEL, LOCAL, MASKED, SVR, TMR, TPR, ApicBoard
from test_snapshots import chips, plain

from devices.apic.io_apic import BASE

REMOTE_IRR, LOGICAL, NMI, EXTINT = 0x4000, 0x800, 0x400, 0x700


@pytest.fixture
def board() -> ApicBoard:
    return ApicBoard()


def test_registers(board: ApicBoard) -> None:
    assert [board.io_read(each) for each in (0, 1, 2, 3)] == [0, 0x170011, 0, 0]
    assert [board.io_read(0x10 + each) for each in range(48)] == [MASKED, 0] * 24
    board.io_write(0, 0xFFFFFFFF)
    board.io_write(1, 0)
    assert [board.io_read(each) for each in (0, 1, 2)] == [0x0F000000, 0x170011, 0x0F000000]
    board.io_write(0x3E, 0xFFFFFFFF)
    board.io_write(0x3F, 0xFFFFFFFF)
    assert [board.io_read(0x3E), board.io_read(0x3F)] == [0x1AFFF, 0xFF000000]
    board.io_write(0x40, 0xFFFFFFFF)
    assert board.io_read(0x40) == 0
    board.bus.write_memory(BASE, 1, 0x3F)
    assert board.bus.read_memory(BASE, 4) == 0x3F
    assert board.bus.read_memory(BASE + 0x13, 1) == 0xFF


@pytest.mark.parametrize(("line", "pin"), [(0, 2), (1, 1), (4, 4), (2, 9), (9, 9), (15, 15)])
def test_where_lines_arrive(board: ApicBoard, line: int, pin: int) -> None:
    board.route(pin, 0x40 + pin)
    board.line(line).raise_()
    assert board.bus.intr and board.take() == 0x40 + pin


def test_edges(board: ApicBoard) -> None:
    line = board.line(5)
    line.raise_()
    board.route(5, 0x51)
    assert not board.bus.intr, "the edge came while it was masked"
    line.pulse()
    assert board.vectors(TMR) == [] and board.take() == 0x51
    assert not board.bus.intr
    line.lower()
    line.raise_()
    line.pulse()
    assert board.take() == 0x51 and not board.bus.intr, "two that wait are one"
    assert board.io_read(0x1A) == 0x51


def test_levels(board: ApicBoard) -> None:
    board.route(11, 0x61 | LEVEL)
    line = board.line(11)
    line.raise_()
    assert board.bus.intr and board.io_read(0x26) == 0x61 | LEVEL | REMOTE_IRR
    assert board.vectors(TMR) == [0x61]
    assert board.acknowledge() == 0x61
    board.write(EOI, 0)
    assert board.bus.intr, "still up: once more"
    board.acknowledge()
    line.lower()
    board.write(EOI, 0)
    assert not board.bus.intr and board.io_read(0x26) == 0x61 | LEVEL
    line.raise_()
    board.acknowledge()
    board.io_write(0x26, 0x61 | MASKED)  # how a system without a directed EOI makes one
    assert board.io_read(0x26) == 0x61 | MASKED
    board.io_write(0x26, 0x61 | LEVEL)
    assert board.bus.intr is False and board.vectors(IRR) == [0x61]


def test_a_level_waits_for_its_mask_and_for_a_processor(board: ApicBoard) -> None:
    board.line(10).raise_()
    board.route(10, 0x61 | LEVEL)
    assert board.take() == 0x61
    board.route(10, 0x61 | LEVEL | MASKED)
    board.devices.reset()
    board.line(10).raise_()
    board.route(10, 0x61 | LEVEL)
    assert not board.bus.intr and board.io_read(0x24) == 0x61 | LEVEL
    board.write(SVR, 0x1FF)
    assert board.bus.intr and board.take() == 0x61


def test_destinations(board: ApicBoard) -> None:
    board.write(LDR, 0x01000000)
    for low, destination, arrives in ((0, 0, True), (0, 1, False), (0, 0xFF, True),
                                      (LOGICAL, 3, True), (LOGICAL, 2, False),
                                      (LOGICAL | 0x100, 1, True)):  # fmt: skip
        board.route(5, 0x40 | low, destination)
        board.line(5).pulse()
        assert board.bus.intr is arrives, (low, destination)
        assert not arrives or board.take() == 0x40


def test_other_modes(board: ApicBoard) -> None:
    board.route(5, NMI)
    board.line(5).pulse()
    assert board.nmis == 1
    for mode in (0x200, 0x500):  # SMI, INIT
        board.route(5, mode)
        board.line(5).pulse()
    assert board.nmis == 1 and not board.bus.intr
    assert board.apics.would_interrupt(5) is False


def test_extint_through_pin_0(board: ApicBoard) -> None:
    board.init_pics()
    board.route(0, EXTINT)
    board.write(TPR, 0xFF)
    board.line(1).raise_()
    assert board.bus.intr and board.acknowledge() == 0x31
    assert not board.bus.intr and board.vectors(ISR) == []
    board.bus.write_port(0x20, 1, 0x20)
    board.line(3).raise_()
    assert board.bus.intr
    board.route(0, EXTINT | MASKED)
    assert not board.bus.intr


def test_the_8259a_sees_the_lines_too(board: ApicBoard) -> None:
    board.init_pics()
    board.line(4).raise_()
    assert board.pc.pic.master.irr == 0x10


def test_who_can_wake_a_processor(board: ApicBoard) -> None:
    assert not board.apics.would_interrupt(0)
    board.route(2, 0x40)
    assert board.apics.would_interrupt(0) and not board.apics.would_interrupt(1)
    board.write(TPR, 0x40)
    assert not board.apics.would_interrupt(0)


# --- saved, and attacked --------------------------------------------------------------------------


def storm(board: ApicBoard, seed: int, accesses: int) -> None:
    """Anything into both windows and IA32_APIC_BASE, lines that move, time, interrupts taken."""
    dice = random.Random(seed)
    bus, draw = board.bus, dice.random
    for _ in range(accesses):
        base = LOCAL if draw() < 0.7 else BASE
        offset = int(draw() * 64) * 16 if draw() < 0.8 else int(draw() * 0x1000)
        size = (1, 2, 4, 4, 4)[int(draw() * 5)]
        if base == BASE and draw() < 0.8:
            offset, size = (0, 0x10)[draw() < 0.6], 4
        address = min(base + offset, base + 0x1000 - size)
        if draw() < 0.4:
            bus.read_memory(address, size)
        else:
            value = dice.getrandbits(32)
            bus.write_memory(address, size, value & (0xFFFFF if draw() < 0.5 else 0xFF))
        other = draw()
        if other < 0.04:
            board.line(int(draw() * 16)).set(draw() < 0.5)
        elif other < 0.06:
            board.clock.time += int(10 ** (draw() * 7))
            bus.run_due()
        elif other < 0.07:
            board.write(SVR, 0x1FF)
        elif other < 0.071:
            board.local.set_base(dice.getrandbits(36) if draw() < 0.5 else 0xFEE00900)
        elif other < 0.1 and bus.intr:
            assert 0 <= board.acknowledge() <= 0xFF
            assert board.apics.would_interrupt(int(draw() * 16)) in (True, False)


@pytest.mark.parametrize("seed", range(4))
def test_saved_in_the_middle_of_anything(seed: int) -> None:
    """Restored on another board, it holds the same and goes on alike."""
    board, other = ApicBoard(), ApicBoard()
    storm(board, seed, 600)
    storm(other, seed + 50, 200)
    other.clock.time = board.clock.time
    other.devices.restore(json.loads(json.dumps(board.devices.snapshot())))
    for chip in chips(board):
        assert chip.unsaved() == [], type(chip).__name__
    for one, two in zip(chips(board), chips(other), strict=True):
        assert plain(one) == plain(two), type(one).__name__
    assert (other.bus.intr, other.bus.registers()) == (board.bus.intr, board.bus.registers())
    storm(board, seed, 300)
    storm(other, seed, 300)
    assert other.devices.snapshot() == board.devices.snapshot()
    assert other.bus.intr == board.bus.intr


def test_snapshots_of_other_machines_are_refused() -> None:
    from devices.errors import SnapshotError

    board = ApicBoard(6)
    state = board.devices.snapshot()
    for name, field, value in (("local-apic", "family", 15), ("local-apic", "base", 0x400),
                               ("local-apic", "irr", 2), ("local-apic", "lvt", [0xFFFFFFFF] * 6),
                               ("io-apic", "table", [1 << 12] * 24)):  # fmt: skip
        with pytest.raises(SnapshotError, match=field):
            board.devices.restore({**state, name: {**state[name], field: value}})
    assert board.devices.snapshot() == state


def test_a_storm_leaves_nothing_behind() -> None:
    """Neither exception nor growth; `slow` has a million."""
    board = ApicBoard()
    storm(board, 7, 20_000)
    assert len(json.dumps(board.devices.snapshot())) < 20_000
    assert len(board.bus._timers._heap) < 200
    board.devices.reset()
    assert board.bus.registers()[1] == (LOCAL, LOCAL + 0x1000)


@pytest.mark.slow
def test_a_million_accesses() -> None:
    board = ApicBoard()
    for seed in range(10):
        storm(board, seed, 100_000)
    assert len(board.bus._timers._heap) < 200

"""The whole set: hostile guests, snapshots, reset, determinism, open bus between the chips."""

import json
import random

import pytest

from devices.device import SnapshotError

PORTS = [
    *(0x20, 0x21, 0xA0, 0xA1, 0x4D0, 0x4D1),
    *(0x40, 0x41, 0x42, 0x43, 0x61),
    *range(0x3F8, 0x400),
    *(0x70, 0x71, 0x60, 0x64, 0x92, 0xF4, 0xE9, 0x80),
    *range(16),
    *range(0x81, 0x90),
    *range(0xC0, 0xE0),
]
OFTEN = [0x43, 0x40, 0x61, 0x20, 0x21, 0x70, 0x71, 0x60, 0x64]


def storm(board, seed, steps):
    """A guest that writes anything anywhere; everything that the outside can see of it."""
    dice = random.Random(seed)
    trace = []
    for _ in range(steps):
        port = dice.choice(PORTS if dice.random() < 0.5 else OFTEN)
        size = dice.choice((1, 1, 1, 2, 4))
        what = dice.random()
        if what < 0.5:
            board.bus.write_port(port, size, dice.getrandbits(32))
        elif what < 0.8:
            value = board.bus.read_port(port, size)
            assert 0 <= value < 1 << 8 * size
            trace.append(value)
        elif what < 0.9:
            board.advance(dice.choice((1, 838, 50_000, 3_000_000)))
        elif what < 0.93:
            board.pc.uart.receive(dice.randbytes(dice.randrange(40)))
        elif what < 0.95:
            board.pc.kbc.keyboard.type(dice.choice(("Root\n", "x", "@")))
        elif board.bus.intr:
            vector = board.pc.pic.acknowledge()
            assert 0 <= vector <= 0xFF
            trace.append(vector)
        # whatever happened, INT is what the master says
        assert board.bus.intr == (board.pc.pic.master.requested() is not None)
    trace.append((bytes(board.serial), board.exits, board.resets, board.a20))
    return trace


@pytest.mark.parametrize("seed", range(8))
def test_hostile_guest_raises_nothing_and_repeats_exactly(make_board, seed):
    first = storm(make_board(start_time=946684790), seed, 4000)
    assert first == storm(make_board(start_time=946684790), seed, 4000)


def test_every_port_takes_every_byte(make_board):
    board = make_board()
    for port in range(0x10000):
        if port in PORTS:
            for value in range(256):
                board.outb(port, value)
                assert 0 <= board.inb(port) <= 0xFF
            board.advance(1_000_000)
        else:
            assert board.inb(port) == 0xFF or port in range(0xF5, 0xF8)


@pytest.mark.parametrize("seed", range(8))
def test_snapshots_go_on_where_they_were_taken(make_board, seed):
    """Restored into a fresh board through JSON, the rest of the life is the same."""
    board = make_board(start_time=946684790, memory_bytes=64 << 20)
    storm(board, seed, 1500)
    saved = json.dumps(board.devices.snapshot())
    copy = make_board()
    copy.clock.time = board.clock.time
    copy.devices.restore(json.loads(saved))
    assert json.dumps(copy.devices.snapshot()) == saved
    assert copy.bus.intr == board.bus.intr
    assert copy.bus.next_deadline() == board.bus.next_deadline()
    for seen in (board.serial, board.exits, board.a20, copy.serial, copy.exits, copy.a20):
        seen.clear()
    board.resets = copy.resets = 0
    assert storm(copy, seed + 100, 1500) == storm(board, seed + 100, 1500)


def test_a_held_key_goes_on_repeating_on_time(make_board):
    board, copy = make_board(), make_board()
    board.pc.kbc.keyboard.press("a")
    board.advance(123_456_789)
    board.inb(0x60)
    copy.clock.time = board.clock.time
    copy.devices.restore(board.devices.snapshot())
    assert copy.bus.next_deadline() == board.bus.next_deadline() == 500_000_000


def chips(board):
    return board.devices


def test_every_chip_saves_named_fields_and_a_version(board):
    for name, chip in chips(board).items():
        state = chip.snapshot()
        assert state["version"] == 1 and state["device"] == chip.name, name
        chip.restore(json.loads(json.dumps(state)))
        assert chip.snapshot() == state


def test_bad_snapshots_are_refused(board):
    for chip in chips(board).values():
        state = chip.snapshot()
        with pytest.raises(SnapshotError, match="cannot restore"):
            chip.restore({**state, "device": "toaster"})
        with pytest.raises(SnapshotError, match="snapshot version 99"):
            chip.restore({**state, "version": 99})
    state = board.pc.uart.snapshot()
    del state["lcr"]
    with pytest.raises(SnapshotError, match="uart16550: the snapshot lacks lcr"):
        board.pc.uart.restore(state)
    state = board.devices.snapshot()
    del state["rtc"]
    with pytest.raises(SnapshotError, match="the snapshot lacks rtc"):
        board.devices.restore(state)


@pytest.mark.parametrize("seed", range(4))
def test_reset_brings_back_the_power_on_state(make_board, seed):
    board = make_board()
    storm(board, seed, 1000)
    board.pc.uart.waiting.clear()
    board.pc.kbc.keyboard.typed.clear()
    board.devices.reset()
    fresh = make_board()
    left, right = board.devices.snapshot(), fresh.devices.snapshot()
    survivors = {
        "rtc": ("cmos", "second_ns", "divider_ns", "periods_seen"),
        "uart": ("divisor", "scratch", "receiver"),
    }
    for name, fields in survivors.items():
        for field in fields:
            del left[name][field], right[name][field]
    for counter in left["pit"]["counters"] + right["pit"]["counters"]:
        del counter["held"]  # what a counter shows before it is loaded is undefined
    for state in (left, right):  # OUT0 is high after a reset, whatever it was at power-on
        del state["pic"]["master"]["pins"], state["pit"]["line"], state["wires"]["driven"]
    assert left == right
    assert board.bus.next_deadline() is None
    assert not board.bus.intr


def test_an_idle_board_has_nothing_to_wait_for(board):
    assert board.bus.next_deadline() is None

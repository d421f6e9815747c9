"""Snapshots hold everything, and take nothing that would raise later."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from test_pc import storm

from devices.clock import ManualClock
from devices.device import Chip
from devices.errors import SnapshotError
from devices.fields import BYTE, fields
from devices.named import NamedDevices

MakeBoard = Callable[..., Any]  # conftest.py
NONSENSE = (None, True, False, -1, 3, 1 << 16, 1 << 70, 1.5, "", "x", "ff", "+a", [], [1, 2],
            [None], {}, [300] * 20, {"device": "x"}, float("nan"), "é" * 1000)  # fmt: skip
PORTS = (0x20, 0x21, 0xA0, 0x40, 0x43, 0x60, 0x61, 0x64, 0x70, 0x71, 0x3F8, 0x3FA)


def chips(board: Any) -> Iterator[Chip]:
    """Every chip, and every chip within one."""
    found = list(board.devices.values())
    while found:
        chip = found.pop()
        yield chip
        for value in vars(chip).values():
            found += [each for each in (value if isinstance(value, list) else [value])
                      if isinstance(each, Chip) and each not in board.devices.values()]  # fmt: skip


def test_every_attribute_is_saved_or_known_not_to_be(board: Any) -> None:
    seen = []
    for chip in chips(board):
        saved, wiring = set(chip.state), set(chip.wiring)
        assert chip.unsaved() == [], type(chip).__name__
        assert saved | wiring == set(vars(chip)), type(chip).__name__
        assert not saved & wiring
        seen.append(type(chip).__name__)
    assert len(seen) == 31, seen
    assert {"Counter", "Ps2Keyboard", "I8259"} <= set(seen)


def test_that_test_sees_an_attribute_that_was_forgotten(board: Any) -> None:
    board.pc.uart.later = 1
    with pytest.raises(AssertionError, match="Uart16550"):
        test_every_attribute_is_saved_or_known_not_to_be(board)


def plain(chip: Chip) -> dict[str, Any]:
    """What a chip holds, also of its wiring, as far as it is data."""
    found = {}
    for name, value in vars(chip).items():
        if hasattr(value, "when"):
            value = value.when
        elif hasattr(value, "number"):
            value = (value.number, value.level)
        if isinstance(value, (int, str, tuple, list, bytearray)) or value is None:
            found[name] = value if not isinstance(value, (tuple, list)) else repr(value)
    return {name: value for name, value in found.items() if "object at" not in str(value)}


@pytest.mark.parametrize("seed", range(6))
def test_a_restored_board_holds_the_same(make_board: MakeBoard, seed: int) -> None:
    board = make_board(start_time=946684790, memory_bytes=64 << 20)
    storm(board, seed, 700)
    other = make_board()
    storm(other, seed + 50, 300)  # whatever it was before
    other.clock.time = board.clock.time
    other.devices.restore(json.loads(json.dumps(board.snapshot())))
    for one, two in zip(chips(board), chips(other), strict=True):
        assert plain(one) == plain(two), type(one).__name__
    assert other.bus.intr == board.bus.intr


def test_an_edge_that_is_due_is_not_lost(make_board: MakeBoard) -> None:
    """A machine may be saved at the very moment of a timer, before it has gone off."""
    board, other = make_board(), make_board()
    board.init_pics()
    for port, value in ((0x43, 0x34), (0x40, 100), (0x40, 0)):  # the timer,
        board.outb(port, value)
    for register, value in ((0x0A, 0x26), (0x0B, 0x42)):  # and the clock's periodic interrupt
        board.outb(0x70, register)
        board.outb(0x71, value)
    board.clock.time = 2_000_000  # both are late
    other.clock.time = board.clock.time
    other.devices.restore(board.snapshot())
    for each in (board, other):
        each.bus.run_due()
    assert other.bus.intr
    assert [other.take(), other.take()] == [board.take(), board.take()] == [0x30, 0x38]
    assert other.snapshot() == board.snapshot()


def test_timers_of_one_moment_go_off_in_the_order_they_were_made(make_board: MakeBoard) -> None:
    board = make_board()
    fired: list[str] = []
    first = board.bus.timer(lambda: fired.append("first"))
    second = board.bus.timer(lambda: fired.append("second"))
    board.bus.schedule(10, lambda: fired.append("once"))
    second.set(10)
    first.set(10)
    board.advance(10)
    assert fired == ["first", "second", "once"]


def broken(state: Any, dice: random.Random) -> Any:
    """A snapshot with one thing wrong in it, or perhaps right."""
    state = copy.deepcopy(state)
    place: Any = state
    while True:
        keys = list(range(len(place))) if isinstance(place, list) else list(place)
        key = dice.choice(keys)
        inner = place[key]
        if isinstance(inner, (dict, list)) and inner and dice.random() < 0.95:
            place = inner
        elif isinstance(inner, (dict, list)) and not inner and dice.random() < 0.8:
            place = state  # somewhere else
        elif dice.random() < 0.05:
            del place[key]
            return state
        elif type(inner) is bool and dice.random() < 0.7:
            place[key] = not inner
            return state
        elif isinstance(inner, int) and dice.random() < 0.7:
            place[key] = inner ^ 1 << dice.randrange(dice.choice((4, 8, 60)))
            return state
        elif inner is None and dice.random() < 0.7:
            place[key] = dice.randrange(1 << dice.choice((4, 16, 40)))
            return state
        else:
            place[key] = dice.choice(NONSENSE)
            return state


@pytest.mark.parametrize("seed", range(4))
def test_hostile_snapshots(make_board: MakeBoard, seed: int) -> None:
    """Refused in words, and nothing has changed; or taken, and then nothing ever raises."""
    dice = random.Random(seed)
    board = make_board()
    storm(board, seed, 800)
    good = board.snapshot()
    refused = taken = 0
    for round_ in range(400):
        state = broken(good, dice)
        before = board.snapshot()
        try:
            board.restore(state)
        except SnapshotError as error:
            assert str(error) and len(str(error)) < 400
            assert board.snapshot() == before
            refused += 1
        else:
            taken += 1
            assert json.loads(json.dumps(board.snapshot())) == state
            storm_and_wait(board, round_)
            board.restore(good)
    assert refused > 100 and taken > 60, (refused, taken)


def storm_and_wait(board: Any, seed: int) -> None:
    """As storm(), but INT may be wrong: the chip says so, and nobody else."""
    dice = random.Random(seed)
    for _ in range(60):
        port = dice.choice(PORTS)
        board.outb(port, dice.getrandbits(8))
        board.inb(port)
        if dice.random() < 0.2:
            board.advance(dice.choice((1000, 3_000_000)))
        if board.bus.intr:
            board.pc.pic.acknowledge()
        if dice.random() < 0.2:
            board.can_interrupt(True)
    board.devices.reset()


@pytest.mark.parametrize("value", NONSENSE)
def test_what_is_no_snapshot_at_all(board: Any, value: Any) -> None:
    with pytest.raises(SnapshotError):
        board.restore(value)
    for name in board.devices:
        with pytest.raises(SnapshotError):
            board.restore({**board.snapshot(), name: value})


# --- devices of somebody else's -------------------------------------------------------------------


class Counter(Chip):
    name = "counter"
    state = fields(value=BYTE)

    def __init__(self) -> None:
        self.value = 7


class Own:
    """One that has its own idea of a snapshot, and finds out in the middle of it that it is bad."""

    def __init__(self) -> None:
        self.value = 1

    def snapshot(self) -> dict[str, Any]:
        return {"value": self.value}

    def restore(self, state: Any) -> None:
        self.value = 99
        self.value = 10 // state["value"]


def test_all_or_none() -> None:
    devices = NamedDevices()
    counter, own = Counter(), Own()
    devices.add("counter", counter)
    devices.add("own", own)
    saved = devices.snapshot()
    saved["counter"]["value"] = 8
    saved["own"]["value"] = 0
    with pytest.raises(SnapshotError, match="'own' does not take its snapshot: integer division"):
        devices.restore(saved)
    assert (counter.value, own.value) == (7, 10), "10 // 1"
    saved["own"]["value"] = 5
    devices.restore(saved)
    assert (counter.value, own.value) == (8, 2)


def test_a_device_without_a_snapshot_is_named() -> None:
    devices = NamedDevices()
    devices.add("lamp", object())
    with pytest.raises(SnapshotError, match="the device 'lamp' cannot be saved"):
        devices.snapshot()


def test_other_devices_than_there_are() -> None:
    devices = NamedDevices()
    devices.add("counter", Counter())
    with pytest.raises(SnapshotError, match="lacks counter"):
        devices.restore({})
    with pytest.raises(SnapshotError, match=r"devices that this machine has not: \['lamp'\]"):
        devices.restore({**devices.snapshot(), "lamp": {}})
    with pytest.raises(SnapshotError, match="counter: value: 256 is not from 0 to 255"):
        devices.restore({"counter": {"device": "counter", "version": 1, "value": 256}})


def test_the_clock_is_not_in_it(board: Any) -> None:
    assert isinstance(board.clock, ManualClock) and "clock" not in board.snapshot()

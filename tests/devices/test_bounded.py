"""No call of a chip costs more than a bounded number of steps, whatever its registers hold.

A guest writes anything to any port, time passes in any portion, the host types, and every call of
the board is counted in lines of Python that it runs. A loop whose length the guest controls shows
as a count that depends on what it wrote, so the bound is of the chips' code, not of the host's
speed. What the chips remember is bounded by the same means: the size of their snapshots.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from devices.bus import Bus
from devices.clock import ManualClock
from devices.mc146818 import Mc146818

MOST = 800  # lines; all timers due at once need 570, an access less than 300
MOST_STATE = 8500  # characters of a snapshot
STEPS = 1200
SEEDS = range(6)
RTC = {"seconds alarm": 1, "minutes alarm": 3, "hours alarm": 5, "A": 0x0A, "B": 0x0B}
DAY = 86_400 * 10**9
PORTS = (*range(16), *range(0x81, 0x90), *range(0xC0, 0xE0, 2), *range(0x20, 0x22),
         *range(0x40, 0x44), 0x60, 0x61, 0x64, 0x70, 0x71, 0x80, 0x92,
         0xA0, 0xA1, 0xE9, *range(0xF4, 0xF8), *range(0x3F8, 0x400), 0x4D0, 0x4D1)  # fmt: skip
VALUES = (0, 1, 2, 0x7F, 0x80, 0xC0, 0xFF)
PASSING = (0, 1, 100, 900, 60_000, 10**6, 10**9, 3600 * 10**9, DAY, 30 * DAY)


MakeBoard = Callable[[], Any]  # conftest.py


class TooMany(AssertionError):
    """A call went on and on."""


def lines(function: Callable[..., Any], *args: Any) -> int:
    """How many lines of Python it ran. TooMany at ten times what is allowed."""
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Callable[..., Any]:
        nonlocal count
        count += event == "line"
        if count > 10 * MOST:
            raise TooMany(f"still at it in {frame.f_code.co_name}")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*args)
    finally:
        sys.settrace(before)
    return count


class Guest:
    """One that does anything, on a board whose calls are counted."""

    def __init__(self, seed: int, board: Any) -> None:
        self.random = random.Random(seed)
        self.board = board
        self.worst: dict[str, int] = {}

    def call(self, name: str, function: Callable[..., Any], *args: Any) -> None:
        self.worst[name] = max(self.worst.get(name, 0), lines(function, *args))

    def value(self) -> int:
        return self.random.choice((self.random.choice(VALUES), self.random.getrandbits(8)))

    def step(self) -> None:
        board, bus, pc = self.board, self.board.bus, self.board.pc
        port, rtc = self.random.choice(PORTS), self.random.choice((*RTC.values(), 0, 2, 4))
        match self.random.randrange(12):
            case 0 | 1 | 2 | 3:
                self.call(f"out {port:#x}", bus.write_port, port, 1, self.value())
            case 4 | 5:
                bus.write_port(0x70, 1, rtc)
                value = self.value() & 0x2F | 0x20 if rtc == RTC["A"] else self.value()
                self.call(f"rtc {rtc}", bus.write_port, 0x71, 1, value)
            case 6 | 7:
                self.call(f"in {port:#x}", bus.read_port, port, 1)
            case 8:
                board.clock.advance(self.random.choice(PASSING))
                self.call("timers", bus.run_due)
            case 9:
                self.call("deadline", bus.next_deadline)
                self.call("can interrupt", board.can_interrupt, bool(self.random.getrandbits(1)))
                if bus.intr:
                    self.call("acknowledge", pc.pic.acknowledge)
            case 10:
                self.call("receive", pc.uart.receive, bytes(40))
                if len(pc.kbc.keyboard.typed) < 50:
                    self.call("press", pc.kbc.keyboard.press, self.random.choice(("a", "pause")))
            case 11:
                self.call("reset", board.devices.reset) if self.random.random() < 0.02 else None
                pc.uart.waiting.clear()  # the host's, which bounds it itself
                state = board.devices.snapshot()
                assert len(json.dumps(state)) < MOST_STATE
                board.devices.restore(state)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_call_is_long(seed: int, make_board: MakeBoard) -> None:
    guest = Guest(seed, make_board())
    for _ in range(STEPS):
        guest.step()
    assert {name: count for name, count in guest.worst.items() if count > MOST} == {}
    assert len(guest.worst) > 50, "it has called little"


def test_the_count_sees_a_loop() -> None:
    def spin() -> int:
        return sum(1 for _ in range(MOST))

    assert lines(spin) > MOST
    with pytest.raises(TooMany):
        lines(lambda: [None for _ in iter(int, 1)])


def test_an_alarm_that_never_comes_costs_as_little_as_one_that_does(board: Any) -> None:

    def write(register: int, value: int) -> int:
        board.outb(0x70, register)
        return lines(board.bus.write_port, 0x71, 1, value)

    write(RTC["B"], 0x22)  # 24 hours, alarm interrupt
    counts = [write(RTC["seconds alarm"], 0x99), write(RTC["minutes alarm"], 0x99),
              write(RTC["hours alarm"], 0x99), write(RTC["hours alarm"], 0xFF)]  # fmt: skip
    assert max(counts) < MOST
    assert board.bus.next_deadline() is None


def slow_alarm(start: int, hours: int | None, minutes: int | None, seconds: int | None) -> Any:
    """The datasheet's words: each second, the three bytes are compared."""
    for after in range(1, 86_401):
        time = (start + after) % 86_400
        now = (time // 3600, time // 60 % 60, time % 60)
        if all(each in (None, own) for each, own in zip((hours, minutes, seconds), now,
                                                         strict=True)):  # fmt: skip
            return after
    return None


def test_the_alarm_comes_when_comparing_every_second_would_find_it() -> None:
    random_ = random.Random(146818)
    rtc = Mc146818(Bus(ManualClock()))
    rtc.cmos[0x0B] |= 0x04  # binary

    def some(most: int) -> int:
        return random_.choice((0xC0, 0xFF, 0, most - 1, most, random_.randrange(most)))

    for _ in range(60):
        start = random_.choice((0, 59, 3599, 86_399, random_.randrange(86_400)))
        rtc.cmos[4], rtc.cmos[2], rtc.cmos[0] = start // 3600, start // 60 % 60, start % 60
        alarm = [some(24), some(60), some(60)]
        rtc.cmos[5], rtc.cmos[3], rtc.cmos[1] = alarm
        wanted = slow_alarm(start, *(None if each >= 0xC0 else each for each in alarm))
        assert rtc._seconds_to_alarm() == wanted, (start, alarm)


def test_days_of_periodic_interrupts_are_caught_up_in_one_go(board: Any) -> None:
    for register, value in ((0x0A, 0x23), (0x0B, 0x72)):  # 8192 Hz, all three interrupts
        board.outb(0x70, register)
        board.outb(0x71, value)
    for port, value in ((0x43, 0x34), (0x40, 2), (0x40, 0)):  # and the timer at its fastest
        board.outb(port, value)
    board.clock.advance(400 * DAY)
    assert lines(board.bus.run_due) < MOST
    due = board.bus.next_deadline()
    assert due is not None and due > board.clock.now()


UNREAD = ((0x60, 0xEE), (0x60, 0x00), (0x64, 0x20), (0x64, 0xC0))


@pytest.mark.parametrize(("port", "value"), UNREAD)
def test_answers_that_nobody_reads_do_not_pile_up(board: Any, port: int, value: int) -> None:
    for _ in range(1000):
        board.outb(port, value)
    assert len(json.dumps(board.devices.snapshot())) < MOST_STATE

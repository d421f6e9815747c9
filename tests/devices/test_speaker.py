"""The speaker's samples: tones, pulses of any width, silence, and the same from a restored chip."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from devices.i8254 import PIT_HZ
from devices.sound.samples import RATE
from devices.sound.speaker import LONGEST, LOUD, Speaker

SECOND = 10**9


class Ear:
    """Hears a board's speaker."""

    def __init__(self, board: Any) -> None:
        self.speaker = Speaker(board.pc.pit, board.pc.port61)
        self.speaker.on_samples = self.hear
        board.devices.add("speaker", self.speaker)
        self.heard: dict[int, int] = {}

    def hear(self, first: int, samples: Any) -> None:
        for number, sample in enumerate(samples.tolist(), first):
            assert number not in self.heard and 0 <= sample <= LOUD
            self.heard[number] = sample

    def samples(self) -> Any:
        self.speaker.render()
        found = np.zeros(self.speaker.samples, np.int64)
        for number, sample in self.heard.items():
            found[number] = sample
        return found


@pytest.fixture
def ear(board: Any) -> Ear:
    return Ear(board)


def tone(board: Any, divisor: int, mode: int = 3) -> None:
    board.outb(0x43, 0xB0 | mode << 1)
    board.outb(0x42, divisor & 0xFF, divisor >> 8)


def pitch(samples: Any) -> float:
    spectrum = np.abs(np.fft.rfft(samples - samples.mean()))
    return float(spectrum.argmax()) * RATE / len(samples)


def test_a_tone_has_its_pitch_and_is_half_high(board: Any, ear: Ear) -> None:
    tone(board, PIT_HZ // 440)
    board.outb(0x61, 3)
    board.advance(SECOND)
    samples = ear.samples()
    assert len(samples) == RATE or len(samples) == RATE - 1
    assert pitch(samples) == pytest.approx(440, abs=1.5)
    assert samples.mean() == pytest.approx(LOUD / 2, rel=0.01)
    assert {0, LOUD} <= set(samples.tolist())


def test_it_is_silent_without_its_bit_or_its_gate(board: Any, ear: Ear) -> None:
    tone(board, 1000)
    board.advance(SECOND)
    board.outb(0x61, 1)
    board.advance(SECOND)
    assert not ear.samples().any()
    board.outb(0x61, 3)
    board.advance(SECOND // 100)
    board.outb(0x61, 0)
    board.advance(SECOND)
    samples = ear.samples()
    assert samples[: 2 * RATE - 1].max() == 0 and samples[2 * RATE : 2 * RATE + 400].max() == LOUD
    assert samples[2 * RATE + 450 :].max() == 0


def test_the_bit_alone_moves_the_cone(board: Any, ear: Ear) -> None:
    """Without a gate OUT2 is high: a program makes its own waves."""
    for _ in range(250):
        board.outb(0x61, 2)
        board.advance(SECOND // 1000)
        board.outb(0x61, 0)
        board.advance(SECOND // 1000)
    samples = ear.samples()
    assert pitch(samples) == pytest.approx(500, abs=3)
    assert samples.mean() == pytest.approx(LOUD / 2, rel=0.01)


@pytest.mark.parametrize("width", [10, 30, 60])
def test_pulses_are_as_loud_as_they_are_wide(board: Any, ear: Ear, width: int) -> None:
    """Mode 0, a count at every sample: OUT is low for so long."""
    board.outb(0x61, 3)
    board.outb(0x43, 0x90)
    step = 75 * SECOND // PIT_HZ + 1
    for _ in range(2000):
        board.outb(0x42, width)
        board.advance(step)
    assert ear.samples()[100:].mean() == pytest.approx(LOUD * (1 - (width + 1) / 75), rel=0.03)


def slow(board: Any, ear: Ear, seconds: float) -> Any:
    """The same by looking at OUT2 at every tick."""
    high = np.zeros(int(seconds * RATE) + 2)
    for tick in range(int(seconds * PIT_HZ)):
        counter = board.pc.pit.counters[2]
        counter.settle(tick)
        high[tick * RATE // PIT_HZ] += counter.out(tick)
    return high * RATE / PIT_HZ * LOUD


@pytest.mark.parametrize("mode", range(6))
@pytest.mark.parametrize("divisor", [2, 3, 77, 1000, 5001])
def test_every_mode_is_what_every_tick_says(
    make_board: Any, mode: int, divisor: int
) -> None:
    board, other = make_board(), make_board()
    ear = Ear(board)
    for each in (board, other):
        each.outb(0x61, 3)
        tone(each, divisor, mode)
        if mode in (1, 5):
            each.outb(0x61, 2)
            each.outb(0x61, 3)
    seconds = 0.02
    board.advance(int(seconds * SECOND))
    samples = ear.samples()
    wanted = slow(other, ear, seconds)[: len(samples)]
    assert np.abs(samples[:-1] - wanted[:-1]).max() < LOUD * 0.06


def test_a_new_pitch_begins_where_the_old_cycle_ends(make_board: Any) -> None:
    """Whoever reads the timer meanwhile changes nothing of what is heard."""
    heard = []
    for reads in (False, True):
        board = make_board()
        ear = Ear(board)
        tone(board, 50_000)
        board.outb(0x61, 3)
        board.advance(SECOND // 50)
        board.outb(0x42, 0x10, 0x27)
        for _ in range(100):
            board.advance(SECOND // 1000)
            if reads:
                board.inb(0x61)
                board.inb(0x42)
        heard.append(ear.samples())
    assert (heard[0] == heard[1]).all() and heard[0].max() == LOUD


def test_nobody_hears_a_tone_for_ever(board: Any, ear: Ear) -> None:
    tone(board, 1000)
    board.outb(0x61, 3)
    board.clock.time += 400 * 86_400 * SECOND
    samples = ear.heard
    ear.speaker.render()
    assert LONGEST * RATE * 0.99 < len(samples) < LONGEST * RATE * 1.01
    board.clock.time += 140 * 365 * 86_400 * SECOND  # numbers stay small
    board.outb(0x61, 2)
    board.outb(0x61, 3)
    board.advance(SECOND // 10)
    ear.speaker.render()


@pytest.mark.parametrize("seed", range(4))
def test_a_copy_amid_any_of_it_sounds_the_same(make_board: Any, seed: int) -> None:
    dice = random.Random(seed)
    boards = [make_board(), make_board()]
    ears = [Ear(each) for each in boards]
    for step in range(400):
        if step == 200:
            ears[0].speaker.render()
            boards[1].clock.time = boards[0].clock.time
            boards[1].restore(json.loads(json.dumps(boards[0].snapshot())))
            ears[0].heard.clear()
        port = dice.choice((0x42, 0x42, 0x43, 0x61, 0x61))
        value = dice.choice((3, 2, 0xB6, 0xB0, 0xB4, dice.getrandbits(8)))
        passing = dice.choice((0, 1000, 100_000, 10_000_000))
        for each in boards if step >= 200 else boards[:1]:
            each.outb(port, value)
            each.advance(passing)
            each.inb(0x61)
    for each in ears:
        each.speaker.render()
    assert ears[0].heard == ears[1].heard
    assert ears[0].speaker.unsaved() == []

"""The OPL3 against its manual: pitch, envelopes, waves, feedback, four operators, drums, timers."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from sound_lab import SECOND, Lab, pitch

from devices.bus import Bus
from devices.clock import ManualClock
from devices.sound import ymf262 as opl3
from devices.sound.opl3_envelope import Envelope, Shape
from devices.sound.ymf262 import CRYSTAL, GRID, Ymf262

RATE = CRYSTAL[0] / CRYSTAL[1]
NEW, FOUR_OP, DEPTHS = 0x105, 0x104, 0xBD
LOUDEST = 4084 * 2


class Chip:
    """One by itself, and its frames, at its own rate."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.chip = Ymf262(Bus(self.clock))
        self.frames: list[tuple[int, Any]] = []
        self.chip.track.on_samples = lambda first, samples: None
        play = self.chip.track.play

        def hear(frames: Any, first: int, origin: int, rate: Any) -> None:
            self.frames.append((first, frames))
            play(frames, first, origin, rate)

        self.chip.track.play = hear  # type: ignore[method-assign]

    def write(self, register: int, value: int) -> None:
        self.chip.select(register >> 8, register & 0xFF)
        self.chip.write(value)

    def registers(self, *pairs: tuple[int, int]) -> None:
        for pair in pairs:
            self.write(*pair)

    def go(self, samples: int) -> None:
        self.clock.time += samples * CRYSTAL[1] * SECOND // CRYSTAL[0] + 1

    def sound(self, samples: int, side: int = 0) -> Any:
        """What comes now."""
        self.chip.render()
        first = self.chip.done
        self.go(samples + 2 * GRID)
        self.chip.render()
        found = np.zeros(samples + 4 * GRID, np.int64)
        for begin, frames in self.frames:
            if begin >= first:
                found[begin - first : begin - first + len(frames)] = frames[:, side]
        return found[:samples]


@pytest.fixture
def chip() -> Chip:
    found = Chip()
    found.write(NEW, 1)
    return found


def operator(number: int) -> int:
    """Of a channel's first operator: its place in a group."""
    return number // 3 * 8 + number % 3


def note(
    chip: Chip, channel: int = 0, number: int = 0x244, block: int = 4, *, key: bool = True,
    first: tuple[int, int, int, int, int] = (0x21, 0x3F, 0x00, 0x0F, 0),
    second: tuple[int, int, int, int, int] = (0x21, 0x00, 0xF0, 0x0F, 0), way: int = 0x30,
) -> None:  # fmt: skip
    bank, channel = divmod(channel, 9)
    base = bank << 8
    for place, values in ((operator(channel), first), (operator(channel) + 3, second)):
        for group, value in zip((0x20, 0x40, 0x60, 0x80, 0xE0), values, strict=True):
            chip.write(base + group + place, value)
    chip.write(base + 0xC0 + channel, way)
    chip.write(base + 0xA0 + channel, number & 0xFF)
    chip.write(base + 0xB0 + channel, key << 5 | block << 2 | number >> 8)


def frequency(number: int, block: int) -> float:
    """The manual's formula."""
    return number * 2**block * RATE / 2**20


@pytest.mark.parametrize(("number", "block"), [(0x244, 4), (0x157, 2), (0x3FF, 5), (0x2AE, 6)])
@pytest.mark.parametrize("channel", [0, 4, 8, 9, 17])
def test_a_note_has_its_pitch(chip: Chip, number: int, block: int, channel: int) -> None:
    note(chip, channel, number, block)
    sound = chip.sound(16384)
    assert pitch(sound, RATE) == pytest.approx(frequency(number, block), abs=0.04, rel=2e-4)
    assert np.abs(sound).max() == LOUDEST


@pytest.mark.parametrize(
    ("mult", "factor"), [(0, 0.5), (1, 1), (7, 7), (11, 10), (13, 12), (15, 15)]
)
def test_multiples(chip: Chip, mult: int, factor: float) -> None:
    note(chip, number=0x120, second=(0x20 | mult, 0, 0xF0, 0x0F, 0))
    assert pitch(chip.sound(16384), RATE) == pytest.approx(frequency(0x120, 4) * factor, rel=3e-4)


WAVES: dict[int, Any] = {
    0: lambda t: np.sin(t),
    1: lambda t: np.maximum(np.sin(t), 0),
    2: lambda t: np.abs(np.sin(t)),
    3: lambda t: np.where(t % np.pi < np.pi / 2, np.abs(np.sin(t)), 0),
    4: lambda t: np.where(t < np.pi, np.sin(2 * t), 0),
    5: lambda t: np.where(t < np.pi, np.abs(np.sin(2 * t)), 0),
    6: lambda t: np.where(t < np.pi, 1, -1),
    7: lambda t: np.where(t < np.pi, 2 ** (-t / np.pi * 16), -(2 ** ((t / np.pi - 2) * 16))),
}


@pytest.mark.parametrize("wave", WAVES)
def test_waves(chip: Chip, wave: int) -> None:
    note(chip, number=0x200, block=3, second=(0x21, 0, 0xF0, 0x0F, wave))
    sound = chip.sound(1024)
    phase = np.arange(1024) * (0x200 << 3 >> 1) * 2 // 2 / 2**19 % 1
    wanted = WAVES[wave]((np.floor(phase * 1024) + 0.5) / 1024 * 2 * np.pi) * LOUDEST
    assert np.abs(sound - wanted).max() < LOUDEST * 0.012


def test_an_opl2_has_four_waves_and_one_bank(chip: Chip) -> None:
    chip.write(NEW, 0)
    note(chip, way=0, second=(0x21, 0, 0xF0, 0x0F, 6))  # 6 is 2 there, and both sides are heard
    sound = chip.sound(4096)
    assert sound.min() >= 0 and len(set(sound.tolist())) > 50
    chip.write(0x1A0, 0x99)
    assert chip.chip.channels[0].low == 0x99


@pytest.mark.parametrize(("tl", "ksl", "block", "db"), [
    (0, 0, 4, 0), (1, 0, 4, 0.75), (8, 0, 4, 6), (32, 0, 4, 24),
    (0, 2, 7, 10.5), (0, 1, 7, 21), (0, 3, 7, 42), (0, 3, 6, 36), (0, 1, 2, 6),
])  # fmt: skip
def test_levels(chip: Chip, tl: int, ksl: int, block: int, db: float) -> None:
    """Key scale of the highest F-NUMBER, by the manual's table."""
    note(chip, number=0x3C0, block=block, second=(0x20, ksl << 6 | tl, 0xF0, 0x0F, 0))
    loudest = np.abs(chip.sound(8192)).max()
    assert 20 * np.log10(LOUDEST / loudest) == pytest.approx(db, abs=0.3 if db < 40 else 0.8)


def level_times(shape: Shape, key_on: bool, level: int, wanted: tuple[int, ...]) -> list[float]:
    """Milliseconds until an envelope has come so far."""
    envelope = Envelope()
    envelope.level, envelope.stage = level, "release"
    if key_on:
        envelope.key_on(shape)
    run = envelope.run(shape, 0, 1 << 21)
    assert not isinstance(run, int)
    falling = -run if key_on else run
    return [
        float(np.argmax(falling >= (-each if key_on else each))) / RATE * 1000 for each in wanted
    ]


@pytest.mark.parametrize(
    ("rate", "ms"), [(4, 39280), (8, 19640), (16, 4910), (32, 306.9), (44, 38.4), (56, 4.8)]
)
def test_decay_times_of_the_manual(rate: int, ms: float) -> None:
    """From 0 to 96 dB, which the manual counts as 93 or so."""
    shape = Shape(0, 0, 0, rate, False)
    assert level_times(shape, False, 0, (477,))[0] == pytest.approx(ms, rel=0.03)


@pytest.mark.parametrize(
    ("rate", "ms"), [(4, 2826), (8, 1413), (16, 353.2), (32, 22.08), (48, 1.38)]
)
def test_attack_times_of_the_manual(rate: int, ms: float) -> None:
    shape = Shape(rate, 0, 0, 0, True)
    assert level_times(shape, True, 511, (0,))[0] == pytest.approx(ms, rel=0.12)


def test_a_rate_of_0_is_for_ever_and_15_is_at_once() -> None:
    envelope = Envelope()
    envelope.key_on(Shape(0, 0, 0, 0, True))
    assert envelope.run(Shape(0, 0, 0, 0, True), 0, 1 << 16) == 511
    envelope.key_on(Shape(60, 0, 0, 0, True))
    assert envelope.run(Shape(60, 0, 0, 0, True), 0, 1 << 16) == 0


def test_a_note_is_attacked_falls_stays_and_dies(chip: Chip) -> None:
    note(chip, second=(0x21, 0, 0x66, 0x48, 0))
    sound = np.abs(chip.sound(40_000))
    tops = sound[: 40_000 // 500 * 500].reshape(-1, 500).max(axis=1)
    assert tops[0] < LOUDEST / 4 and tops.max() > LOUDEST * 0.97
    assert tops[-1] == pytest.approx(LOUDEST * 10 ** (-12 / 20), rel=0.02), "4 x 3 dB"
    chip.write(0xB0, 0x12)
    dying = np.abs(chip.sound(80_000))
    assert dying[:300].max() > LOUDEST * 0.2 and dying[60_000:].max() == 0
    assert chip.chip.silent


def test_one_that_does_not_hold_goes_on_falling(chip: Chip) -> None:
    note(chip, second=(0x01, 0, 0xF8, 0x28, 0))
    assert np.abs(chip.sound(60_000)[50_000:]).max() == 0


def test_high_notes_are_shorter(chip: Chip) -> None:
    def length(block: int) -> int:
        note(chip, block=block, second=(0x11, 0, 0xF5, 0xF5, 0), key=False)
        note(chip, block=block, second=(0x11, 0, 0xF5, 0xF5, 0))
        found = np.flatnonzero(chip.sound(200_000))
        return int(found[-1])

    low, high = length(1), length(6)
    assert 5 < low / high < 14


def bessel(order: int, x: float) -> float:
    at = (np.arange(1000) + 0.5) * np.pi / 1000
    return float(np.cos(order * at - x * np.sin(at)).mean())


@pytest.mark.parametrize("feedback", range(8))
def test_feedback_makes_a_sine_a_saw(chip: Chip, feedback: int) -> None:
    """What is heard is a single operator that moves its own phase."""
    note(chip, first=(0x21, 0, 0xF0, 0x0F, 0), second=(0x21, 0x3F, 0xF0, 0x0F, 0),
         way=0x31 | feedback << 1)  # fmt: skip
    sound = chip.sound(16384)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(16384)))
    f = frequency(0x244, 4) * 16384 / RATE
    base, second = (spectrum[round(f * k) - 2 : round(f * k) + 3].max() for k in (1, 2))
    beta = [0, *(np.pi / 16 * 2**k for k in range(7))][feedback]
    if feedback <= 4:  # y = sin(t + beta y), whose series Kepler's equation has
        wanted = bessel(2, 2 * beta) / bessel(1, beta) / 2 if beta else 0
        assert second / base == pytest.approx(wanted, rel=0.05, abs=0.004)
    elif feedback == 7:
        flat = np.exp(np.log(spectrum[1:] + 1).mean()) / spectrum.mean()
        assert flat > 0.25, "noise"


def test_modulation_is_that_of_the_formula(chip: Chip) -> None:
    """Sidebands as Bessel functions have them: an index of 8 pi at full level, here 24 dB less."""
    note(chip, number=0x244, block=5, first=(0x20, 32, 0xF0, 0x0F, 0))
    sound = chip.sound(1 << 15)
    number = np.arange(1 << 15)
    carrier, modulator = (number * (0x244 << 5 >> 1) * m / 2 / 2**18 * np.pi for m in (2, 1))
    index = 8 * np.pi * 10 ** (-24 / 20)
    wanted = np.sin(carrier + index * np.sin(modulator)) * LOUDEST
    assert np.sqrt(((sound - wanted) ** 2).mean()) < LOUDEST * 0.03


@pytest.mark.parametrize(("ways", "partials"), [
    ((0, 0), {1}), ((0, 1), {2, 1}), ((1, 0), {4, 1}), ((1, 1), {4, 3, 1})
])  # fmt: skip
def test_four_operators(chip: Chip, ways: tuple[int, int], partials: set[int]) -> None:
    """Who is heard by itself: their multiples are 4, 2, 3 and 1; modulators are quiet."""
    chip.write(FOUR_OP, 1)
    quiet = 0x10
    heard = {(0, 0): (63, 63, 63, 0), (0, 1): (63, 0, 63, 0), (1, 0): (0, 63, 63, 0),
             (1, 1): (0, 63, 0, 0)}[ways]  # fmt: skip
    if ways == (1, 1):
        partials = {4, 3, 1}
    levels = [quiet if level == 0 else level for level in heard]
    note(chip, 3, way=0x30 | ways[1], key=False, first=(0x23, levels[2], 0xF0, 0x0F, 0),
         second=(0x21, levels[3], 0xF0, 0x0F, 0))  # fmt: skip
    note(chip, 0, 0x100, way=0x30 | ways[0], first=(0x24, levels[0], 0xF0, 0x0F, 0),
         second=(0x22, levels[1], 0xF0, 0x0F, 0))  # fmt: skip
    sound = chip.sound(1 << 15)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(1 << 15)))
    f = frequency(0x100, 4) * (1 << 15) / RATE
    tops = {k: spectrum[round(f * k) - 3 : round(f * k) + 4].max() for k in (1, 2, 3, 4)}
    loud = {k for k, top in tops.items() if top > spectrum.max() / 4}
    assert loud == partials


def test_sides(chip: Chip) -> None:
    note(chip, way=0x10)
    assert chip.sound(2000, 0).any() and not chip.sound(2000, 1).any()
    chip.write(0xC0, 0x20)
    assert not chip.sound(2000, 0).any() and chip.sound(2000, 1).any()


@pytest.mark.parametrize(("depth", "db"), [(0x80, 4.8), (0, 1.0)])
def test_tremolo(chip: Chip, depth: int, db: float) -> None:
    chip.write(DEPTHS, depth)
    note(chip, number=0x3A0, block=6, second=(0xA1, 0, 0xF0, 0x0F, 0))
    sound = np.abs(chip.sound(60_000))
    tops = sound[: 60_000 // 200 * 200].reshape(-1, 200).max(axis=1).astype(float)
    assert 20 * np.log10(tops.max() / tops.min()) == pytest.approx(db, abs=0.2)
    assert pitch(tops, RATE / 200) == pytest.approx(3.7, abs=0.3)


@pytest.mark.parametrize(("depth", "cents"), [(0x40, 14), (0, 7)])
def test_vibrato(chip: Chip, depth: int, cents: float) -> None:
    chip.write(DEPTHS, depth)
    note(chip, number=0x380, block=6, second=(0x61, 0, 0xF0, 0x0F, 0))
    sound = chip.sound(40_000)
    rises = np.flatnonzero((sound[:-1] < 0) & (sound[1:] >= 0)).astype(float)
    pitches = 30 / (rises[30:] - rises[:-30])
    assert 1200 * np.log2(pitches.max() / pitches.min()) / 2 == pytest.approx(cents, rel=0.25)
    times = rises[30:]
    even = np.interp(np.arange(0, times[-1], 50), times, pitches)
    assert pitch(even, RATE / 50) == pytest.approx(6.07, abs=0.6)


@pytest.mark.parametrize("drum", [1, 2, 4, 8, 16])
def test_drums(chip: Chip, drum: int) -> None:
    """Tom-tom and bass drum have a pitch; the high hat and the snare drum are noise."""
    for channel in (6, 7, 8):
        note(chip, channel, 0x200, 3, key=False, first=(0x21, 0, 0xF0, 0x0F, 0))
    chip.write(0xBD, 0x20)
    assert not chip.sound(2000).any()
    chip.write(0xBD, 0x20 | drum)
    sound = chip.sound(16384)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(16384)))
    flat = np.exp(np.log(spectrum[1:] + 1).mean()) / spectrum.mean()
    assert np.abs(sound).max() > LOUDEST
    if drum in (1, 8):
        assert flat > 0.2
    elif drum == 4:
        assert pitch(sound, RATE) == pytest.approx(frequency(0x200, 3), rel=1e-3)
        assert flat < 0.05
    chip.write(0xBD, 0x20)
    assert np.abs(chip.sound(4096)[-100:]).max() == 0


# --- timers ---------------------------------------------------------------------------------------


def test_how_programs_find_an_adlib(board: Any) -> None:
    """AdLib's programming guide: timer 1 runs for 80 us, and the status says so."""
    Lab(board)
    write = lambda register, value: (board.outb(0x388, register), board.outb(0x389, value))  # noqa: E731
    write(4, 0x60)
    write(4, 0x80)
    assert board.inb(0x388) & 0xE0 == 0
    write(2, 0xFF)
    write(4, 0x21)
    board.advance(100_000)
    assert board.inb(0x388) & 0xE0 == 0xC0
    assert board.inb(0x388) & 0x06 == 0, "an OPL3"
    write(4, 0x60)
    write(4, 0x80)
    assert board.inb(0x388) & 0xE0 == 0
    for port in (0x228, 0x220):
        assert board.inb(port) == board.inb(0x388)


@pytest.mark.parametrize(("number", "count", "us"), [
    (0, 0xFF, 80.4), (0, 0, 20_597), (1, 0xFE, 643.6), (1, 0, 82_388)
])  # fmt: skip
def test_timers(chip: Chip, number: int, count: int, us: float) -> None:
    chip.write(2 + number, count)
    chip.write(4, 1 << number)
    flag = 0x40 >> number
    chip.clock.time += int(us * 980)
    assert chip.chip.status() == 0
    chip.clock.time += int(us * 40)
    assert chip.chip.status() == 0x80 | flag
    chip.write(4, 0x80)
    assert chip.chip.status() == 0, "and it goes on"
    chip.clock.time += int(us * 1000)
    assert chip.chip.status() == 0x80 | flag
    chip.write(4, 0x80)
    chip.write(4, 1 << number | flag)
    chip.clock.time += int(us * 9000)
    assert chip.chip.status() == 0, "masked"


# --- in pieces, and again -------------------------------------------------------------------------


def life(seed: int, pieces: bool) -> Any:
    dice, renders = random.Random(seed), random.Random(seed + 1)
    chip = Chip()
    for place in range(0x16):
        for group, value in ((0x20, 0x21), (0x60, 0xF4), (0x80, 0x24)):
            chip.write(group + place, value)
    for _ in range(300):
        register = dice.choice((dice.getrandbits(9), 0xB0 + dice.randrange(9), 0xBD, NEW, FOUR_OP))
        chip.write(register, dice.getrandbits(8))
        for _ in range(4):
            chip.go(dice.choice((0, 3, 100, 1000)))
            if pieces and renders.random() < 0.6:
                chip.chip.render()
    chip.chip.render()
    found = np.zeros((chip.chip.done, 2), np.int64)
    for begin, frames in chip.frames:
        found[begin : begin + len(frames)] = frames
    return found, chip.chip.snapshot()


@pytest.mark.parametrize("seed", range(4))
def test_in_whatever_pieces_it_is_heard(seed: int) -> None:
    whole, state = life(seed, False)
    parts, state_2 = life(seed, True)
    assert whole.any() and np.array_equal(whole, parts)
    assert state == state_2


@pytest.mark.parametrize("seed", range(3))
def test_a_copy_in_the_middle_of_a_note(seed: int) -> None:
    dice = random.Random(seed)
    one, two = Chip(), Chip()
    for step in range(200):
        if step == 100:
            one.chip.render()
            two.clock.time = one.clock.time
            two.chip.restore(json.loads(json.dumps(one.chip.snapshot())))
            one.frames.clear()
        register, value = dice.getrandbits(9), dice.getrandbits(8)
        passing = dice.choice((0, 50, 3000))
        for each in (one, two) if step >= 100 else (one,):
            each.write(register, value)
            each.go(passing)
    for each in (one, two):
        each.chip.render()
    assert one.frames and len(one.frames) == len(two.frames)
    assert all(a == b and np.array_equal(c, d)
               for (a, c), (b, d) in zip(one.frames, two.frames, strict=True))  # fmt: skip
    assert one.chip.snapshot() == two.chip.snapshot()


def test_nobody_hears_a_note_for_ever(chip: Chip) -> None:
    note(chip)
    chip.clock.time += 10_000 * SECOND
    chip.chip.render()
    length = sum(len(frames) for _, frames in chip.frames)
    assert length / RATE == pytest.approx(opl3.LONGEST, rel=0.01)
    assert chip.chip.silent

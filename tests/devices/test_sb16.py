"""The Sound Blaster 16 against Creative's programming guide: commands, DMA, mixer, interrupts."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from sound_lab import (
    ACK16,
    AUTO,
    COMMAND,
    DATA,
    READ,
    RESET,
    SECOND,
    SINGLE,
    STATUS,
    WRITE,
    Lab,
    pitch,
)
from test_snapshots import chips

from devices.sound.samples import RATE
from devices.sound.sb_formats import Adpcm

BUFFER = 0x20000


@pytest.fixture
def lab(board: Any) -> Lab:
    found = Lab(board)
    found.wake()
    found.loud()
    return found


def sine(count: int, rate: float, hertz: float, level: int = 20_000) -> Any:
    return np.round(np.sin(np.arange(count) * 2 * np.pi * hertz / rate) * level)


# --- the DSP --------------------------------------------------------------------------------------


def test_a_reset_is_answered_after_a_while(board: Any) -> None:
    lab = Lab(board)
    assert board.inb(STATUS) & 0x80 == 0 and board.inb(COMMAND) & 0x80 == 0
    board.outb(RESET, 1)
    assert board.inb(COMMAND) & 0x80
    board.outb(RESET, 0)
    assert not board.inb(STATUS) & 0x80 and board.inb(COMMAND) & 0x80
    board.advance(100_000)
    assert board.inb(STATUS) & 0x80 and board.inb(DATA) == 0xAA
    assert not board.inb(STATUS) & 0x80
    assert lab.card.unsaved() == []


def test_what_it_says_of_itself(lab: Lab) -> None:
    assert (lab.ask(0xE1), lab.answer()) == (4, 5)
    assert lab.ask(0xE0, 0x5A) == 0xA5
    lab.command(0xE4, 0x77)
    assert lab.ask(0xE8) == 0x77
    assert (lab.ask(0xD8), lab.command(0xD1), lab.ask(0xD8), lab.command(0xD3), lab.ask(0xD8)) == (
        0, None, 0xFF, None, 0)  # fmt: skip
    lab.command(0xE3)
    assert (
        bytes(lab.answer() for _ in range(45)) == b"COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992.\0"
    )
    assert lab.ask(0x20) == 0x80
    assert not lab.board.inb(STATUS) & 0x80
    lab.command(0x03, 0xFA)  # none of its commands


def test_identification_by_dma(lab: Lab) -> None:
    """Each bit adds or subtracts its weight by a pattern that turns."""
    lab.dma(1, SINGLE | WRITE, BUFFER, 4)
    for value in (0x00, 0x01, 0xFF, 0x3C):
        lab.command(0xE2, value)
    total, pattern, wanted = 0xAA, 0x96, []
    for value in (0x00, 0x01, 0xFF, 0x3C):
        total += sum((1 << i) * ((value >> i & 1) ^ (pattern >> i & 1)) for i in range(8))
        pattern = pattern >> 2 | (pattern & 3) << 6
        wanted.append(total & 0xFF)
    assert lab.memory[BUFFER : BUFFER + 4].tolist() == wanted


def test_interrupts_on_request(lab: Lab) -> None:
    lab.command(0xF2)
    assert lab.pending() == 1 and lab.board.bus.intr and lab.board.take() == 0x35
    lab.command(0xF3)
    assert lab.pending() == 3
    lab.board.inb(STATUS)
    assert lab.pending() == 2
    lab.board.inb(ACK16)
    assert lab.pending() == 0
    lab.command(0xF2)
    assert lab.board.take() == 0x35, "another edge"


def test_another_line(lab: Lab) -> None:
    assert (lab.mix(0x80), lab.mix(0x81)) == (0x02, 0x22)
    lab.command(0xF2)
    assert lab.mix(0x80, 0x08) == 0x08
    lab.board.inb(STATUS)
    lab.command(0xF2)
    assert lab.board.take() == 0x38 + 2
    lab.mix(0x80, 0)
    lab.board.inb(STATUS)
    lab.command(0xF2)
    assert not lab.board.bus.intr and lab.pending() == 1


# --- playing --------------------------------------------------------------------------------------


def play_16(
    lab: Lab, frames: int, rate: int = 44100, mode: int = 0x30, command: int = 0xB6
) -> None:
    """16 bits, signed, stereo, auto-init; the block is half the buffer."""
    lab.dma(5, SINGLE | READ | AUTO, BUFFER, frames * 2)
    lab.command(0x41, rate >> 8, rate & 0xFF)
    lab.command(command, mode, frames - 1 & 0xFF, frames - 1 >> 8)


def test_a_sine_of_16_bits_in_stereo(lab: Lab) -> None:
    left, right = sine(4410, 44100, 500), sine(4410, 44100, 800, 8000)
    lab.put(BUFFER, np.stack((left, right), 1), "<i2")
    play_16(lab, 4410)
    for block in range(20):
        lab.board.advance(SECOND // 20)
        assert lab.pending() == 2, block
        assert lab.board.take() == 0x35
        lab.board.inb(ACK16)
    lab.command(0xD9)
    lab.board.advance(SECOND)
    assert lab.pending() == 2
    sound = lab.listen("voice")
    begin = int(np.flatnonzero(sound[:, 0])[0])
    heard = sound[begin : begin + 44100]
    assert pitch(heard[:, 0]) == pytest.approx(500, abs=0.05)
    assert pitch(heard[:, 1]) == pytest.approx(800, abs=0.05)
    assert np.abs(heard[:, 0]).max() == pytest.approx(20_000, rel=0.01)
    assert np.abs(heard[:, 1]).max() == pytest.approx(8_000, rel=0.01)
    assert not sound[begin + 44100 + 2206 :].any(), "until the block's end, and no longer"


@pytest.mark.parametrize(("command", "mode", "kind", "middle"), [
    (0xC6, 0x00, "u1", 128), (0xC6, 0x10, "i1", 0), (0xC6, 0x20, "u1", 128), (0xC6, 0x30, "i1", 0),
    (0xB6, 0x00, "<u2", 32768), (0xB6, 0x10, "<i2", 0), (0xB6, 0x20, "<u2", 32768),
])  # fmt: skip
def test_forms(lab: Lab, command: int, mode: int, kind: str, middle: int) -> None:
    wide, stereo = command == 0xB6, bool(mode & 0x20)
    wave = sine(2205, 22050, 440, 20_000 if wide else 100)
    wave = np.repeat(wave, 2) if stereo else wave
    lab.put(BUFFER, wave + middle, kind)
    lab.dma(5 if wide else 1, SINGLE | READ | AUTO, BUFFER, len(wave))
    lab.command(0x41, 22050 >> 8, 22050 & 0xFF)
    lab.command(command, mode, len(wave) - 1 & 0xFF, len(wave) - 1 >> 8)
    lab.board.advance(SECOND // 2)
    sound = lab.listen("voice")[10_000:]
    assert np.array_equal(sound[:, 0], sound[:, 1])
    assert pitch(sound[:, 0]) == pytest.approx(440, abs=0.2)
    assert np.abs(sound).max() == pytest.approx(20_000 if wide else 25_600, rel=0.01)
    assert abs(sound.mean()) < 300


@pytest.mark.parametrize("command", [0x1C, 0x90])
def test_the_old_way_with_a_time_constant(lab: Lab, command: int) -> None:
    """8 bits, 11,111 Hz by time constant 166, a block of 1000 bytes."""
    lab.put(BUFFER, sine(2000, 1e6 / 90, 500, 100) + 128, "u1")
    lab.dma(1, SINGLE | READ | AUTO, BUFFER, 2000)
    lab.command(0x40, 166)
    lab.command(0x48, 999 & 0xFF, 999 >> 8)
    lab.command(command)
    lab.board.advance(89_999_999)
    assert lab.pending() == 0
    lab.board.advance(1)
    assert lab.pending() == 1
    lab.board.inb(STATUS)
    lab.board.advance(SECOND)
    assert pitch(lab.listen("voice")[10_000:, 0]) == pytest.approx(500, abs=0.1)


def test_stereo_by_the_old_mixers_switch(lab: Lab) -> None:
    both = np.stack((sine(2000, 11111, 500, 100), sine(2000, 11111, 700, 50)), 1) + 128
    lab.put(BUFFER, both, "u1")
    lab.dma(1, SINGLE | READ | AUTO, BUFFER, 4000)
    lab.mix(0x0E, 0x02)
    lab.command(0x40, 256 - 45)
    lab.command(0x48, 0x9F, 0x0F)
    lab.command(0x90)
    lab.board.advance(SECOND)
    sound = lab.listen("voice")[10_000:]
    assert pitch(sound[:, 0]) == pytest.approx(500, abs=0.1)
    assert pitch(sound[:, 1]) == pytest.approx(700, abs=0.1)


def test_a_single_block_ends(lab: Lab) -> None:
    lab.put(BUFFER, sine(1000, 8000, 300, 100) + 128, "u1")
    lab.dma(1, SINGLE | READ, BUFFER, 1000)
    lab.command(0x41, 8000 >> 8, 8000 & 0xFF, 0x14, 999 & 0xFF, 999 >> 8)
    lab.board.advance(124_999_999)
    assert lab.pending() == 0 and lab.board.can_interrupt(False)
    lab.board.advance(1)
    assert lab.pending() == 1 and lab.count(1) == 0xFFFF
    lab.board.inb(STATUS)
    lab.board.advance(SECOND)
    assert lab.pending() == 0 and lab.board.bus.next_deadline() is None
    sound = lab.listen("voice")
    assert np.count_nonzero(sound[:, 0]) == pytest.approx(0.125 * RATE, rel=0.03)


def test_the_count_moves_as_it_plays(lab: Lab) -> None:
    lab.dma(1, SINGLE | READ | AUTO, BUFFER, 8000)
    lab.command(0x41, 8000 >> 8, 8000 & 0xFF, 0xC6, 0x00, 7999 & 0xFF, 7999 >> 8)
    for ms in range(1, 900, 7):
        lab.board.advance(7_000_000)
        assert abs(7999 - lab.count(1) - ms // 7 * 56 - 56) <= 1
    lab.board.advance(2 * SECOND)
    assert 0 <= lab.count(1) < 8000


def test_what_is_written_behind_it_is_heard_next_time(lab: Lab) -> None:
    """A ring buffer: the half that has been played is filled anew."""
    lab.put(BUFFER, np.full(2000, 228), "u1")
    lab.dma(1, SINGLE | READ | AUTO, BUFFER, 2000)
    lab.command(0x41, 10_000 >> 8, 10_000 & 0xFF, 0xC6, 0x00, 999 & 0xFF, 999 >> 8)
    lab.board.advance(SECOND // 10)
    assert lab.pending() == 1
    lab.put(BUFFER, np.full(1000, 28), "u1")
    lab.board.advance(SECOND // 5)
    sound = lab.listen("voice")[:, 0]
    loud = sound[np.abs(sound) > 20_000] > 0
    assert np.flatnonzero(np.diff(loud.astype(int))).size == 1
    assert loud.sum() == pytest.approx(0.2 * RATE, rel=0.02)


def test_pause_and_go_on(lab: Lab) -> None:
    lab.put(BUFFER, np.full(4000, 228), "u1")
    lab.dma(1, SINGLE | READ | AUTO, BUFFER, 4000)
    lab.command(0x41, 8000 >> 8, 8000 & 0xFF, 0xC6, 0x00, 3999 & 0xFF, 3999 >> 8)
    lab.board.advance(SECOND // 4)
    lab.command(0xD5)
    before = lab.count(1)
    assert before == pytest.approx(2000, abs=2)
    lab.command(0xD0)
    lab.board.advance(SECOND // 4 * 3 // 100 * 100)
    stopped = lab.count(1)
    lab.board.advance(SECOND)
    assert lab.count(1) == stopped == before and lab.pending() == 0
    lab.command(0xD4)
    lab.board.advance(SECOND // 4 - 1_000_000)
    assert lab.pending() == 0
    lab.board.advance(2_000_000)
    assert lab.pending() == 1
    sound = lab.listen("voice")[:, 0]
    assert np.count_nonzero(sound) == pytest.approx(RATE / 2, rel=0.01)


def test_leaving_auto_init_and_staying_after_all(lab: Lab) -> None:
    lab.dma(1, SINGLE | READ | AUTO, BUFFER, 800)
    lab.command(0x41, 8000 >> 8, 8000 & 0xFF, 0xC6, 0x00, 799 & 0xFF, 799 >> 8)
    lab.command(0xDA)
    lab.command(0x45)
    lab.board.advance(150_000_000)
    assert lab.pending() == 1 and lab.card.player.runs
    lab.board.inb(STATUS)
    lab.command(0xDA)
    lab.board.advance(SECOND)
    assert lab.pending() == 1 and not lab.card.player.runs


def test_a_masked_channel_starves_it(lab: Lab) -> None:
    lab.dma(1, SINGLE | READ | AUTO, BUFFER, 800)
    lab.board.outb(0x0A, 5)
    lab.command(0x41, 8000 >> 8, 8000 & 0xFF, 0xC6, 0x00, 799 & 0xFF, 799 >> 8)
    lab.board.advance(SECOND)
    assert lab.pending() == 0
    lab.board.outb(0x0A, 1)
    lab.board.advance(SECOND // 20)
    lab.board.outb(0x0A, 5)
    lab.board.advance(SECOND)
    assert lab.pending() == 0 and lab.count(1) == pytest.approx(400, abs=2)
    lab.board.outb(0x0A, 1)
    lab.board.advance(SECOND // 20 - 1_000_000)
    assert lab.pending() == 0
    lab.board.advance(2_000_000)
    assert lab.pending() == 1


def test_sixteen_bits_by_a_narrow_channel(lab: Lab) -> None:
    lab.mix(0x81, 0x02)
    lab.put(BUFFER, sine(4410, 44100, 500), "<i2")
    lab.dma(1, SINGLE | READ | AUTO, BUFFER, 8820)
    lab.command(0x41, 44100 >> 8, 44100 & 0xFF, 0xB6, 0x10, 4409 & 0xFF, 4409 >> 8)
    lab.board.advance(SECOND // 2)
    assert lab.pending() == 2
    assert pitch(lab.listen("voice")[10_000:, 0]) == pytest.approx(500, abs=0.1)


def test_silence_takes_its_time(lab: Lab) -> None:
    lab.command(0x41, 8000 >> 8, 8000 & 0xFF, 0x80, 799 & 0xFF, 799 >> 8)
    lab.board.advance(99_999_000)
    assert lab.pending() == 0
    lab.board.advance(1_000)
    assert lab.pending() == 1 and not lab.listen("voice").any()


def test_recording_hears_silence(lab: Lab) -> None:
    lab.dma(1, SINGLE | WRITE, BUFFER, 800)
    lab.command(0x42, 8000 >> 8, 8000 & 0xFF, 0xC8, 0x00, 799 & 0xFF, 799 >> 8)
    lab.board.advance(SECOND)
    assert lab.pending() == 1
    assert set(lab.memory[BUFFER : BUFFER + 800].tolist()) == {0x80}
    assert not lab.memory[BUFFER + 800]


def test_levels_written_by_hand(lab: Lab) -> None:
    for i in range(2000):
        lab.command(0x10, 228 if i & 8 else 28)
        lab.board.advance(125_000)
    lab.board.advance(SECOND)
    sound = lab.listen("voice")
    assert pitch(sound[2000:10_000, 0]) == pytest.approx(500, abs=1)
    assert np.abs(sound[-RATE // 2 :]).max() == 0


# --- ADPCM ----------------------------------------------------------------------------------------


def encode(form: str, bits: int, samples: Any) -> bytes:
    """What comes nearest, sample by sample: the decoder is asked about every value."""
    decoder, found = Adpcm(), []
    for wanted in samples:

        def error(value: int) -> int:
            trial = Adpcm()
            trial.level, trial.step = decoder.level, decoder.step
            return abs(trial._next(value, bits, *LIMITS[form]) - wanted)  # noqa: B023

        value = min(range(1 << bits), key=error)
        decoder._next(value, bits, *LIMITS[form])
        found.append(value)
    if form == "adpcm4":
        return bytes(a << 4 | b for a, b in zip(found[::2], found[1::2], strict=True))
    return bytes(a << 6 | b << 4 | c << 2 | d for a, b, c, d in
                 zip(*(found[i::4] for i in range(4)), strict=True))  # fmt: skip


LIMITS = {"adpcm4": (5, 3), "adpcm2": (1, 5)}


@pytest.mark.parametrize(("form", "bits", "command"), [("adpcm4", 4, 0x74), ("adpcm2", 2, 0x16)])
def test_packed_samples(lab: Lab, form: str, bits: int, command: int) -> None:
    data = encode(form, bits, sine(4000, 8000, 200, 60) + 128)
    lab.put(BUFFER, np.frombuffer(data, np.uint8), "u1")
    lab.dma(1, SINGLE | READ, BUFFER, len(data))
    lab.command(0x41, 8000 >> 8, 8000 & 0xFF, command, len(data) - 1 & 0xFF, len(data) - 1 >> 8)
    lab.board.advance(SECOND // 2 + 1000)
    assert lab.pending() == 1
    sound = lab.listen("voice")[2000:20_000, 0]
    assert pitch(sound) == pytest.approx(200, abs=0.5)
    assert np.abs(sound).max() == pytest.approx(60 * 256, rel=0.25)


def test_a_reference_byte_is_where_packed_samples_begin(lab: Lab) -> None:
    lab.put(BUFFER, [0xC0, *[0] * 999], "u1")
    lab.dma(1, SINGLE | READ, BUFFER, 1000)
    lab.command(0x41, 8000 >> 8, 8000 & 0xFF, 0x77, 999 & 0xFF, 999 >> 8)
    lab.board.advance(SECOND // 4)
    assert np.median(lab.listen("voice")[2000:, 0]) == 0x40 << 8


# --- the mixer ------------------------------------------------------------------------------------


def test_volumes_after_a_reset(board: Any) -> None:
    lab = Lab(board)
    assert [lab.mix(register) for register in (0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x3A)] == [
        0xC0, 0xC0, 0xC0, 0xC0, 0xC0, 0xC0, 0, 0]  # fmt: skip
    assert lab.mix(0x22) == 0xCC and lab.mix(0x22, 0x1F) == 0x1F
    assert (lab.mix(0x30), lab.mix(0x31)) == (0x18, 0xF8)
    assert (lab.mix(0x04, 0xA5), lab.mix(0x32), lab.mix(0x33)) == (0xA5, 0xA8, 0x58)
    assert (lab.mix(0x26, 0x33), lab.mix(0x34)) == (0x33, 0x38)
    assert (lab.mix(0x0A, 5), lab.mix(0x3A)) == (5, 0xB8)
    assert lab.mix(0x32, 0xFF) == 0xF8
    lab.mix(0x80, 0x04)
    lab.mix(0x00, 0)
    assert lab.mix(0x30) == 0xC0 and lab.mix(0x80) == 0x04, "the setup stays"


@pytest.mark.parametrize(("master", "voice", "gain", "db"), [
    (31, 31, 0, 0), (24, 24, 0, -28), (31, 21, 0, -20), (11, 31, 0, -40), (21, 31, 1, -14)
])  # fmt: skip
def test_how_loud(lab: Lab, master: int, voice: int, gain: int, db: float) -> None:
    lab.mix(0x30, master << 3)
    lab.mix(0x32, voice << 3)
    lab.mix(0x41, gain << 6)
    lab.put(BUFFER, sine(2000, 8000, 400), "<i2")
    lab.dma(5, SINGLE | READ | AUTO, BUFFER, 2000)
    lab.command(0x41, 8000 >> 8, 8000 & 0xFF, 0xB6, 0x10, 1999 & 0xFF, 1999 >> 8)
    lab.board.advance(SECOND // 4)
    sound = lab.listen("voice")[2000:]
    assert 20 * np.log10(np.abs(sound[:, 0]).max() / 20_000) == pytest.approx(db, abs=0.15)
    assert np.abs(sound[:, 1]).max() == pytest.approx(20_000, rel=0.01)


def test_the_fm_has_its_own(lab: Lab) -> None:
    for register, value in ((0x105, 1), (0x20, 1), (0x23, 0x21), (0x63, 0xF0), (0x83, 0x0F),
                            (0xC0, 0x30), (0xA0, 0x44), (0xB0, 0x32)):  # fmt: skip
        lab.opl(register, value)
    lab.board.advance(SECOND // 2)
    lab.mix(0x34, 21 << 3)
    lab.board.advance(SECOND // 2)
    sound = lab.listen("fm")
    assert pitch(sound[2000:, 1]) == pytest.approx(440, abs=0.2)
    loud, quiet = (np.abs(part[:, 0]).max() for part in (sound[: RATE // 2], sound[-RATE // 3 :]))
    assert 20 * np.log10(loud / quiet) == pytest.approx(20, abs=0.2)


# --- the MPU-401 ----------------------------------------------------------------------------------


def test_midi_goes_nowhere(lab: Lab) -> None:
    board = lab.board
    assert board.inb(0x331) & 0xC0 == 0x80
    board.outb(0x331, 0xFF)
    assert board.inb(0x331) & 0x80 == 0 and lab.pending() == 4
    assert board.inb(0x330) == 0xFE and lab.pending() == 0
    board.outb(0x331, 0x3F)
    assert board.inb(0x330) == 0xFE
    board.outb(0x330, 0x90, 60, 127)
    assert board.inb(0x331) & 0x80
    board.outb(0x331, 0xFF)
    assert board.inb(0x331) & 0x80, "it is left without a word"


# --- snapshots, and guests that mean no good ------------------------------------------------------

MEMORY = 0x100000
PORTS = (*range(0x220, 0x230), *range(0x388, 0x38C), 0x330, 0x331, *range(16),
         *range(0xC0, 0xE0, 2), 0x81, 0x82, 0x83, 0x87, 0x89, 0x8A, 0x8B)  # fmt: skip
WORDS = (0xB6, 0xC6, 0x14, 0x1C, 0x90, 0x41, 0x40, 0x48, 0xD0, 0xD4, 0xDA, 0x75, 0x76, 0x16, 0xE2,
         0x24, 0x2C, 0xB8, 0x80, 0x10, 0xF2)  # fmt: skip


def storm(lab: Lab, dice: random.Random, steps: int) -> None:
    """Anything to any port; commands more often than chance has them."""
    board = lab.board
    for _ in range(steps):
        kind = dice.random()
        if kind < 0.25:
            board.outb(COMMAND, dice.choice((*WORDS, dice.getrandbits(8))))
        elif kind < 0.3:
            number = dice.choice((0, 1, 3, 5, 6, 7))
            lab.dma(number, dice.getrandbits(8) & 0xFC, dice.randrange(0, MEMORY, 2), dice.choice(
                (1, 2, 100, 5000)))  # fmt: skip
        elif kind < 0.75:
            board.outb(dice.choice(PORTS), dice.getrandbits(8))
        else:
            board.inb(dice.choice(PORTS))
        if dice.random() < 0.3:
            board.advance(dice.choice((1_000, 30_000, 700_000)))
        if board.bus.intr and dice.random() < 0.5:
            board.take()


@pytest.mark.parametrize("seed", range(4))
def test_a_copy_goes_on_as_the_card_does(make_board: Any, seed: int) -> None:
    dice = random.Random(seed)
    labs = [Lab(make_board()), Lab(make_board(), listens=seed % 2 == 0)]
    labs[0].wake()
    for lab in labs:
        lab.put(0, np.arange(MEMORY) % 251, "u1")
    for _ in range(30):
        storm(labs[0], dice, 40)
        saved = json.loads(json.dumps(labs[0].board.snapshot()))
        assert len(json.dumps(saved["sb16"])) < 25_000
        labs[1].board.clock.time = labs[0].board.clock.time
        labs[1].board.restore(saved)
        labs[1].memory[:] = labs[0].memory
        assert labs[1].board.snapshot() == saved
        state = dice.getstate()
        for lab in labs:
            dice.setstate(state)
            for each in lab.heard.values():
                each.clear()
            storm(lab, dice, 40)
        assert labs[0].board.snapshot() == labs[1].board.snapshot()
        if seed % 2 == 0:
            for name, pieces in labs[0].heard.items():
                other = labs[1].heard[name]
                assert len(pieces) == len(other)
                for (one, samples), (two, others) in zip(pieces, other, strict=True):
                    assert one == two and np.array_equal(samples, others)


def test_every_attribute_is_saved(lab: Lab) -> None:
    for chip in chips(lab.board):
        assert chip.unsaved() == [], type(chip).__name__


def test_whether_somebody_listens_is_not_seen(make_board: Any) -> None:
    seen = []
    for listens in (False, True):
        lab, dice = Lab(make_board(), listens), random.Random(7)
        lab.wake()
        for _ in range(20):
            storm(lab, dice, 100)
            if listens:
                lab.card.player.render()
        left, due = lab.card.player.left, lab.board.bus.next_deadline()
        seen.append((lab.board.inb(STATUS), lab.count(1), lab.count(5), lab.pending(), left, due))
    assert seen[0] == seen[1]

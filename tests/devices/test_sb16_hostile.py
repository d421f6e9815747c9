"""Anything at any port of the card, with DMA anywhere: no exception, no growth, no call too long.

SB16_ACCESSES says how many; a million take some minutes.
"""

from __future__ import annotations

import json
import os
import random
from typing import Any

import numpy as np
import pytest
import test_bounded
from sound_lab import Lab
from test_bounded import lines
from test_sb16 import MEMORY, storm

from devices.sound.ymf262 import CRYSTAL, LONGEST

ACCESSES = int(os.environ.get("SB16_ACCESSES", "20000"))
MOST = 6000  # lines: 18 channels whose envelopes all turn
MOST_STATE = 25_000


@pytest.mark.parametrize("seed", range(2))
def test_a_storm(make_board: Any, seed: int) -> None:
    dice = random.Random(seed)
    lab = Lab(make_board(), listens=False)
    heard = 0

    def count(first: int, samples: Any) -> None:
        nonlocal heard
        heard += len(samples)

    for source in lab.tracks.values():
        source.track.on_samples = count
    for step in range(ACCESSES // 500):
        storm(lab, dice, 500)
        if step % 10 == 0:
            assert len(json.dumps(lab.card.snapshot())) < MOST_STATE
            lab.wake()
    assert heard > 1000
    assert len(lab.board.bus._timers) < 200


def test_no_call_is_long(make_board: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_bounded, "MOST", MOST)
    dice = random.Random(3)
    lab = Lab(make_board())
    lab.wake()
    bus = lab.board.bus
    worst = 0
    for _ in range(30):
        storm(lab, dice, 30)
        for _ in range(40):
            port = dice.choice((*range(0x220, 0x230), 0x388, 0x389, 0x01, 0x0D, 0xC6))
            worst = max(worst, lines(bus.write_port, port, 1, dice.getrandbits(8)))
            worst = max(worst, lines(bus.read_port, port, 1))
            lab.board.clock.time += dice.choice((0, 10_000, 3_000_000))
            worst = max(worst, lines(bus.run_due))
    assert worst < MOST


def test_days_of_nothing_are_as_short_as_a_moment(make_board: Any) -> None:
    """The clock was held up in the middle of a block, of one byte, and of a note."""
    lab = Lab(make_board())
    lab.wake()
    for register, value in ((0x20, 0x21), (0x60, 0xF0), (0xB0, 0x32)):
        lab.opl(register, value)
    lab.dma(1, 0x58, 0, 1)
    lab.command(0x40, 0xFF, 0x48, 0, 0, 0x90)
    for _ in range(50):
        lab.board.clock.time += 86_400 * 10**9
        lab.board.bus.run_due()
        assert lab.board.bus.next_deadline() > lab.board.clock.time
    lab.card.fm.render()
    played = sum(len(samples) for _, samples in lab.heard["fm"])
    assert played <= LONGEST * CRYSTAL[0] / CRYSTAL[1]


def test_channels_with_buffers_of_a_byte(make_board: Any) -> None:
    lab = Lab(make_board())
    lab.wake()
    lab.memory[:] = dice_bytes(MEMORY)
    lab.dma(1, 0x58, 0x1234, 1)
    lab.command(0x41, 0xAC, 0x44, 0xC6, 0, 0xFF, 0xFF)
    lab.board.advance(2 * 10**9)
    assert lab.card.player.runs and lab.pending() == 1


def dice_bytes(count: int) -> Any:
    return np.random.default_rng(1).integers(0, 256, count, np.uint8)

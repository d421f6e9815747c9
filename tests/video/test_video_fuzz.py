"""A guest that writes anything anywhere: nothing is raised, nothing takes long, nothing grows."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from vga_modes import ALL
from video_lab import FRAME_BUFFER, Adapter

from devices.errors import SnapshotError
from monitor.screen.picture import picture, size
from monitor.screen.reader import text_lines

MOST = 400  # lines of Python for an access
PORTS = (*range(0x3B0, 0x3E0), 0x1CE, 0x1CF, 0x1D0)
NONSENSE = (None, True, -1, 256, 1 << 40, 1.5, "x", [], [0] * 300, {}, {"device": "vga"})


def step(dice: random.Random, adapter: Adapter) -> None:
    """Something that a guest does."""
    what = dice.random()
    value = dice.choice((0, 1, 0xFF, 0x41, dice.getrandbits(8), dice.getrandbits(16)))
    if what < 0.02:
        adapter.set_mode(dice.choice(list(ALL.values())))
    elif what < 0.3:
        port = dice.choice((0x3C4, 0x3CE, 0x3D4, 0x3B4))
        adapter.indexed(port, dice.randrange(32), value & 0xFF)
    elif what < 0.45:
        adapter.vbe(dice.randrange(12), dice.choice((value, 4, 8, 24, 32, 0x41, 0xE1, 640, 2560)))
    elif what < 0.6:
        adapter.out(dice.choice(PORTS), value, dice.choice((1, 1, 2, 4)))
    elif what < 0.7:
        size_ = dice.choice((1, 1, 2, 4))
        assert 0 <= adapter.inp(dice.choice(PORTS), size_) < 1 << 8 * size_
    elif what < 0.73:
        adapter.clock.advance(dice.choice((1, 1000, 31_778, 10**7, 10**12)))
    else:
        address = dice.choice((0xA0000, 0xB0000, 0xB8000, FRAME_BUFFER)) + dice.getrandbits(15)
        if dice.random() < 0.5:
            adapter.write(address, value & 0xFF)
        else:
            assert 0 <= adapter.read(address) <= 0xFF


@pytest.mark.parametrize("seed", range(8))
def test_any_state_can_be_looked_at_saved_and_restored(seed: int) -> None:
    dice, adapter, other = random.Random(seed), Adapter(), Adapter()
    shapes = set()
    for turn in range(60):
        for _ in range(120):
            step(dice, adapter)
        shown = picture(adapter.vga)
        assert shown.shape == (*reversed(size(adapter.vga)), 3)
        assert shown.dtype == "uint8"
        shapes.add(shown.shape)
        assert all(isinstance(line, str) for line in text_lines(adapter.vga))
        if turn % 10 == 0:
            state = json.loads(json.dumps(adapter.vga.snapshot()))
            other.clock.time = adapter.clock.time
            for mine, its in zip(other.memories, adapter.memories, strict=True):
                mine.bytes[:] = its.bytes
            other.vga.restore(state)
            assert other.vga.snapshot() == state
            assert [m.windows for m in other.memories] == [m.windows for m in adapter.memories]
            assert (picture(other.vga) == shown).all()
            assert [other.inp(port) for port in PORTS] == [adapter.inp(port) for port in PORTS]
    assert len(shapes) > 10, "it has seen little"


def lines(function: Callable[..., Any], *args: Any) -> int:
    """How many lines of Python it ran."""
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Callable[..., Any]:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*args)
    finally:
        sys.settrace(before)
    return count


def test_no_access_is_long() -> None:
    dice, adapter = random.Random(3), Adapter()
    for _ in range(3000):
        step(dice, adapter)
        port, value = dice.choice(PORTS), dice.getrandbits(16)
        width = dice.choice((1, 2, 4))
        assert lines(adapter.bus.write_port, port, width, value) < MOST
        assert lines(adapter.bus.read_port, port, width) < MOST
        address = 0xA0000 + dice.randrange(0x1FFFC)
        assert lines(adapter.bus.write_memory, address, 4, value) < MOST
        assert lines(adapter.bus.read_memory, address, 4) < MOST


@pytest.mark.parametrize("seed", range(4))
def test_a_snapshot_with_nonsense_in_it_is_refused_or_harmless(seed: int) -> None:
    dice, adapter = random.Random(seed), Adapter()
    refused = 0
    for _ in range(300):
        state = json.loads(json.dumps(adapter.vga.snapshot()))
        part = state[dice.choice([name for name in state if isinstance(state[name], dict)])]
        name = dice.choice(list(part))
        part[name] = dice.choice(NONSENSE)
        if isinstance(part[name], list) and dice.random() < 0.5:
            part[name] = [dice.choice((0, 300, "x"))] * 25
        before = adapter.vga.snapshot()
        try:
            adapter.vga.restore(state)
        except SnapshotError:
            assert adapter.vga.snapshot() == before
            refused += 1
        picture(adapter.vga)
        step(dice, adapter)
    assert refused > 200


def test_nothing_is_forgotten_in_a_snapshot() -> None:
    vga = Adapter().vga
    for chip in (vga, vga.general, vga.sequencer, vga.crtc, vga.graphics, vga.attribute, vga.dac,
                 vga.vbe, vga.planes):  # fmt: skip
        assert chip.unsaved() == [], chip.name
        assert set(chip.state) | set(chip.wiring) == set(vars(chip)), chip.name

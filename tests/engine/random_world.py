"""A world for random code: a page of it, data, registers, and the monitor's region above.

The environment variable ENGINE_SEEDS asks for more programs.
"""

from __future__ import annotations

import os
import random

import pytest
from engine_lab import (
    CEILING,
    CODE,
    DATA,
    FLAGS,
    FRAMES,
    FREE,
    MONITOR,
    MONITOR_SIZE,
    PAGE,
    RAM_SIZE,
    STACK,
    Lab,
)
from random_code import SELF, program

from bt.contract import PERM_EXEC, PERM_PINNED, PERM_WRITE
from bt.engine import BUILD

SEEDS = range(int(os.environ.get("ENGINE_SEEDS", "40" if BUILD == "compiled" else "4")))


STARTS = 24


BUDGET = 300


WRITABLE = (*range(4, 8), 9, FREE)  # frames that the guest can reach for writing


RING3_FLAGS = 0x244CD5


def put(lab: Lab, rng: random.Random) -> None:
    """A page of code, which may write itself, random data, and registers to start with."""
    lab.write(FREE << 12, program(rng, PAGE))
    lab.poke(DATA, rng.randbytes(4 * PAGE))
    start(lab, rng)


def start(lab: Lab, rng: random.Random) -> None:
    places = (
        DATA + 0x800,
        DATA + PAGE - 2,
        SELF + 0x10,
        STACK + 0x100,
        CEILING - 4,
        0xFFFFFFFC,
        3,
        0x80000000,
    )
    for i in range(8):
        lab.ideal.set_reg(i, rng.choice(places) + rng.randrange(8) & 0xFFFFFFFF)
    lab.set(
        esp=STACK + 0x800,
        flags=FLAGS | rng.getrandbits(22) & RING3_FLAGS,
        eip=SELF + rng.randrange(PAGE),
    )
    for name in ("ds", "es", "fs", "gs"):
        lab.segment(name)


@pytest.fixture
def wild(lab: Lab) -> Lab:
    """The monitor's region is mapped, as it is under a monitor, and must not be reached."""
    lab.map(SELF, FREE, PERM_WRITE | PERM_EXEC)
    for offset in range(0, MONITOR_SIZE, PAGE):
        lab.map(CEILING + offset, MONITOR + offset >> 12, PERM_WRITE | PERM_EXEC | PERM_PINNED)
    lab.write(MONITOR, random.Random(7).randbytes(MONITOR_SIZE))
    return lab


def untouched(lab: Lab) -> bytes:
    """All memory that the guest cannot write."""
    frames = [
        frame for frame in range(RAM_SIZE >> 12) if frame not in WRITABLE and frame != SCRATCH_FRAME
    ]
    assert FRAMES[CODE] in frames
    return b"".join(lab.read(frame << 12, PAGE) for frame in frames) + lab.read(
        MONITOR, MONITOR_SIZE
    )


SCRATCH_FRAME = 0x1F  # where save_x87() works


STACK_FRAME = FRAMES[STACK]

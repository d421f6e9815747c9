"""A million calls with senseless registers: no exception, registers of 32 bits, bounded state."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from calls import REGISTERS, Bench

from devices.bus import Bus
from devices.clock import ManualClock
from devices.ps2_keyboard import Ps2Keyboard
from monitor.vmware.backdoor import Backdoor
from monitor.vmware.call import MAGIC, Call
from monitor.vmware.commands import ROWS, Who
from monitor.vmware.host import DescriptorTables, DiskGeometry, RemovableDevice
from monitor.vmware.parts.debug_output import REPORT_LIMIT, TEXT_LIMIT
from monitor.vmware.parts.input_injection import TYPED_LIMIT
from monitor.vmware.parts.pointer import QUEUE_WORDS

CALLS = 1_000_000
SEEDS = range(4)
EDGES = (0, 1, 2, 3, 4, 6, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, MAGIC)
WORDS = (0x45414552, 0x53424152, 0x4C455252, 0xF5, 0x49435052, 0x1E, 0x8000001E, 0xE04B)
ALLOWED = frozenset(row.name for row in ROWS if row.who is Who.NOBODY and row.handler)
GROWTH = 1 << 20  # bytes that a quarter of a million calls may leave behind


def hostile_bench() -> Bench:
    return Bench(
        {
            "allow": ALLOWED,
            "uuid": bytes(range(16)),
            "descriptor_tables": lambda: DescriptorTables(0xC0000000, 0xFF, 0, 0x7FF, 0, 8),
            "keyboard": Ps2Keyboard(Bus(ManualClock()), lambda: None),
            "screen_size": lambda: (800, 600),
            "screenshot": lambda: True,
            "disks": (DiskGeometry(100, 16, 63),),
            "devices": [RemovableDevice("Floppy 1"), RemovableDevice("CD-ROM", connected=False)],
        }
    )


def random_call(rng: random.Random) -> Call:
    """Mostly a call that is heard; its registers are anything, an edge, or a word of a protocol."""

    def word() -> int:
        kind = rng.random()
        if kind < 0.4:
            return rng.getrandbits(32)
        return rng.choice(EDGES) if kind < 0.8 else rng.choice(WORDS)

    values = [word() for _ in REGISTERS]
    if rng.random() < 0.95:
        values[0] = MAGIC
    if rng.random() < 0.95:
        high = rng.choice((0, 1, 2, rng.getrandbits(16)))
        values[2] = high << 16 | rng.randrange(110)
    how = rng.getrandbits(8)
    return Call(*values, how & 3, how >> 2 & 3, (1, 2, 4, 4)[how >> 4 & 3], bool(how >> 6 & 1))


def check_bounds(backdoor: Backdoor) -> None:
    assert len(backdoor.pointer.queue) <= QUEUE_WORDS
    assert len(backdoor.debug_output.text) <= TEXT_LIMIT
    assert isinstance(backdoor.host.keyboard, Ps2Keyboard)
    assert len(backdoor.host.keyboard.typed) <= TYPED_LIMIT
    assert len(backdoor.calls) <= len(ROWS) + 1


@pytest.mark.parametrize("seed", SEEDS)
def test_senseless_calls(seed: int) -> None:
    rng = random.Random(seed)
    bench = hostile_bench()
    reports: list[str] = []
    bench.host.report = reports.append
    backdoor = bench.backdoor
    calls = CALLS // len(SEEDS)
    for number in range(calls):
        call = random_call(rng)
        backdoor.low(call)
        for register in REGISTERS:
            assert 0 <= getattr(call, register) <= 0xFFFFFFFF, (number, register, call)
        bench.nanoseconds += 1000
    check_bounds(backdoor)
    assert len(reports) == REPORT_LIMIT
    assert backdoor.calls.total() == calls
    assert len(backdoor.calls) == 1 + sum(bool(row.handler) for row in ROWS)  # all were reached


def test_a_guest_that_calls_for_ever_takes_no_memory() -> None:
    rng = random.Random(99)
    bench = hostile_bench()
    for _ in range(20_000):
        bench.backdoor.low(random_call(rng))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20_000):
            bench.backdoor.low(random_call(rng))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < GROWTH


def test_the_same_calls_have_the_same_answers() -> None:
    def play() -> list[Call]:
        rng, bench, answers = random.Random(5), hostile_bench(), []
        for _ in range(5000):
            call = random_call(rng)
            bench.backdoor.low(call)
            bench.nanoseconds += 777
            answers.append(call)
        return answers

    assert play() == play()

"""Devices that reach memory by themselves (devices/dma.py)."""

from __future__ import annotations

import numpy as np
import pytest

from devices.bus import Bus
from devices.clock import ManualClock
from devices.dma import Memory, PlainMemory
from devices.slot import Slot

SIZE = 0x2000


class Watched(PlainMemory):
    """RAM with a hole from 1000 to 1800, of which the second half can be read: a ROM."""

    def __init__(self) -> None:
        super().__init__(SIZE)
        self.told: list[tuple[int, int]] = []

    def pieces(self, address: int, size: int, first: int, end: int):
        for at in range(address, address + size):
            yield (self.bytes[at : at + 1] if 0 <= at < SIZE and not first <= at < end else None), 1

    def readable(self, address: int, size: int):
        return self.pieces(address, size, 0x1000, 0x1400)

    def writable(self, address: int, size: int):
        return self.pieces(address, size, 0x1000, 0x1800)

    def written(self, address: int, size: int) -> None:
        self.told.append((address, size))


def test_a_board_without_memory() -> None:
    memory = Bus(ManualClock()).memory
    assert memory.read(0, 4) == b"\xff" * 4 and memory.write(0, b"1234") == 0
    assert not memory.reaches(0, 1)


def test_copies_and_views() -> None:
    plain = PlainMemory(SIZE)
    memory = Memory(plain)
    assert memory.write(0x100, b"hello") == 5
    copy = memory.read(0x100, 5)
    (view,) = memory.spans(0x100, 5)
    assert view.base is not None and np.shares_memory(view, plain.bytes)
    plain.bytes[0x100] = ord("J")
    assert copy == b"hello" and view.tobytes() == b"Jello"
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1


@pytest.mark.parametrize(
    "data",
    [b"abcd", bytearray(b"abcd"), memoryview(b"abcd"), np.frombuffer(b"abcd", np.uint8),
     np.frombuffer(b"abcd", "<u4"), np.frombuffer(b"a-b-c-d-", np.uint8)[::2].copy()],
)  # fmt: skip
def test_whatever_the_bytes_are_in(data: object) -> None:
    memory = Memory(PlainMemory(SIZE))
    assert memory.write(8, data) == 4  # type: ignore[arg-type]
    assert memory.read(8, 4) == b"abcd"


def test_filling_tells_what_was_written_however_it_ends() -> None:
    watched = Watched()
    memory = Memory(watched)
    with memory.filling(0xFFE, 4) as spans:
        assert [len(span) for span in spans] == [1, 1, 1, 1]
        for span in spans:
            span[:] = 0x55
        assert watched.told == []
    assert watched.told == [(0xFFE, 1), (0xFFF, 1)]
    assert memory.read(0xFFC, 6) == b"\0\0UU\xff\xff"
    with pytest.raises(ZeroDivisionError), memory.filling(0, 1) as (span,):
        span[0] = 1 // 0
    assert watched.told[-1] == (0, 1)


def test_what_is_no_memory() -> None:
    """Ones are read and writes vanish; a ROM can be read."""
    watched = Watched()
    memory = Memory(watched)
    watched.bytes[0x1000:0x1800] = 0x11
    assert memory.write(0xFFF, b"x" * 0x802) == 2
    assert memory.read(0x13FF, 2) == b"\xff\x11"
    assert memory.read(0xFFF, 1) == memory.read(0x1800, 1) == b"x"
    assert set(watched.bytes[0x1000:0x1800]) == {0x11}
    assert not memory.reaches(0xFFF, 2) and memory.reaches(0xFFE, 2)


@pytest.mark.parametrize("address", [SIZE, 0xFFFFFFFF, 1 << 32, 1 << 63, -4])
def test_beyond_memory(address: int) -> None:
    memory = Memory(PlainMemory(SIZE))
    assert memory.read(address, 2) == b"\xff\xff"
    assert memory.write(address, b"ab") == 0
    with memory.filling(address, 2) as spans:
        assert sum(map(len, spans)) == 2


def test_nothing_at_all() -> None:
    memory = Memory(PlainMemory(SIZE))
    assert memory.read(0, 0) == b"" and memory.write(0, b"") == 0 and list(memory.spans(0, 0)) == []
    with memory.filling(0, 0) as spans:
        assert spans == []
    assert not memory.reaches(0, 0)


def test_a_device_that_has_left_reaches_nothing() -> None:
    bus = Bus(ManualClock())
    bus.memory.behind = PlainMemory(SIZE)
    slot = Slot(bus)
    assert slot.memory.write(0, b"a") == 1
    slot.release()
    assert slot.memory.write(0, b"b") == 0 and bus.memory.read(0, 1) == b"a"

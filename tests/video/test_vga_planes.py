"""The processor's way to the planes, against the documents' words, bit by bit."""

from __future__ import annotations

import random

import numpy as np
import pytest
from vga_modes import ALL, MODE_12, MODE_13, MODE_X, TEXT_MONO, TEXT_80x25
from video_lab import Adapter


class Slow:
    """IBM's description of the data path, for a plane and a bit at a time."""

    def __init__(self) -> None:
        self.planes = [bytearray(0x10000) for _ in range(4)]
        self.latches = [0] * 4

    def where(self, adapter: Adapter, at: int) -> tuple[int, int]:
        """The address in the planes, and those that are written, as bits."""
        sequencer, graphics = adapter.vga.sequencer.registers, adapter.vga.graphics.registers
        if sequencer[4] & 8:
            return at & 0xFFFC, 1 << at % 4 & sequencer[2]
        address = at & 0xFFFF
        if graphics[6] & 2:
            address = at & 0xFFFE | (at >> 16 & 1)
        if not sequencer[4] & 4:
            return address, sequencer[2] & (0b1010 if at % 2 else 0b0101)
        return address, sequencer[2]

    def read(self, adapter: Adapter, at: int) -> int:
        graphics = adapter.vga.graphics.registers
        address, _ = self.where(adapter, at)
        self.latches = [plane[address] for plane in self.planes]
        if graphics[5] & 8:
            result = 0
            for bit in range(8):
                same = all(
                    self.latches[plane] >> bit & 1 == graphics[2] >> plane & 1
                    for plane in range(4)
                    if graphics[7] >> plane & 1
                )
                result |= same << bit
            return result
        if adapter.vga.sequencer.registers[4] & 8:
            return self.latches[at % 4]
        if graphics[5] & 0x10:
            return self.latches[graphics[4] & 2 | at % 2]
        return self.latches[graphics[4]]

    def write(self, adapter: Adapter, at: int, value: int) -> None:
        graphics = adapter.vga.graphics.registers
        address, planes = self.where(adapter, at)
        count, mode = graphics[3] & 7, graphics[5] & 3
        rotated = (value | value << 8) >> count & 0xFF
        for plane in range(4):
            if not planes >> plane & 1:
                continue
            colour = graphics[0] >> plane & 1
            result = 0
            for bit in range(8):
                latch = self.latches[plane] >> bit & 1
                taken = graphics[8] >> bit & 1
                if mode == 0:
                    new = colour if graphics[1] >> plane & 1 else rotated >> bit & 1
                elif mode == 2:
                    new = value >> plane & 1
                else:
                    new = colour
                    taken &= rotated >> bit & 1
                new = (new, new & latch, new | latch, new ^ latch)[graphics[3] >> 3]
                result |= (latch if mode == 1 or not taken else new) << bit
            self.planes[plane][address] = result


def contents(adapter: Adapter) -> list[bytes]:
    """The four planes."""
    cells = adapter.vga.windows.cells().view(np.uint8).reshape(-1, 4)
    return [bytes(cells[:, plane]) for plane in range(4)]


@pytest.mark.parametrize("seed", range(6))
def test_every_access_does_what_the_documents_say(seed: int) -> None:
    """All of it at random: modes, masks, chain 4 and odd/even, RAM or registers behind it."""
    dice, adapter, slow = random.Random(seed), Adapter(), Slow()
    adapter.out(0x3C2, 0x63)
    for _ in range(1500):
        if dice.random() < 0.5:
            which = dice.randrange(9)
            plain = (0, 0, 0, 0, 0, 0x10, dice.choice((4, 5, 0xE, 0xF)), 0xF, 0xFF)[which]
            value = plain if dice.random() < 0.5 else dice.getrandbits(8)
            adapter.indexed(0x3CE, which, value)
        if dice.random() < 0.3:
            adapter.indexed(0x3C4, *dice.choice(((2, dice.getrandbits(4)), (2, 3), (2, 15),
                                                 (4, 2), (4, 6), (4, 14), (4, 10))))  # fmt: skip
        first, size = ((0xA0000, 0x20000), (0xA0000, 0x10000), (0xB0000, 0x8000),
                       (0xB8000, 0x8000))[adapter.vga.graphics.memory_map]  # fmt: skip
        for _ in range(3):
            at = dice.choice((dice.randrange(size), dice.randrange(64), size - 1))
            if adapter._window(first + at) is None:
                assert adapter.read(first + at) == slow.read(adapter, at)
            else:  # RAM, whose reads leave the latches alone
                latches = slow.latches
                assert adapter.read(first + at) == slow.read(adapter, at)
                slow.latches = latches
            value = dice.getrandbits(8)
            adapter.write(first + at, value)
            slow.write(adapter, at, value)
            assert adapter.vga.planes.latches == int.from_bytes(bytes(slow.latches), "little")
    assert contents(adapter) == [bytes(plane) for plane in slow.planes]
    assert len({bytes(plane) for plane in slow.planes}) == 4, "little was written"


def test_outside_of_its_window_nobody_answers() -> None:
    adapter = Adapter()
    for name, mode in ALL.items():
        adapter.set_mode(mode)
        adapter.indexed(0x3C4, 2, 0xF)
        first, end = {1: (0xA0000, 0xB0000), 2: (0xB0000, 0xB8000),
                      3: (0xB8000, 0xC0000)}[adapter.vga.graphics.memory_map]  # fmt: skip
        for address in (0xA0000, 0xAFFFF, 0xB0000, 0xB7FFF, 0xB8000, 0xBFFFF):
            adapter.write(address, 0x5A)
            assert (adapter.read(address) == 0x5A) == (first <= address < end), (name, address)
            adapter.write(address, 0)


@pytest.mark.parametrize("port", [0x3C2, 0x3C3])
def test_memory_that_is_disabled_is_not_there(port: int) -> None:
    adapter = Adapter()
    adapter.set_mode(MODE_13)
    adapter.write(0xA0000, 7)
    adapter.out(port, 0x61 if port == 0x3C2 else 0)
    assert adapter.read(0xA0000) == 0xFF
    adapter.write(0xA0000, 9)
    adapter.out(port, 0x63)
    assert adapter.read(0xA0000) == 7


def test_wide_accesses_are_bytes_at_consecutive_addresses() -> None:
    adapter = Adapter()
    adapter.set_mode(MODE_12)
    adapter.bus.write_memory(0xA0010, 4, 0x44332211)
    assert [adapter.read(0xA0010 + i) for i in range(4)] == [0x11, 0x22, 0x33, 0x44]
    assert adapter.bus.read_memory(0xA0010, 4) == 0x44332211
    assert adapter.vga.planes.latches == 0x44444444


def test_the_latch_can_be_read_by_diagnostics() -> None:
    adapter = Adapter()
    adapter.set_mode(MODE_12)
    adapter.indexed(0x3C4, 2, 4)
    adapter.write(0xA0000, 0x99)
    adapter.read(0xA0000)
    adapter.indexed(0x3CE, 4, 2)
    adapter.out(0x3D4, 0x22)
    assert adapter.inp(0x3D5) == 0x99


def test_mode_13_lies_in_every_fourth_address_of_the_planes() -> None:
    """What a program finds that leaves chain 4 with a picture in place."""
    adapter = Adapter()
    adapter.set_mode(MODE_13)
    for at in (0, 1, 2, 3, 4, 7, 0x1234, 0xFFFF):
        adapter.write(0xA0000 + at, at * 7 + 1 & 0xFF)
    adapter.set_mode(MODE_X)
    for at in (0, 1, 2, 3, 4, 7, 0x1234, 0xFFFF):
        adapter.indexed(0x3CE, 4, at & 3)
        assert adapter.read(0xA0000 + (at & ~3)) == at * 7 + 1 & 0xFF, at
        assert adapter.read(0xA0001 + (at & ~3)) == 0
    adapter.indexed(0x3C4, 2, 2)
    adapter.write(0xA0004, 0xCC)  # plane 1
    adapter.set_mode(MODE_13)
    assert adapter.read(0xA0005) == 0xCC


@pytest.mark.parametrize(("mode", "first"), [(TEXT_80x25, 0xB8000), (TEXT_MONO, 0xB0000)])
def test_text_lies_in_even_addresses_of_planes_0_and_1(mode: object, first: int) -> None:
    adapter = Adapter()
    adapter.set_mode(mode)  # type: ignore[arg-type]
    view = adapter.memories[1]
    assert view.windows == {first: (0, 0x8000)}
    for at in (0, 1, 2, 3, 0x1000, 0x1001, 0x7FFE, 0x7FFF):
        adapter.write(first + at, at * 3 + 5 & 0xFF)
    assert view.bytes[3] == 3 * 3 + 5
    adapter.set_mode(MODE_12)
    assert view.windows == {}
    for at in (0, 1, 2, 3, 0x1000, 0x1001, 0x7FFE, 0x7FFF):
        adapter.indexed(0x3CE, 4, at & 1)
        assert adapter.read(0xA0000 + (at & ~1)) == at * 3 + 5 & 0xFF, at
    adapter.indexed(0x3C4, 2, 1)
    adapter.write(0xA0002, 0x77)
    adapter.set_mode(mode)  # type: ignore[arg-type]
    assert adapter.read(first + 2) == 0x77


def test_a_font_is_loaded_and_text_stays() -> None:
    """As every BIOS and Linux do it: plane 2 alone, in line, at A0000, and back."""
    adapter = Adapter()
    adapter.set_mode(TEXT_80x25)
    adapter.write(0xB8000, 0x41)
    adapter.write(0xB8001, 0x1E)
    for port, index, value in ((0x3C4, 2, 4), (0x3C4, 4, 6), (0x3CE, 4, 2), (0x3CE, 5, 0),
                               (0x3CE, 6, 4)):  # fmt: skip
        adapter.indexed(port, index, value)
    assert adapter.memories[1].windows == {}
    for line in range(16):
        adapter.write(0xA0000 + 0x41 * 32 + line, line + 1)
    assert adapter.read(0xA0000 + 0x41 * 32 + 5) == 6
    for port, index, value in ((0x3C4, 2, 3), (0x3C4, 4, 2), (0x3CE, 4, 0), (0x3CE, 5, 0x10),
                               (0x3CE, 6, 0xE)):  # fmt: skip
        adapter.indexed(port, index, value)
    assert adapter.read(0xB8000) == 0x41 and adapter.read(0xB8001) == 0x1E
    cells = adapter.vga.windows.cells()
    assert [int(cell) >> 16 & 0xFF for cell in cells[0x41 * 32 : 0x41 * 32 + 3]] == [1, 2, 3]


def test_looking_does_not_touch_memory() -> None:
    adapter = Adapter()
    adapter.set_mode(TEXT_80x25)
    adapter.write(0xB8000, 0x41)
    before = [bytes(memory.bytes) for memory in adapter.memories]
    assert adapter.screen.text == "A"
    assert [bytes(memory.bytes) for memory in adapter.memories] == before

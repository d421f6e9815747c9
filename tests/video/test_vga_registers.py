"""Registers, the DAC, retrace and VBE against their documents."""

from __future__ import annotations

import itertools

import pytest
from vga_modes import ALL, MODE_12, MODE_13, TEXT_MONO, TEXT_80x25
from video_lab import FRAME_BUFFER, Adapter

from devices.clock import NS_PER_SECOND


@pytest.fixture
def adapter() -> Adapter:
    return Adapter()


@pytest.mark.parametrize(
    ("port", "masks"),
    [
        (0x3C4, (0x03, 0x3D, 0x0F, 0x3F, 0x0E)),
        (0x3CE, (0x0F, 0x0F, 0x0F, 0x1F, 0x03, 0x7B, 0x0F, 0x0F, 0xFF)),
    ],
)
def test_registers_keep_the_bits_that_they_have(
    adapter: Adapter, port: int, masks: tuple[int, ...]
) -> None:
    for index, mask in enumerate(masks):
        for value in (0xFF, 0, 0xA5):
            adapter.indexed(port, index, value)
            assert (adapter.inp(port), adapter.inp(port + 1)) == (index, value & mask)
    adapter.out(port, len(masks))
    adapter.out(port + 1, 0xFF)
    assert adapter.inp(port + 1) == 0


def test_the_crtc_is_where_miscellaneous_output_says(adapter: Adapter) -> None:
    adapter.out(0x3C2, 0x01)
    assert adapter.inp(0x3CC) == 0x01
    adapter.indexed(0x3D4, 0x0E, 0x12)
    assert adapter.inp(0x3D5) == 0x12
    assert (adapter.inp(0x3B4), adapter.inp(0x3B5), adapter.inp(0x3BA)) == (0xFF, 0xFF, 0xFF)
    adapter.indexed(0x3B4, 0x0E, 0x34)
    adapter.out(0x3C2, 0x00)
    assert (adapter.inp(0x3D5), adapter.inp(0x3B5)) == (0xFF, 0x12)
    adapter.out(0x3BA, 0x03)
    assert adapter.inp(0x3CA) == 0x03


def test_the_crtc_protects_its_timing(adapter: Adapter) -> None:
    adapter.set_mode(TEXT_80x25)  # protects: 8Eh in 11h
    for index in range(8):
        adapter.indexed(0x3D4, index, 0)
    adapter.indexed(0x3D4, 0x12, 0x55)
    registers = adapter.vga.crtc.registers
    assert registers[:7] == list(TEXT_80x25.crtc[:7])
    assert registers[7] == TEXT_80x25.crtc[7] & ~0x10, "Line Compare's bit is not protected"
    assert registers[0x12] == 0x55
    adapter.indexed(0x3D4, 0x11, 0x0E)
    adapter.indexed(0x3D4, 0, 0x2D)
    assert registers[0] == 0x2D


def test_the_attribute_controller_takes_index_and_data_in_turn(adapter: Adapter) -> None:
    adapter.out(0x3C2, 1)
    adapter.inp(0x3DA)
    for value in (0x03, 0x2A, 0x10, 0xFF, 0x34, 0x0C):  # 34h: index 14h, and palette source
        adapter.out(0x3C0, value)
    registers = adapter.vga.attribute.registers
    assert (registers[3], registers[0x10], registers[0x14]) == (0x2A, 0xEF, 0x0C)
    assert (adapter.inp(0x3C0), adapter.inp(0x3C1)) == (0x34, 0x0C)
    adapter.out(0x3C0, 0x05)  # an index,
    adapter.inp(0x3DA)
    adapter.out(0x3C0, 0x06)  # and again one
    adapter.out(0x3C0, 0x3F)
    assert (registers[5], registers[6]) == (0, 0x3F)
    adapter.out(0x3C1, 0x11)
    adapter.out(0x3C0, 0x15)
    adapter.out(0x3C0, 0x15)  # no register there
    assert adapter.inp(0x3C1) == 0


def test_the_dac_takes_a_colour_with_its_third_byte(adapter: Adapter) -> None:
    adapter.out(0x3C8, 0xFF)
    for value in (0x3F, 0xFF, 0x01, 0x10, 0x11):
        adapter.out(0x3C9, value)
    colours = adapter.vga.dac.colours
    assert (bytes(colours[-3:]), bytes(colours[:3])) == (b"\x3f\x3f\x01", bytes(3))
    adapter.out(0x3C9, 0x12)
    assert bytes(colours[:3]) == b"\x10\x11\x12"
    assert (adapter.inp(0x3C7), adapter.inp(0x3C8)) == (0, 1)
    adapter.out(0x3C7, 0xFF)
    assert [adapter.inp(0x3C9) for _ in range(6)] == [0x3F, 0x3F, 1, 0x10, 0x11, 0x12]
    assert adapter.inp(0x3C7) == 3
    adapter.out(0x3C6, 0x0F)
    assert adapter.inp(0x3C6) == 0x0F


@pytest.mark.parametrize(
    ("name", "hertz", "lines"),
    [("TEXT_80x25", 70.09, 449), ("TEXT_40x25", 70.09, 449), ("MODE_13", 70.09, 449),
     ("MODE_12", 59.94, 525), ("MODE_X", 59.71, 527), ("MODE_6", 70.09, 449)],
)  # fmt: skip
def test_frames_take_the_time_of_their_mode(
    adapter: Adapter, name: str, hertz: float, lines: int
) -> None:
    adapter.set_mode(ALL[name])
    frame = adapter.vga.frame
    assert frame.lines == lines
    assert round(frame.number(1000 * NS_PER_SECOND) / 1000, 2) == hertz


def edges(adapter: Adapter, bit: int, nanoseconds: int, step: int) -> list[int]:
    """When a bit of Input Status #1 changes."""
    found, before = [], adapter.inp(0x3DA) & bit
    for _ in range(nanoseconds // step):
        adapter.clock.advance(step)
        now = adapter.inp(0x3DA) & bit
        if now != before:
            found.append(adapter.clock.time)
            before = now
    return found


def test_retrace_comes_once_a_frame_for_two_lines(adapter: Adapter) -> None:
    adapter.set_mode(TEXT_80x25)
    found = edges(adapter, 8, 60_000_000, 2_000)
    rises, falls = found[::2], found[1::2]
    assert len(rises) == 4
    for one, other in itertools.pairwise(rises):
        assert abs(other - one - 14_268_000) < 4_000
    for rise, fall in zip(rises, falls, strict=False):
        assert abs(fall - rise - 2 * 31_778) < 4_000


def test_each_line_is_blank_at_its_end(adapter: Adapter) -> None:
    adapter.set_mode(TEXT_80x25)
    found = edges(adapter, 1, 10 * 31_778 + 1_000, 200)
    assert len(found) == 20
    assert abs(found[1] - found[0] - 31_778 * 180 / 900) < 500
    adapter.clock.time = 31_778 * 405
    assert edges(adapter, 1, 10 * 31_778, 200) == [], "between frames it stays so"


def test_a_vertical_interrupt_shows_until_it_is_cleared(adapter: Adapter) -> None:
    adapter.set_mode(TEXT_80x25)
    adapter.indexed(0x3D4, 0x11, 0x0E)  # cleared
    assert adapter.inp(0x3C2) == 0x10
    adapter.clock.advance(20_000_000)
    assert adapter.inp(0x3C2) == 0x10
    adapter.indexed(0x3D4, 0x11, 0x1E)
    assert adapter.inp(0x3C2) == 0x10
    adapter.clock.advance(14_300_000)
    assert adapter.inp(0x3C2) == 0x90
    adapter.indexed(0x3D4, 0x11, 0x0E)
    assert adapter.inp(0x3C2) == 0x10


# --- VBE ------------------------------------------------------------------------------------------

XRES, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET, MEMORY = range(1, 11)


def test_vbe_says_what_it_is_and_has(adapter: Adapter) -> None:
    assert adapter.read_vbe(0) == 0xB0C5
    for version in range(0xB0C0, 0xB0C6):
        adapter.vbe(0, version)
        assert adapter.read_vbe(0) == version
    adapter.vbe(0, 0xB0C6)
    assert adapter.read_vbe(0) == 0xB0C5
    assert adapter.read_vbe(MEMORY) == 16
    adapter.vbe(ENABLE, 2)
    assert [adapter.read_vbe(index) for index in (XRES, YRES, BPP)] == [2560, 1600, 32]
    adapter.vbe(ENABLE, 0)
    assert [adapter.read_vbe(index) for index in (XRES, YRES, BPP)] == [640, 480, 8]
    assert adapter.read_vbe(0x55) == 0
    assert (adapter.inp(0x1CF), adapter.inp(0x1CE, 4)) == (0xFF, 0xFFFFFFFF), "words only"
    adapter.out(0x1CE, 0, 2)
    assert adapter.inp(0x1D0, 2) == 0xB0C5


def test_a_mode_is_described_while_there_is_none(adapter: Adapter) -> None:
    for index, value in ((XRES, 800), (YRES, 600), (BPP, 16)):
        adapter.vbe(index, value)
    adapter.vbe(ENABLE, 0x41)
    for index, value in ((XRES, 640), (YRES, 480), (BPP, 8)):
        adapter.vbe(index, value)
    assert [adapter.read_vbe(index) for index in (XRES, YRES, BPP)] == [800, 600, 16]
    assert (adapter.read_vbe(VIRT_WIDTH), adapter.read_vbe(VIRT_HEIGHT)) == (800, 655)
    adapter.vbe(VIRT_WIDTH, 873)  # 600 lines of it fit into a MiB, of 874 they do not
    assert adapter.read_vbe(VIRT_WIDTH) == 873
    for wrong in (874, 799, 0, 0xFFFF):
        adapter.vbe(VIRT_WIDTH, wrong)
        assert adapter.read_vbe(VIRT_WIDTH) == 873
    adapter.vbe(ENABLE, 0)
    for index, value in ((XRES, 0), (XRES, 2561), (YRES, 0), (YRES, 1601), (BPP, 17)):
        adapter.vbe(index, value)
    assert [adapter.read_vbe(index) for index in (XRES, YRES, BPP)] == [800, 600, 16]
    adapter.vbe(BPP, 0)
    assert adapter.read_vbe(BPP) == 8


def test_memory_is_cleared_unless_it_is_to_be_kept(adapter: Adapter) -> None:
    adapter.write(FRAME_BUFFER + 0x12345, 7)
    adapter.vbe(ENABLE, 0xC1)
    assert adapter.read(FRAME_BUFFER + 0x12345) == 7
    adapter.vbe(ENABLE, 0)
    adapter.vbe(ENABLE, 0x41)
    assert adapter.read(FRAME_BUFFER + 0x12345) == 0
    adapter.write(FRAME_BUFFER + 0x12345, 7)
    adapter.vbe(ENABLE, 0x61)  # it is one already: nothing begins
    assert adapter.read(FRAME_BUFFER + 0x12345) == 7


def test_banks_are_the_frame_buffer_64_kib_at_a_time(adapter: Adapter) -> None:
    adapter.set_mode(MODE_12)
    adapter.vbe(ENABLE, 0x41)
    for bank in (0, 5, 15):
        adapter.vbe(BANK, bank)
        adapter.write(0xA0000 + 0x321, bank + 1)
        assert adapter.read(FRAME_BUFFER + 0x10000 * bank + 0x321) == bank + 1
    adapter.vbe(BANK, 0x1005)  # there are 16
    assert adapter.read(0xA0000 + 0x321) == 6
    adapter.vbe(ENABLE, 0)
    assert adapter.read_vbe(BANK) == 0
    adapter.indexed(0x3C4, 2, 1)
    adapter.write(0xA0000, 0x80)
    assert adapter.vga.planes.latches == 0
    adapter.read(0xA0000)
    assert adapter.vga.planes.latches & 0xFF == 0x80, "planes again"


def test_banks_of_planes(adapter: Adapter) -> None:
    adapter.set_mode(MODE_12)
    for index, value in ((XRES, 1024), (YRES, 768), (BPP, 4), (ENABLE, 0x41), (BANK, 1)):
        adapter.vbe(index, value)
    assert adapter.read_vbe(VIRT_HEIGHT) == (1 << 18) // 128
    adapter.indexed(0x3C4, 2, 0b0110)
    adapter.write(0xA0000 + 128 * 256 - 1, 0x01)  # line 767, in the second 64 KiB of each plane
    picture = adapter.screen.array
    adapter.vga.attribute.registers[:16] = list(range(16))
    adapter.vga.dac.colours[18:21] = bytes((63, 0, 63))
    picture = adapter.screen.array
    assert picture.shape == (768, 1024, 3)
    assert [int(each) for each in picture[767, 1023]] == [255, 0, 255]
    assert picture.sum() == 510


def test_eight_bits_of_colour(adapter: Adapter) -> None:
    adapter.vbe(ENABLE, 0x61)
    adapter.out(0x3C8, 1)
    for value in (0xFF, 0x80, 0x01):
        adapter.out(0x3C9, value)
    adapter.write(FRAME_BUFFER, 1)
    assert [int(each) for each in adapter.screen.array[0, 0]] == [0xFF, 0x80, 0x01]
    adapter.vbe(ENABLE, 0x41)
    adapter.out(0x3C8, 1)
    for value in (0xFF, 0x80, 0x01):
        adapter.out(0x3C9, value)
    assert [int(each) for each in adapter.screen.array[0, 0]] == [0xFF, 0x00, 0x04]


def test_reset_leaves_nothing_but_memory(adapter: Adapter) -> None:
    fresh = Adapter().vga.snapshot()
    adapter.set_mode(MODE_13)
    adapter.write(0xA0000, 7)
    adapter.vbe(ENABLE, 0xE1)
    adapter.vbe(BANK, 3)
    adapter.vga.reset()
    assert adapter.vga.snapshot() == fresh
    assert adapter.memories[0].windows == {FRAME_BUFFER: (0, 1 << 20)}
    assert adapter.memories[0].bytes[0] == 7


def test_the_frame_buffer_moves(adapter: Adapter) -> None:
    windows, memory = adapter.vga.windows, adapter.memories[0]
    windows.move_frame_buffer(0xF0000000)
    assert memory.windows == {0xF0000000: (0, 1 << 20)}
    windows.move_frame_buffer(None)
    assert memory.windows == {}
    adapter.set_mode(TEXT_MONO)
    windows.move_frame_buffer(FRAME_BUFFER)
    assert memory.windows == {FRAME_BUFFER: (0, 1 << 20)}

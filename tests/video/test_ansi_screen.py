"""A screen as a terminal gets it, and a terminal's keys as a PC has them."""

from __future__ import annotations

from typing import Any

import pytest
from vga_modes import MODE_13, TEXT_80x25
from video_lab import Adapter, machine_with

from devices.scancodes import MAKE
from monitor.host.terminal_display import MOST_KEYS, TerminalDisplay
from monitor.host.terminal_keys import keys_of
from monitor.screen.ansi import AnsiScreen


class Room:
    """A terminal's size."""

    size = (80, 25)

    def __call__(self) -> tuple[int, int]:
        return self.size


@pytest.fixture
def adapter() -> Adapter:
    adapter = Adapter()
    adapter.set_mode(TEXT_80x25)
    for i, each in enumerate(b"H\x1ei\x1e!\x07"):
        adapter.write(0xB8000 + i, each)
    return adapter


def test_only_rows_that_changed_are_sent(adapter: Adapter) -> None:
    screen = AnsiScreen(adapter.screen, Room())
    first = screen.frame()
    assert first.startswith("\x1b[0m\x1b[2J\x1b[?25l\x1b[1;1H\x1b[0;93;44mHi\x1b[0;37;40m!\x1b[0;")
    assert first.endswith("\x1b[1;1H\x1b[?25h")
    assert first.count(";1H") == 26
    assert screen.frame() == ""
    adapter.write(0xB8000 + 160 * 24, 0x58)
    news = screen.frame()
    assert news.startswith("\x1b[?25l\x1b[25;1H\x1b[0;30;40mX ") and news.count(";1H") == 2
    screen.forget()
    assert screen.frame().count(";1H") == 26


def test_the_cursor_is_where_the_guest_s_is(adapter: Adapter) -> None:
    screen = AnsiScreen(adapter.screen, Room())
    screen.frame()
    adapter.indexed(0x3D4, 0x0F, 83)
    assert screen.frame() == "\x1b[?25l\x1b[2;4H\x1b[?25h"
    adapter.indexed(0x3D4, 0x0A, 0x20)
    assert screen.frame() == "\x1b[?25l\x1b[?25l"
    assert adapter.screen.cursor is None
    adapter.indexed(0x3D4, 0x0A, 0x0D)
    adapter.indexed(0x3D4, 0x0E, 0x30)
    assert adapter.screen.cursor is None


def test_a_small_terminal_gets_what_fits(adapter: Adapter) -> None:
    room = Room()
    screen = AnsiScreen(adapter.screen, room)
    screen.frame()
    room.size = (2, 3)
    frame = screen.frame()
    assert "Hi\x1b[0m" in frame and "!" not in frame
    assert frame.count(";1H") == 4


def test_a_picture_is_half_blocks(adapter: Adapter) -> None:
    room = Room()
    room.size = (320, 100)
    screen = AnsiScreen(adapter.screen, room)
    adapter.set_mode(MODE_13)
    adapter.vga.dac.colours[3:6] = bytes((63, 0, 0))
    adapter.write(0xA0000 + 320, 1)
    lines = screen.frame().split(";1H")
    assert lines[1].startswith("\x1b[38;2;0;0;0;48;2;255;0;0m▀\x1b[38;2;0;0;0;48;2;0;0;0m▀▀▀")
    assert lines[1].count("▀") == 320 and len(lines) == 101
    room.size = (7, 1)
    assert screen.frame().count("▀") == 3


def test_keys_that_terminals_send() -> None:
    text = b"aZ1!\t\r\x7f \x1bOP\x1b[15~\x1b[3~\x1b[1;5C\x1b[6;2~\x1bq\x1b\x1b[Z\x03\x1a"
    assert keys_of(text) == [
        ("a",), ("shift", "z"), ("1",), ("shift", "1"), ("tab",), ("enter",), ("backspace",),
        ("space",), ("f1",), ("f5",), ("delete",), ("ctrl", "right"), ("shift", "pagedown"),
        ("alt", "q"), ("esc",), ("shift", "tab"), ("ctrl", "c"), ("ctrl", "z"),
    ]  # fmt: skip
    everything = bytes(range(256)) + b"".join(b"\x1b[%d;%d~" % (n, m) for n in range(40)
                                              for m in range(20))  # fmt: skip
    everything += b"".join(b"\x1b" + bytes((c,)) for c in range(256)) + b"\x1b[99999999999~\x1b["
    for chord in keys_of(everything):
        assert all(key in MAKE for key in chord), chord


def test_keys_that_wait_are_bounded_and_are_pressed_in_the_machine() -> None:
    machine: Any = machine_with("bare")
    pressed: list[tuple[str, ...]] = []
    machine.keyboard.chord = lambda *keys: pressed.append(keys)
    display = TerminalDisplay(machine, AnsiScreen(machine.screen, Room()), -1)
    display.pause()
    for _ in range(2000):
        display.type(b"a")
    display.pause()
    assert len(display._keys) == MOST_KEYS
    display._keys.clear()
    display.type(b"A")
    display.pause()
    assert display.look() is None
    assert pressed == [("shift", "a")]

"""Every standard mode, set by the VGA BIOS, drawn by a guest in 16 bits, equals a golden image."""

from __future__ import annotations

import numpy as np
import pytest
from bios_guests import guest, needs_bios, run
from golden_modes import NAMES, TEXT, characters, golden, read
from video_lab import MODES

from monitor.screen.reader import decode


@pytest.mark.parametrize("name", NAMES)
def test_the_files_are_what_the_formulas_say(name: str) -> None:
    assert (read(name) == golden(name)).all()


@needs_bios
@pytest.mark.guest
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_a_mode(name: str, mode: str) -> None:
    machine = run(mode, guest(name))
    found, wanted = machine.screen.array, read(name)
    assert found.shape == wanted.shape
    differ = np.argwhere((found != wanted).any(axis=2))
    assert len(differ) == 0, f"{len(differ)} pixels differ, the first at {differ[0]}"
    if name in TEXT:
        columns, rows, _ = TEXT[name]
        lines = [decode(bytes(row.astype(np.uint8))) for row in characters(columns, rows)[0]]
        assert machine.screen.lines == [line.rstrip() for line in lines]
    else:
        assert machine.screen.text == ""


@needs_bios
@pytest.mark.guest
@pytest.mark.parametrize("mode", MODES)
def test_the_bios_writes_and_the_start_address_is_honoured(mode: str) -> None:
    """A text by the BIOS, then the screen moved down by three lines and eight characters."""
    say = "".join(f"mov ax, {0x0E00 | ord(each):#x}; int 0x10\n" for each in "Hello\r\n\n\nworld")
    machine = run(mode, "mov ax, 3; int 0x10\n" + say)
    assert machine.screen.lines[:5] == ["Hello", "", "", "world", ""]
    assert machine.screen.cursor == (3, 5)
    high, low = divmod(3 * 80 - 8, 256)
    move = f"""
        mov dx, 0x3d4
        mov ax, {high << 8 | 0x0C:#x}; out dx, ax
        mov ax, {low << 8 | 0x0D:#x}; out dx, ax
    """
    machine = run(mode, "mov ax, 3; int 0x10\n" + say + move)
    assert machine.screen.lines[:3] == ["        world", "", ""]
    assert machine.screen.cursor == (0, 13)

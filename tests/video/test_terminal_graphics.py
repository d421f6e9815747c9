"""Pictures for terminals that draw them: sixels and kitty's protocol, read back by other code."""

from __future__ import annotations

import base64
import random
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from patience import PATIENCE
from PIL import Image
from vga_modes import MODE_13, TEXT_80x25
from video_lab import Adapter, machine_with

from monitor.host.terminal_answers import Answers
from monitor.host.terminal_display import TerminalDisplay
from monitor.screen.ansi import AnsiScreen
from monitor.screen.kitty import DELETE, drawn
from monitor.screen.sixel import sixels

Picture = npt.NDArray[np.uint8]
TOKEN = re.compile(r'"[\d;]+|#\d+(?:;\d+)*|!\d+[?-~]|[?-~]|\$|-')
DICE = np.random.default_rng(1983)


def seen(sent: str) -> Picture:
    """What a terminal of DEC's would show: hundredths of each colour, -1 where nothing is drawn."""
    begun = re.match(r"\x1bP[\d;]*q", sent)
    assert begun is not None and sent.endswith("\x1b\\")
    body, position = sent[begun.end() : -2], 0
    colours: dict[int, tuple[int, ...]] = {}
    canvas, at, top, colour = np.zeros((0, 0, 3), int), 0, 0, 0
    while position < len(body):
        token = TOKEN.match(body, position)
        assert token is not None, body[position : position + 20]
        position, text = token.end(), token[0]
        if text[0] == '"':
            *_, width, height = map(int, text[1:].split(";"))
            canvas = np.full((height, width, 3), -1)
        elif text[0] == "#":
            colour, *more = map(int, text[1:].split(";"))
            if more:
                assert more[0] == 2
                colours[colour] = tuple(more[1:])
        elif text == "$":
            at = 0
        elif text == "-":
            at, top = 0, top + 6
        else:
            count = int(text[1:-1]) if text[0] == "!" else 1
            for line in range(6):
                if ord(text[-1]) - 63 >> line & 1:
                    canvas[top + line, at : at + count] = colours[colour]
            at += count
    return canvas


def hundredths(picture: Picture) -> npt.NDArray[np.int64]:
    return (picture.astype(int) * 100 + 127) // 255


@pytest.mark.parametrize("shape", [(1, 1), (6, 5), (7, 9), (13, 40), (24, 3)])
def test_sixels_are_the_picture(shape: tuple[int, int]) -> None:
    colours = DICE.integers(0, 256, (11, 3), np.uint8)
    picture = colours[DICE.integers(0, 11, shape)]
    assert (seen(sixels(picture)) == hundredths(picture)).all()
    flat = np.full((*shape, 3), 200, np.uint8)
    assert (seen(sixels(flat)) == hundredths(flat)).all()


def test_sixels_of_too_many_colours_are_near() -> None:
    picture = DICE.integers(0, 256, (30, 30, 3), np.uint8)
    off = np.abs(seen(sixels(picture)) - hundredths(picture)).max(axis=(0, 1))
    assert (off <= (14, 14, 26)).all() and (seen(sixels(picture)) >= 0).all()


def test_libsixel_reads_them(tmp_path: Path) -> None:
    tool = shutil.which("sixel2png")
    if tool is None:
        pytest.skip("sixel2png is not installed (Debian: libsixel-bin)")
    picture = DICE.choice(np.array((0, 51, 102, 255), np.uint8), (20, 17, 3))
    (tmp_path / "a.six").write_text(sixels(picture))
    command = [tool, "-i", str(tmp_path / "a.six"), "-o", str(tmp_path / "a.png")]
    subprocess.run(command, check=True, timeout=PATIENCE)
    with Image.open(tmp_path / "a.png") as found:
        assert (np.asarray(found.convert("RGB")) == picture).all()


def test_kitty_s_pieces_are_the_picture() -> None:
    picture = DICE.integers(0, 256, (60, 50, 3), np.uint8)
    pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", drawn(picture, 20, 10))
    assert len(pieces) > 1 and all(len(data) <= 4096 for _, data in pieces)
    keys = dict(each.split("=") for each in pieces[0][0].split(","))
    assert keys == {"a": "T", "f": "24", "o": "z", "s": "50", "v": "60", "c": "20", "r": "10",
                    "i": "1", "p": "1", "C": "1", "q": "2", "m": "1"}  # fmt: skip
    assert [each for each, _ in pieces[1:]] == ["m=1"] * (len(pieces) - 2) + ["m=0"]
    data = zlib.decompress(base64.b64decode("".join(each for _, each in pieces)))
    assert data == picture.tobytes()


@pytest.fixture
def adapter() -> Adapter:
    adapter = Adapter()
    adapter.set_mode(MODE_13)
    adapter.vga.dac.colours[3:6] = bytes((63, 0, 0))
    adapter.write(0xA0000, 1)
    return adapter


def test_a_terminal_with_sixels_gets_the_picture_once(adapter: Adapter) -> None:
    screen = AnsiScreen(adapter.screen, lambda: (100, 50))
    assert "▀" in screen.frame()
    screen.graphics, screen.pixels = "sixel", (1000, 1000)
    frame = screen.frame()
    assert frame.startswith("\x1b[0m\x1b[2J\x1b[?25l\x1b[1;1H\x1bP0;1;0q")
    shown = seen(frame[frame.index("\x1bP") :])
    assert shown.shape == (600, 960, 3), "three times as large, and above the last line"
    assert (shown[:3, :3] == (100, 0, 0)).all() and not shown[3:].any()
    assert screen.frame() == ""
    adapter.write(0xA0001, 1)
    assert screen.frame().startswith("\x1b[?25l\x1b[1;1H\x1bP")
    screen.pixels = (160, 300)
    frame = screen.frame()
    assert seen(frame[frame.index("\x1bP") :]).shape == (100, 160, 3), "smaller"


def test_kitty_scales_by_itself_and_takes_the_picture_away(adapter: Adapter) -> None:
    screen = AnsiScreen(adapter.screen, lambda: (80, 25))
    screen.graphics, screen.pixels = "kitty", (640, 400)
    frame = screen.frame()
    assert "s=320,v=200,c=80,r=25," in frame and DELETE not in frame
    adapter.set_mode(TEXT_80x25)
    text = screen.frame()
    assert text.startswith("\x1b[0m\x1b[2J" + DELETE) and "\x1b_Ga=T" not in text


def test_answers_in_any_pieces() -> None:
    sent = b"a\x1b_Gi=31;OK\x1b\\b\x1b[4;400;640tc\x1b[?62;4;22cd\x1b"
    dice = random.Random(7)
    for _ in range(50):
        cuts = sorted(dice.sample(range(len(sent)), 3))
        answers, keys = Answers(), b""
        for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
            keys += answers.feed(sent[begin:end])
        if any(sent[at - 1 : at + 1] in (b"\x1b_", b"\x1b[", b"[?", b"[4", b"_G", b"4;")
               for at in cuts):  # fmt: skip
            continue  # an Esc that ends a piece is a key
        assert keys == b"abcd\x1b"
        assert (answers.sixel, answers.kitty, answers.pixels) == (True, True, (640, 400))
    plain = Answers()
    assert plain.feed(b"\x1b[?64;1;2c") == b"" and not plain.sixel
    assert plain.feed(b"\x1b_Gx\x1b[?4c") == b"\x1b_Gx\x1b[?4c", "nothing is asked any more"
    assert Answers().feed(b"\x1b_") == b"\x1b_", "Alt and a key"
    assert len(Answers().feed(b"\x1b_G" + bytes(300))) == 303


def test_the_display_learns_it_from_what_is_typed() -> None:
    machine = machine_with("bare")
    picture = AnsiScreen(machine.screen, lambda: (80, 25))
    display = TerminalDisplay(machine, picture, -1)
    display.pause()
    display.type(b"\x1b_Gi=31;OK\x1b\\\x1b[4;400;640t\x1b[?62;4c")
    assert display._paused, "no key was typed"
    display.look()
    assert (picture.graphics, picture.pixels) == ("kitty", (640, 400))
    assert not display._keys

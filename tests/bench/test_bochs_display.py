"""The display of Bochs, with a pseudo-terminal in its place: cues are seen, keys are typed."""

from __future__ import annotations

import os
import pty
import time
from collections.abc import Iterator

import pytest
from patience import PATIENCE

from benchmarks.peers.bochs_display import Display, keys

pytest.importorskip("pyte")
STEPS = (("menu", "c"), ("prompt>", "ls\n"))


@pytest.fixture(name="bochs")
def _bochs() -> Iterator[tuple[int, bytes]]:
    """The end that Bochs draws at, and what it says of the other."""
    master, slave = pty.openpty()
    said = f'Bochs connected to screen "{os.ttyname(slave)}"\r\nNext at t=0\r\n'
    yield master, said.encode()
    os.close(slave)
    os.close(master)


def looked(display: Display, said: bytes, ending: str, text: str) -> bool:
    """Look until the display has the text."""
    deadline = time.monotonic() + PATIENCE
    while True:
        there = display.shows(said, ending)
        if text in display.text:
            return there
        assert time.monotonic() < deadline, display.text


def test_keys_are_typed_at_their_cues(bochs: tuple[int, bytes]) -> None:
    master, said = bochs
    display = Display(STEPS)
    assert not display.shows(said[:20], "the end"), "not yet told where it is"
    display.shows(said, "the end")
    os.write(master, b"\x1b[2J\x1b[3;10Hme\x1b[3;12Hnu the end")
    assert not looked(display, said, "the end", "the end"), "not all has been typed"
    assert os.read(master, 10) == b"c"
    os.write(master, b"\x1b[5;1Hprompt>")
    looked(display, said, "the end", "prompt>")
    assert os.read(master, 10) == b"ls\n"
    assert display.shows(said, "the end")
    assert not display.shows(said, "another end")
    display.close()


def test_a_display_that_has_gone_is_no_error(bochs: tuple[int, bytes]) -> None:
    master, said = bochs
    display = Display()
    display.shows(said, "text")
    os.write(master, b"some text")
    assert looked(display, said, "text", "some text")
    display.close()
    assert display.shows(b"", "text"), "what was there is still known"


def test_control_keys() -> None:
    assert keys("\\<ctrl-b>x\n") == b"\x02x\n"

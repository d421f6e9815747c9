"""Typing a line on a raw terminal."""

from __future__ import annotations

import random

import pytest

from monitor.host.line_editor import KEPT, LONGEST, LineEditor


def editor(words: tuple[str, ...] = ("info", "infoo", "stop")) -> LineEditor:
    return LineEditor("> ", lambda text: [word for word in words if word.startswith(text)])


@pytest.mark.parametrize(
    ("typed", "lines"),
    [
        (b"help\r", ["help"]), (b"a\nb\r", ["a", "b"]), (b"ab\x7fc\r", ["ac"]),
        (b"\x7f\x7fx\r", ["x"]),
        (b"one two\x17three\r", ["one three"]), (b"one\x17x\r", ["x"]), (b"abc\x15d\r", ["d"]),
        (b"abc\x03d\r", ["d"]), (b"\x1b[Ca\r", ["a"]), (b"\x1b[3~a\r", ["a"]),
        (b"s\t\r", ["stop "]),
        (b"i\tx\r", ["infox"]), ("ä€\r".encode(), ["ä€"]), (b"\xffa\r", ["a"]),
        (b"\x00\x02a\r", ["a"]),
        (b"one\rtwo\r\x1b[A\x1b[A\r", ["one", "two", "one"]), (b"one\r\x1bOA\x1bOB\r", ["one", ""]),
        (b"x\rx\ry\r\x1b[A\x1b[A\x1b[A\r", ["x", "x", "y", "x"]),
    ],
)  # fmt: skip
def test_keys(typed: bytes, lines: list[str]) -> None:
    whole = editor()
    assert whole.feed(typed)[1] == lines
    piecewise, found = editor(), []
    for at in range(len(typed)):
        found += piecewise.feed(typed[at : at + 1])[1]
    assert found == lines


def test_what_is_shown() -> None:
    one = editor()
    assert one.feed(b"a")[0] == "\r> a\x1b[K"
    assert one.feed(b"\r")[0] == "\n"
    assert one.line() == "\r> \x1b[K"
    assert "info  infoo" in one.feed(b"info\t")[0]


def test_bounds() -> None:
    one = editor()
    (line,) = one.feed(b"x" * (2 * LONGEST) + b"\r")[1]
    assert len(line) == LONGEST
    for number in range(3 * KEPT):
        one.feed(f"{number}\r".encode())
    assert one.feed(b"\x1b[A" * (5 * KEPT) + b"\r")[1] == [str(2 * KEPT)]


def test_any_bytes() -> None:
    dice = random.Random(1)
    one = editor()
    for _ in range(3000):
        _shown, lines = one.feed(dice.randbytes(dice.randrange(12)))
        assert all(line.isprintable() for line in lines)

"""What a submission prints, taken apart by test and case: bounded, and safe to read."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

from monitor.labs.printed import DIGITS, LINES, WIDTH, WITHOUT_END, Marks, Sorter

TOKEN = "5ec2e7"


def sorted_out(pieces: Iterable[bytes], plain: int = 0) -> Sorter:
    sorter = Sorter(TOKEN, plain)
    for piece in pieces:
        sorter.feed(piece)
    sorter.close()
    return sorter


def mark(test: int, case: str = "") -> bytes:
    return f"\0{TOKEN}{test} {case}\n".encode()


STREAM = (b"imported\n" + mark(0, "one") + b"a\nb" + mark(0, "two") + mark(0, "three") + b"c\n"
          + mark(2) + b"d\n\ne")  # fmt: skip


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_lines_are_shown_with_their_test_and_case(size: int) -> None:
    found = sorted_out((STREAM[n : n + size] for n in range(0, len(STREAM), size)), 1000)
    assert found.all() == {0: "imported\none:\n  a\n  b\nthree:\n  c", 2: "d\n\ne"}
    assert found.of(1) == ""
    assert bytes(found.plain) == b"imported\na\nbc\nd\n\ne"


def test_twenty_lines_of_a_test_and_how_many_more() -> None:
    text = b"".join(mark(0, f"case {n}") + b"line\n" for n in range(LINES + 1234))
    shown = sorted_out([text, mark(1), b"other\n" * (LINES + 1), mark(2), b"x\n" * LINES])
    lines = shown.of(0).splitlines()
    assert LINES == 20 and lines.count("  line") == LINES
    assert lines[-1] == "... and 1,234 lines more"
    assert shown.of(1).splitlines() == ["other"] * LINES + ["... and 1 line more"]
    assert shown.of(2).splitlines() == ["x"] * LINES


def test_long_lines_are_cut_and_need_no_end() -> None:
    found = sorted_out([b"y" * 1000 + b"\n", *[b"z" * 1000] * 200], plain=50)
    lines = found.of(0).splitlines()
    assert lines[0] == "y" * WIDTH + " ..." and lines[1] == "z" * WIDTH + " ..."
    assert len(lines) == 1 + -(-200_000 // (WITHOUT_END // 1000 * 1000 + 1000))
    assert bytes(found.plain) == b"y" * 50


@pytest.mark.parametrize("forged", [b"", b"x", b"-1 a", b"1e9 a", b"\xff\xfe a", b"\xb2 a", b"[[[[",
                                    b"9" * (DIGITS + 1) + b" a"])  # fmt: skip
def test_a_mark_that_is_none_changes_nothing(forged: bytes) -> None:
    found = sorted_out([mark(1, "right"), b"\0" + TOKEN.encode() + forged + b"\n", b"text\n"])
    assert found.all() == {1: "right:\n  text"}


def test_other_tokens_are_text() -> None:
    found = sorted_out([b"\0other1 a\n"])
    assert found.of(0) == "\0other1 a"


def test_marks_go_where_the_descriptor_went_at_first() -> None:
    reading, writing = os.pipe()
    marks = Marks(writing, TOKEN)
    os.close(writing)
    marks.begin(3, "in two\nlines")
    assert os.read(reading, 100) == mark(3, "in two lines")
    os.close(reading)
    marks.begin(4, "nobody listens")

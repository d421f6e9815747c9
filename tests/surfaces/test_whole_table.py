"""Tables at every width: nothing in them is cut, and what is laid out in parts says so."""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from rich import box

from monitor.writing import whole_console
from monitor.writing.whole_console import FULL, WholeConsole
from monitor.writing.whole_table import Beside, Table

NUMBERS = [f"{1_234_567 * place:,}" for place in range(1, 9)]
ADDRESS = "ff802de7"
SENTENCE = "page fault 3.50, chain 1.22, something else 44.44"


def text_of(shown: Any, width: int, **options: Any) -> str:
    stream = io.StringIO()
    WholeConsole(file=stream, width=width, highlight=False, **options).print(shown)
    return stream.getvalue()


def wide(**options: Any) -> Table:
    """Two keys, eight numbers, a sentence."""
    table = Table("what", "address", title="A title", keys=2, box=box.SIMPLE_HEAD, **options)
    for place in range(8):
        table.add_column(f"number {place}", no_wrap=True, justify="right")
    table.add_column("why")
    table.add_row("one", ADDRESS, *NUMBERS, SENTENCE)
    table.add_row("", "", *NUMBERS, "")
    return table


@pytest.mark.parametrize("colour", [None, "truecolor"])
@pytest.mark.parametrize("width", [1, 20, 40, 60, 80, 132, 200, FULL])
def test_every_number_is_whole(width: int, colour: Any) -> None:
    words = text_of(wide(), width, color_system=colour, force_terminal=colour is not None)
    found = Counter(words.split())
    for number in NUMBERS:
        assert found[number] == 2
    assert found[ADDRESS] >= 1
    for word in SENTENCE.split():
        assert found[word] == 1


@pytest.mark.parametrize("width", [40, 60, 80, 132, 200])
def test_it_keeps_to_the_width(width: int) -> None:
    assert max(map(len, text_of(wide(), width).splitlines())) <= width


def test_a_word_that_is_too_long_makes_it_long() -> None:
    table = Table("what")
    table.add_row("a" * 90)
    assert "a" * 90 in text_of(table, 60)


def test_parts_say_which_columns_they_have() -> None:
    lines = text_of(wide(), 60).splitlines()
    assert lines[:2] == ["A title", "In 3 parts: 60 columns of text are too few for one."]
    assert [line for line in lines if line.startswith("Part ")] == [
        "Part 2 of 3: number 3, number 4, number 5",
        "Part 3 of 3: number 6, number 7, why",
    ]
    assert sum("address" in line for line in lines) == 3  # the keys come again
    assert "parts" not in text_of(wide(), 200)


def test_words_are_wrapped_before_there_are_parts() -> None:
    table = Table("number", "why", box=None)
    table.columns[0].no_wrap = True
    table.add_row("1", SENTENCE)
    text = text_of(table, 30)
    assert "Part" not in text
    assert text.split() == ["number", "why", "1", *SENTENCE.split()]


def test_a_part_of_one_column_is_wrapped_as_far_as_words_go() -> None:
    """Closer than where parts could be made instead."""
    table = Table("key", "why", box=None)
    table.add_column("more", min_width=50)
    table.add_row("k" * 20, SENTENCE, SENTENCE)
    assert max(map(len, text_of(table, 36).splitlines())) <= 36


def test_columns_that_are_glued_stay_together() -> None:
    table = Table("key", "first address", "first text", "second address", "second text",
                  glued=(2, 4), box=None)  # fmt: skip
    table.add_row("k", *["twelve chars"] * 4)
    for column in table.columns:
        column.no_wrap = True
    parts = [line for line in text_of(table, 50).splitlines() if line.startswith("Part")]
    assert parts == ["Part 2 of 2: second address, second text"]


def test_a_row_with_a_key_is_in_every_part() -> None:
    """What follows it without one belongs to it."""
    table = Table("key", "a", "b", box=None)
    for column in table.columns:
        column.no_wrap = True
    table.add_row("one", "1" * 20, "")
    table.add_row("", "", "2" * 20)
    lines = text_of(table, 30).splitlines()
    assert [line.split() for line in lines[-2:]] == [["one"], ["2" * 20]]
    assert sum(line.split() == [] for line in lines) == 0  # nothing at all is not a row


def test_sections_and_styles_are_kept() -> None:
    table = wide()
    table.add_section()
    table.add_row("three", ADDRESS, *NUMBERS, SENTENCE, style="red")
    text = text_of(table, 60, color_system="standard", force_terminal=True)
    lines = text.splitlines()
    assert any("\x1b[31m" in line for line in lines)
    third = next(place for place, line in enumerate(lines) if "three" in line)
    assert not lines[third - 1].strip(" ─")  # the line of the section


def test_a_string_is_no_markup() -> None:
    table = Table("what")
    table.add_row("mov eax, [ebx]")
    table.add_row(":x: [/]")
    assert "mov eax, [ebx]" in text_of(table, 80)
    assert ":x: [/]" in text_of(table, 80)


def test_a_title_is_not_wrapped_to_its_table() -> None:
    title = "A title that is longer than what is below it"
    table = Table("a", title=title, caption="and a caption as well")
    table.add_row("1")
    assert text_of(table, 60).startswith(title + "\n")
    assert text_of(table, 60).endswith("and a caption as well\n")


# --- side by side ---------------------------------------------------------------------------------


def narrow(name: str) -> Table:
    table = Table(name, "count", title=f"Table {name}")
    table.add_row("a name of it", NUMBERS[0])
    return table


def test_tables_stand_side_by_side_where_there_is_room() -> None:
    tables = Beside([narrow("one"), narrow("two")])
    assert any("one" in line and "two" in line for line in text_of(tables, 80).splitlines())
    assert not any("one" in line and "two" in line for line in text_of(tables, 40).splitlines())


def test_not_all_of_them_stand_in_one_line_of_a_pipe() -> None:
    text = text_of(Beside([narrow(str(number)) for number in range(20)]), FULL)
    assert 100 < max(map(len, text.splitlines())) <= 160


@pytest.mark.parametrize("width", [10, 20, 30, 60, 80, 200, FULL])
def test_tables_side_by_side_are_whole(width: int) -> None:
    text = text_of(Beside([narrow("one"), wide(), narrow("two")]), width)
    assert Counter(text.split())[NUMBERS[0]] == 4
    assert max(map(len, text.splitlines())) <= max(width, 60) or width == FULL


# --- how wide -------------------------------------------------------------------------------------


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.delenv("COLUMNS", raising=False)
    yield monkeypatch


def test_text_is_printed_as_it_is(pipe: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    whole_console.whole_console(file=stream, markup=False).print("es:[ebx] :x: 0x10 " + "a" * 300)
    assert stream.getvalue() == "es:[ebx] :x: 0x10 " + "a" * 300 + "\n"


def test_a_pipe_is_as_wide_as_the_text(pipe: pytest.MonkeyPatch) -> None:
    assert whole_console.whole_console().width == FULL
    pipe.setenv("FORCE_COLOR", "1")  # which rich takes for a terminal
    assert whole_console.whole_console().width == FULL


@pytest.mark.parametrize(("columns", "width"), [
    ("60", 60), ("200", 200), ("0", FULL), ("", FULL), ("many", FULL), ("-5", FULL),
])  # fmt: skip
def test_columns_are_honoured_if_they_make_sense(
    pipe: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    pipe.setenv("COLUMNS", columns)
    assert whole_console.whole_console().width == width


class Screen(io.StringIO):
    """Taken for a terminal of 93 columns."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1


def test_a_terminal_knows_its_width(pipe: pytest.MonkeyPatch) -> None:
    pipe.setattr(sys, "stdout", Screen())
    pipe.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((93, 40)))
    pipe.setenv("TERM", "xterm")
    assert whole_console.whole_console().width == 93
    pipe.setenv("COLUMNS", "0")
    assert whole_console.whole_console().width == 93
    pipe.setenv("COLUMNS", "70")
    assert whole_console.whole_console().width == 70

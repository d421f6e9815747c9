"""Every guest of the table boots, does what is asked of it, and ends as it should."""

from __future__ import annotations

import re

import pytest
from boots import BOOTS, Boot, Life, embedded, live

from bt.instruction import WRONG_IN_RING3

ROWS = [(row, mode) for row in BOOTS for mode in row.modes]
EXACT = [row for row in BOOTS if len(row.modes) > 1 and row.clock == "icount"]


def parameter(row: Boot, *mode: str) -> object:
    """A row as a test parameter. A guest that is fetched is also too long for the pure build."""
    marks = [pytest.mark.guest, pytest.mark.slow] if row.files else []
    return pytest.param(row, *mode, marks=marks, id="-".join((row.name, *mode)))


def needed(row: Boot) -> None:
    if row.missing:
        pytest.skip(f"guests/ has no {', '.join(row.missing)}: `make guests` fetches them")


def check(row: Boot, life: Life) -> None:
    """Does the life match the row?"""
    assert life.outcome.kind == row.ends, life.where + "\n" + life.text[-2000:]
    assert re.search(row.console, life.text), life.text[-2000:]
    answers = life.answers()
    assert len(answers) == len(row.dialogue), life.text[-2000:]
    for (command, expected), answer in zip(row.dialogue, answers, strict=True):
        pattern = expected if isinstance(expected, str) else expected()
        assert re.search(pattern, answer, re.MULTILINE), f"{command}: {answer!r}"


@pytest.mark.parametrize(("row", "mode"), [parameter(row, mode) for row, mode in ROWS])
def test_it_boots(row: Boot, mode: str) -> None:
    needed(row)
    check(row, live(row, mode))


@pytest.mark.parametrize("row", [parameter(row) for row in EXACT])
def test_the_modes_give_the_same_life(row: Boot) -> None:
    """Under a clock of instructions nothing tells the guest that there is a monitor."""
    needed(row)
    first, *others = (live(row, mode) for mode in row.modes)
    for other in others:
        assert other.text == first.text
        assert other.statistics["instructions"] == first.statistics["instructions"]
        assert other.registers == first.registers
        assert other.memory == first.memory


@pytest.mark.parametrize("row", [parameter(row) for row in BOOTS if row.modes == ("trap",)])
def test_trap_mode_names_what_went_wrong(row: Boot) -> None:
    needed(row)
    life = live(row, "trap")
    wrong = {answer["mnemonic"]: answer for answer in life.statistics["wrong_answers"]}
    assert {"PUSHF", "POPF", "PUSH CS", "PUSH SS", "MOV"} <= set(wrong)
    if row.load is embedded:
        assert set(wrong) >= WRONG_IN_RING3
    for answer in wrong.values():
        assert answer["count"] > 0
        assert answer["first_eip"] > 0
        assert answer["got"] != answer["want"]

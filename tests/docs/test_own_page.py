"""docs/own-operations.md says what a run says: its files, its table, its errors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from monitor.bench import model
from monitor.bench.own import costs, setup
from monitor.bench.results import Options
from monitor.bench.suite_own import Asked, Own
from monitor.sweep import spec
from monitor.vmm.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "own-operations.md").read_text(encoding="utf-8")
FILE = ROOT / "benchmarks" / "own" / "popf.asm"
SWEEP = ROOT / "benchmarks" / "sweeps" / "popf.toml"
SETUPS = ("bare", "translate", "translate -stubs")
MISTAKES = ("hlt", ".a:; jmp .a", "jmp finish", "jmp 0x900000", "ud2", "pop eax", "bogus",
            "mov byte ptr [esi], 0xeb; mov byte ptr [esi + 1], 0xfe; jmp esi",
            "test ecx, 1; jz .on; nop; .on:")  # fmt: skip


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found, language
    return found[1]


def test_the_files_are_those_of_the_page() -> None:
    assert block("none") in FILE.read_text(encoding="utf-8")
    written = [line.partition("#")[0].rstrip() for line in SWEEP.read_text("utf-8").splitlines()]
    assert block("toml").split() == " ".join(written).split()
    assert len(spec.load(SWEEP).points()) == 2 * 6 * 5


def test_the_table_is_what_a_run_prints() -> None:
    options = Options(model.load(model.DEFAULT), rounds=40)  # a steady pass is exact
    asked = Asked([FILE], {"LENGTH": [0, 8, 64]}, [setup(text) for text in SETUPS])
    suite = Own(options, asked)
    results = suite.results(list(suite.plan.measure()))
    head, *lines = (re.split(r"  +", line) for line in block("text").splitlines())
    places = [results.head.index(name) for name in head]
    assert lines == [[line[place] for place in places] for line in results.lines]
    assert set(results.head) - set(head) == {"exits", "exits by reason"}


def test_what_goes_wrong_is_said_in_these_words() -> None:
    section = PAGE[PAGE.index("## What goes wrong") :]
    said = re.findall(r"`(it[^`]+)`", section)
    assert len(said) >= 8
    errors = []
    for code in MISTAKES:
        with pytest.raises(UserError) as error:
            costs({"mine": code}, rounds=1)
        errors.append(str(error.value))
    for words in said:
        assert any(words in error for error in errors), words

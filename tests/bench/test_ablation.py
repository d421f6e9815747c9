"""Leaving out a technique changes the figure that it should, and nothing of the guest's."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.bench import ablation, model, suites
from monitor.bench.ablation import EXPECTED
from monitor.bench.results import Options, Results
from monitor.bench.rows import ENDED_WELL
from monitor.cli import main
from monitor.guests import linux
from monitor.lockstep.pair import Pair
from monitor.vmm.ablations import ABLATIONS
from monitor.vmm.errors import UserError

ROUNDS = 40


@functools.cache
def found(*guests: str) -> Results:
    suite = suites.make("ablations", Options(model.load(model.DEFAULT), guests, ROUNDS))
    return suite.results(list(suite.plan.measure()))


def test_every_technique_has_its_figure() -> None:
    assert set(EXPECTED) == set(ABLATIONS)


GUESTS = ["nano", pytest.param("embedded", marks=pytest.mark.slow)]


@pytest.mark.parametrize("technique", ABLATIONS)
@pytest.mark.parametrize("guest", GUESTS)
def test_its_figure_moves_the_right_way(guest: str, technique: str) -> None:
    place = 2 * list(ABLATIONS).index(technique)
    with_it, without = found(guest).rows[place : place + 2]
    assert (with_it.setup.without, without.setup.without) == ((), (technique,))
    figure, more = EXPECTED[technique].of, EXPECTED[technique].more
    before, after = figure(with_it.counts), figure(without.counts)
    assert after > 3 * before if more else after == 0 < before
    assert without.cycles > with_it.cycles


@pytest.mark.parametrize("guest", GUESTS)
def test_the_guest_does_the_same_without(guest: str) -> None:
    assert {row.ended for row in found(guest).rows} == {ENDED_WELL}
    assert not found(guest).failed


def test_the_table_says_what_was_expected_and_what_came() -> None:
    results = found("nano")
    lines = [dict(zip(results.head, line, strict=True)) for line in results.lines]
    assert [line["without"] for line in lines] == list(ABLATIONS)
    assert {line["is"] for line in lines} == {"as it shall"}
    assert {line["guest's life"] for line in lines} == {"the same"}
    assert any("retranslation" in note for note in results.notes)


def test_a_figure_that_does_not_move_fails() -> None:
    suite = suites.make("ablations", Options(model.load(model.DEFAULT), ["nano"], ROUNDS))
    with_it, without = found("nano").rows[:2]
    results = suite.results([with_it, replace(without, counts=with_it.counts)])
    assert results.failed and "NOT SO" in results.lines[0]
    assert not suite.results([with_it, without]).failed


def test_a_guest_that_does_otherwise_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Pair, "agree", lambda pair: pair.count < 1000)
    assert main(["bench", "ablations", "--only", "nano", "--rounds", str(ROUNDS)]) == 1
    assert "NOT SO" in capsys.readouterr().out


def test_it_is_the_same_twice(tmp_path: Path) -> None:
    command = ["bench", "ablations", "--only", "nano", "--rounds", str(ROUNDS), "--out"]
    folders = [tmp_path / "a", tmp_path / "b"]
    contents = []
    for folder in folders:
        assert main([*command, str(folder)]) == 0
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]


def test_bad_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="choose from nano, embedded, linux"):
        ablation.choose(["windows"])
    monkeypatch.setattr(linux, "INITRD", Path("/nonexistent/initramfs"))
    assert main(["bench", "ablations", "--only", "linux"]) == 2
    assert "make guests" in capsys.readouterr().err
    assert main(["bench", "ablations", "--clock", "host"]) == 2
    assert "no --clock host" in capsys.readouterr().err

"""`vp mmu`."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from monitor.cli import main

GUEST = ("--demo", "--memory", "4", "--max-instructions", "300100")


def mmu(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["mmu", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    out = mmu(capsys, *GUEST)
    assert "paging on" in out
    assert "truncated below ff800000" in out
    assert "…" not in out


def test_fewer_ranges(capsys: pytest.CaptureFixture[str]) -> None:
    assert "smaller ones" in mmu(capsys, *GUEST, "--ranges", 2)


def test_json_and_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    svg = tmp_path / "mmu.svg"
    document = json.loads(mmu(capsys, *GUEST, "--json", "--svg", svg))
    assert document["count"] == 300_100
    ElementTree.fromstring(svg.read_text())


@pytest.mark.parametrize("mode", ["bare", "trap"])
def test_other_modes(capsys: pytest.CaptureFixture[str], mode: str) -> None:
    assert f"mode {mode}" in mmu(capsys, *GUEST, "--mode", mode)


@pytest.mark.parametrize("wrong", [["--ranges", "0"], ["--mode", "none"], ["--svg", "/no/where"]])
def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str], wrong: list[str]) -> None:
    assert main(["mmu", *GUEST, *wrong]) == 2
    error = capsys.readouterr().err
    assert error.startswith("vp: error: ")
    assert error.count("\n") == 1

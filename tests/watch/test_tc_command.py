"""`vp tc`."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from watch_lab import ORIGIN, assembled

from monitor.cli import main

SHORT = ("--memory", "4", "--max-instructions", "3000")


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "guest"
    path.write_bytes(assembled())
    return f"{path}@{ORIGIN:#x}"


def tc(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["tc", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_text(capsys: pytest.CaptureFixture[str], image: str) -> None:
    out = tc(capsys, "--flat", image, *SHORT)
    assert "gs:[VSYS]" in out
    assert "entered" in out


def test_one_line_for_each_block(capsys: pytest.CaptureFixture[str], image: str) -> None:
    out = tc(capsys, "--flat", image, *SHORT, "--summary", "--top", 2)
    assert len([line for line in out.splitlines() if "kernel" in line]) == 2


def test_filters(capsys: pytest.CaptureFixture[str], image: str) -> None:
    def blocks(*options: object) -> list[dict[str, object]]:
        found = json.loads(tc(capsys, "--flat", image, *SHORT, "--json", *options))
        return list(found["blocks"])

    everything = blocks("--top", 1000)
    assert len(blocks("--top", 2)) == 2
    assert len(blocks("--only-patched", "--top", 1000)) < len(everything)
    assert [block["eip"] for block in blocks("--at", hex(ORIGIN))] == [ORIGIN]
    assert blocks("--at", "0x10") == []
    assert all(block["hits"] is None for block in blocks("--no-hits"))


def test_files(capsys: pytest.CaptureFixture[str], image: str, tmp_path: Path) -> None:
    svg, dot = tmp_path / "tc.svg", tmp_path / "tc.dot"
    tc(capsys, "--flat", image, *SHORT, "--svg", svg, "--dot", dot)
    ElementTree.fromstring(svg.read_text())
    assert dot.read_text().startswith("digraph")


def test_the_embedded_guest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "kernel" in tc(capsys, "--demo", *SHORT)


WRONG = {
    "no guest": [],
    "two guests": ["--demo", "--flat", "x@0x1000"],
    "no address": ["--demo", "--at", "here"],
    "no block": ["--demo", "--top", "0"],
    "nowhere to write": ["--demo", "--svg", "/nowhere/at/all"],
}


@pytest.mark.parametrize("arguments", WRONG.values(), ids=WRONG)
def test_wrong_usage_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(["tc", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("vp: error: ")
    assert error.count("\n") == 1

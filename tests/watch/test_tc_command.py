"""`vp tc`."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
from watch_lab import ORIGIN, assembled

from monitor.cli import main
from monitor.watch import tc_read

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
    assert all(block["hits"] is None for block in blocks("--no-hits"))


def test_nothing_there_is_said(capsys: pytest.CaptureFixture[str], image: str) -> None:
    command = ["tc", "--flat", image, *SHORT]
    assert main([*command, "--at", "0x10"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert re.fullmatch(
        "vp: no block at 0x10, of the guest or of the cache: the cache holds ([0-9]+) now; "
        r"`--summary --top \1` lists them\n", told.err,
    )  # fmt: skip
    assert main([*command, "--at", hex(ORIGIN), "--only-patched"]) in (0, 1)


def test_no_patch_is_said_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "plain"
    path.write_bytes(bytes.fromhex("40 eb fd"))  # inc eax; jmp to it
    command = ["tc", "--flat", f"{path}@{ORIGIN:#x}", *SHORT]
    assert main([*command, "--only-patched"]) == 1
    assert capsys.readouterr().err.startswith("vp: no block with a stub or an exit: the cache")
    assert main(command) == 0


def test_an_empty_cache_is_said_too(
    capsys: pytest.CaptureFixture[str], image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is just after it was emptied."""
    read = tc_read.cache_view
    monkeypatch.setattr(tc_read, "cache_view", lambda machine: replace(read(machine), blocks=()))
    assert main(["tc", "--flat", image, *SHORT]) == 1
    assert capsys.readouterr().err == "vp: the translation cache holds no block now\n"


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

"""`vp trace`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.cli import main
from monitor.cli import trace as verb
from monitor.watch import trace_model

GUEST = ("--demo", "--memory", "4", "--max-instructions", "4000")


def trace(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["trace", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_the_kinds_are_the_models() -> None:
    assert verb.KINDS == trace_model.KINDS


def test_without_instructions(capsys: pytest.CaptureFixture[str]) -> None:
    lines = trace(capsys, *GUEST).splitlines()
    assert {line.split()[3] for line in lines} == {"exit", "device"}


def test_everything_is_the_same_in_every_mode(capsys: pytest.CaptureFixture[str]) -> None:
    """Told by `--mode bare` and by the default one."""
    some = ("--events", "instruction,block,device")
    assert trace(capsys, *GUEST, *some, "--mode", "bare") == trace(capsys, *GUEST, *some)


def test_filters(capsys: pytest.CaptureFixture[str]) -> None:
    out = trace(capsys, *GUEST, "--reason", "shadow fill", "--ring", 0,
                "--range", "0x100000-0x100200")
    for line in out.splitlines():
        assert line.endswith("shadow fill")
        assert 0x100000 <= int(line.split()[2], 16) < 0x100200
    assert out


def test_a_limit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", *GUEST, "--events", "all", "--limit", "25"]) == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 25
    assert "stopped after 25 events" in told.err


def test_to_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text, perfetto = tmp_path / "trace.txt", tmp_path / "trace.json"
    assert trace(capsys, *GUEST, "--out", text) == ""
    assert trace(capsys, *GUEST, "--chrome", perfetto) == ""
    events = json.loads(perfetto.read_text())["traceEvents"]
    shown = [event for event in events if event["ph"] not in "ME"]
    assert len(shown) == len(text.read_text().splitlines()) > 0


WRONG = {
    "kind": ["--events", "everything"],
    "range": ["--range", "0x1000"],
    "empty range": ["--range", "5-5"],
    "ring": ["--ring", "4"],
    "limit": ["--limit", "0"],
    "two files": ["--out", "a", "--chrome", "b"],
    "nowhere to write": ["--out", "/no/where/at/all"],
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str], wrong: list[str]) -> None:
    assert main(["trace", *GUEST, *wrong]) == 2
    error = capsys.readouterr().err
    assert error.startswith("vp: error: ")
    assert error.count("\n") == 1

"""`vp scan`: text, totals, JSON, limits and bad input."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

from monitor.cli import scan
from monitor.vmm.errors import UserError

CODE = bytes.fromhex("9c fa 0f01e0 9d 9c f4")


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    path = tmp_path / "code.bin"
    path.write_bytes(CODE)
    return path


def vp_scan(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    scan.add_arguments(parser)
    return scan.run(parser.parse_args([str(argument) for argument in arguments]))


def test_text(binary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vp_scan(binary, "--base", "0x7c00") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "raw at 0x7c00, 32 bits"
    assert lines[1].split() == [
        "00007c00",
        "9c",
        "pushfd",
        "critical",
        "PUSHF",
        "does",
        "not",
        "trap",
    ]
    assert lines[2].split() == ["00007c01", "fa", "cli", "privileged", "-", "traps"]
    assert [line.split()[0] for line in lines[3:7]] == [f"00007c0{n}" for n in "2567"]
    assert lines[-1] == (
        "8 bytes of code in 1 region: 2 privileged, 4 critical; 4 that ring 3 does not trap"
    )
    totals = [line.split()[:4] for line in lines if line.strip().startswith("2 ")]
    assert totals == [["2", "PUSHF", "critical", "PUSHF"]]


def test_limit_and_summary(binary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vp_scan(binary, "--limit", "2")
    out = capsys.readouterr().out
    assert "cli" in out and "smsw" not in out and "... and 4 more" in out
    assert "4 that ring 3 does not trap" in out
    vp_scan(binary, "--summary")
    out = capsys.readouterr().out
    assert "raw at" not in out and "more" not in out and "4 critical" in out


def test_sixteen_bits(binary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vp_scan(binary, "--bits", "16")
    assert "pushf " in capsys.readouterr().out


def test_json(binary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vp_scan(binary, "--json", "--limit", "3", "--base", "4096")
    document = json.loads(capsys.readouterr().out)
    assert document["regions"] == [{"name": "raw", "address": 4096, "bytes": 8, "bits": 32}]
    assert [entry["address"] for entry in document["instructions"]] == [0x1000, 0x1001, 0x1002]
    assert document["instructions"][2]["text"] == "smsw eax"
    assert document["instructions"][2]["traps_in_ring3"] is False
    assert document["by_class"] == {"privileged": 2, "critical": 4}
    assert document["not_trapped"] == 4
    assert document["totals"][0]["mnemonic"] == "PUSHF"
    assert document["totals"][0]["count"] == 2


def test_nothing_sensitive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nops"
    path.write_bytes(b"\x90" * 10)
    assert vp_scan(path) == 0
    assert "0 privileged, 0 critical" in capsys.readouterr().out


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone"):
        vp_scan(tmp_path / "gone")
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    with pytest.raises(UserError, match="empty"):
        vp_scan(empty)
    for wrong in (["--base", "x"], ["--base", "-1"], ["--bits", "64"], ["--limit", "many"]):
        with pytest.raises(SystemExit):
            vp_scan(empty, *wrong)


def test_importing_the_verb_is_cheap() -> None:
    code = (
        "import sys, monitor.cli.scan; "
        "assert not {'rich', 'capstone', 'numpy', 'bt.table'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)

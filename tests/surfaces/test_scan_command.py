"""`vp scan` as a verb of the command, on raw code and on real programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.cli import VERBS, main

GUESTS = Path(__file__).parents[2] / "guests"
BUSYBOX = GUESTS / "busybox"


def scan(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["scan", *map(str, arguments)]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    return told.out


def test_it_is_a_verb() -> None:
    assert "scan" in VERBS


def test_raw_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "code"
    path.write_bytes(bytes.fromhex("fa 9c 58 8cc8 9d fb"))  # cli, pushf, pop, mov eax cs, popf, sti
    lines = scan(capsys, path, "--base", "0x7C00").splitlines()
    found = {line.split()[0]: line.endswith("does not trap") for line in lines if "7c0" in line[:8]}
    assert found == {
        "00007c00": False,
        "00007c01": True,
        "00007c03": True,
        "00007c05": True,
        "00007c06": False,
    }
    assert "2 privileged, 3 critical; 3 that ring 3 does not trap" in lines[-1]


@pytest.mark.guest
@pytest.mark.skipif(not BUSYBOX.exists(), reason="no guests/busybox: `make guests`")
def test_a_real_program(capsys: pytest.CaptureFixture[str]) -> None:
    """A user's program: system calls trap, and next to nothing else is in it."""
    document = json.loads(scan(capsys, BUSYBOX, "--json"))
    assert sum(region["bytes"] for region in document["regions"]) > 1_000_000
    counts = {(row["mnemonic"], row["class"]): row["count"] for row in document["totals"]}
    assert sum(counts.values()) == len(document["instructions"])
    assert counts["INT", "critical"] > 0
    assert document["not_trapped"] < 50

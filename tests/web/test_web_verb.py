"""`vp web`: the address that it prints, what it refuses, how it ends."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from attending import needs
from patience import PATIENCE

from bt.assembler import assemble
from monitor.cli import main

GUEST = "mov edx, 0x3f8; mov al, 'x'; out dx, al; again: inc eax; jmp again"


@pytest.fixture
def guest(tmp_path: Path) -> str:
    (tmp_path / "guest.bin").write_bytes(assemble(GUEST, 0x100000))
    return f"{tmp_path}/guest.bin@0x100000"


@needs("aiohttp", "PIL")
def test_it_prints_its_address_and_serves_the_page(guest: str) -> None:
    command = [sys.executable, "-m", "monitor", "web", "--flat", guest, "--memory", "2", "--quiet",
               "--serial", "stdio"]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:  # fmt: skip
        try:
            assert process.stderr is not None and process.stdout is not None
            url = process.stderr.readline().strip()
            assert url.startswith("http://127.0.0.1:")
            with urllib.request.urlopen(url, timeout=PATIENCE) as page:
                assert b"Virtual Platform" in page.read()
            assert process.stdout.read(1) == "x"  # it runs, and attends to signals
        finally:
            process.terminate()
        assert process.wait(PATIENCE) == 128 + 15


@needs("aiohttp", "PIL")
def test_it_ends_as_vp_run_does(guest: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["web", "--flat", guest, "--memory", "2", "--until", "x", "--quiet"]) == 0
    assert capfd.readouterr().out == ""
    assert main(["web", "--flat", guest, "--memory", "2", "--max-instructions", "50",
                 "--listen", "[::1]:0", "--vga", "none", "--quiet"]) == 0  # fmt: skip


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("8080", "give HOST:PORT"),
        ("localhost:", "give HOST:PORT"),
        ("localhost:65536", "give HOST:PORT"),
        ("0.0.0.0:80", "not encrypted"),
        ("evil.example:80", "not encrypted"),
    ],
)
def test_where_it_does_not_listen(
    guest: str, where: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["web", "--flat", guest, "--listen", where]) == 2
    said = capsys.readouterr().err
    assert why in said and said.count("\n") == 1


@pytest.mark.parametrize("package", ["aiohttp", "PIL"])
def test_without_its_packages_it_says_what_to_install(
    guest: str, package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    modules: dict[str, Any] = sys.modules  # type: ignore[assignment]
    monkeypatch.setitem(modules, package, None)
    assert main(["web", "--flat", guest]) == 2
    said = capsys.readouterr().err
    assert "pip install 'virtual-platform[web]'" in said and said.count("\n") == 1

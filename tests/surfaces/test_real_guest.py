"""The command with a real machine: the embedded guest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

from monitor.guests import embedded_image
from monitor.guests.assembler import assemble

ECHO = """
    mov dx, 0x3F8
    mov al, 0x24
    out dx, al
    mov al, 0x20
    out dx, al
wait: inc ebx
    mov dx, 0x3FD
    in al, dx
    test al, 1
    jz wait
    mov dx, 0x3F8
    in al, dx
    out dx, al
    cmp al, 10
    jne wait
    mov al, 0
    out 0xF4, al
"""


def command(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    line = [sys.executable, "-m", "monitor", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("guest") / "embedded.bin"
    path.write_bytes(embedded_image().image)
    return path


def test_its_console_is_standard_output(image: Path, tmp_path: Path) -> None:
    stats = tmp_path / "stats.json"
    options = ["--mode", "bare", "--memory", 8, "--stats", stats, "--timeout", PATIENCE]
    done = command("run", "--multiboot", image, *options)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().split("\r\n")[:-1] == list(embedded_image().expected_console)
    assert json.loads(stats.read_text())["instructions"] > 500_000


def test_until_stops_it_early(image: Path) -> None:
    until = "check cli-pushf ok"
    done = command("run", "--flat", f"{image}@0x100000", "--mode", "bare", "--until", until)
    assert done.returncode == 0, done.stderr.decode()
    assert until in done.stdout.decode()
    assert "wrong" not in done.stdout.decode()


def test_the_demo() -> None:
    done = command("demo")
    told = " ".join(done.stdout.decode().split())
    assert done.returncode == 0, told
    assert "bare: all 150 checks right. trap: " in told
    assert "as it must be on x86. translate: all 150 checks right." in told
    assert all(words in told for words in ("popf-clears-if", "Patched instructions", "POPF"))


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_one_mode_of_the_demo(mode: str) -> None:
    done = command("demo", "--mode", mode)
    assert done.returncode == 0, done.stdout.decode()
    assert f"{mode}: all 150 checks right." in done.stdout.decode()


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_typing(mode: str, tmp_path: Path) -> None:
    """A guest that prompts, and echoes each byte to the end of the line."""
    echo = tmp_path / "echo"
    echo.write_bytes(assemble(lambda _name: ECHO, "echo.asm", 0x100000).image)
    options = [
        "--type",
        "abc",
        "--type-after",
        "c",
        "--type",
        r"d\n",
        "--quiet",
        "--timeout",
        PATIENCE,
    ]
    done = command("run", "--flat", f"{echo}@0x100000", "--mode", mode, *options)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == b"$ abcd\n"


def test_code_that_faults_is_reported(tmp_path: Path) -> None:
    (tmp_path / "ud2").write_bytes(b"\x0f\x0b")
    done = command("run", "--flat", f"{tmp_path / 'ud2'}@0x100000", "--mode", "bare", "--quiet")
    assert done.returncode == 1
    assert "triple fault" in done.stderr.decode()
    assert "00100000  ud2" in done.stderr.decode()

"""`vp run --gdb`: its options, and the console that goes on beside the debugger."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from debuggee import LETTERS, ORIGIN, debuggee
from patience import PATIENCE
from raw_client import Client

from monitor import Machine
from monitor.cli import main
from monitor.gdb.server import GdbServer

ECHO = bytes.fromhex(  # every character that comes in goes out, until a line ends
    "66bafd03 ec a801 74f7 66baf803 ec ee 3c0a 75ed b000 e6f4"
)


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "debuggee.bin"
    path.write_bytes(debuggee().image)
    return f"{path}@{ORIGIN:#x}"


@contextmanager
def vp(*arguments: object) -> Iterator[tuple[subprocess.Popen[bytes], Client]]:
    """`vp run --gdb 0 --gdb-wait` as a process of its own, and a debugger that is attached."""
    line = [sys.executable, "-m", "monitor", "run", "--gdb", "0", "--gdb-wait",
            "--timeout", PATIENCE]  # fmt: skip
    process = subprocess.Popen(
        [*map(str, line), *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    client = None
    try:
        told = process.stderr.readline().decode()
        port = re.search(r"gdb: the guest waits on port (\d+); in another terminal: gdb ", told)
        assert port is not None, told
        client = Client(int(port[1]))
        yield process, client
    finally:
        process.kill()
        process.communicate()
        if client is not None:
            client.close()


@pytest.mark.parametrize("port", ["65536", "-1", "x", "", "12.5", "0x10"])
def test_bad_ports(port: str, image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--flat", image, f"--gdb={port}"]) == 2
    assert "choose a port from 0" in capsys.readouterr().err


def test_a_wait_for_nobody(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--flat", image, "--gdb-wait"]) == 2
    assert "--gdb-wait needs --gdb" in capsys.readouterr().err


def test_a_port_that_is_taken(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    with GdbServer(Machine(memory_mb=1)) as other:
        assert main(["run", "--flat", image, "--serial", "null", "--gdb", str(other.port)]) == 2
    assert "cannot listen there" in capsys.readouterr().err


def test_nobody_attaches(image: str) -> None:
    line = [sys.executable, "-m", "monitor", "run", "--flat", image, "--gdb", "0", "--quiet"]
    done = subprocess.run(line, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)
    assert done.returncode == 7
    assert done.stdout.startswith(LETTERS.encode())
    assert re.fullmatch(rb"gdb: listening on port (\d+); in another terminal: "
                        rb"gdb -ex 'target remote localhost:\1'\n", done.stderr)  # fmt: skip


def test_the_console_in_a_file(image: str, tmp_path: Path) -> None:
    console = tmp_path / "console.txt"
    with vp("--flat", image, "--serial", f"file:{console}") as (process, client):
        assert client.ask(b"?").startswith(b"T05")
        assert client.ask(b"c") == b"W07"
        assert process.wait(PATIENCE) == 7
    assert console.read_bytes().startswith(LETTERS.encode())


def test_typing_while_a_debugger_is_attached(tmp_path: Path) -> None:
    (tmp_path / "echo.bin").write_bytes(ECHO)
    with vp("--flat", f"{tmp_path / 'echo.bin'}@0x100000") as (process, client):
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"typed before")
        process.stdin.flush()
        client.send(b"c")
        assert process.stdout.read(12) == b"typed before"
        client.link.sendall(b"\x03")
        assert client.reply().startswith(b"T02")
        process.stdin.write(b", and after\n")
        process.stdin.flush()
        assert client.ask(b"c") == b"W01"
        assert process.stdout.read(12) == b", and after\n"


def test_a_signal_ends_a_guest_that_is_stopped(image: str) -> None:
    with vp("--flat", image) as (process, client):
        assert client.ask(b"?").startswith(b"T05")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM

"""The monitor's console where people meet it: Ctrl-A c on a terminal, `--monitor stdio`, gdb."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_terminal import Terminal
from patience import PATIENCE
from vp_command import spawn

SPIN = bytes.fromhex("40 eb fd")  # again: inc eax, jmp again


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "spin.bin"
    path.write_bytes(SPIN)
    return path


@pytest.fixture
def terminal(image: Path) -> Iterator[Terminal]:
    terminal = Terminal(image, "--memory", "2M", real=True)
    yield terminal
    terminal.close()


def test_ctrl_a_c_leads_to_the_console_and_back(terminal: Terminal) -> None:
    terminal.wait_for(b"Ctrl-A h for help")
    terminal.type(b"\x01c")
    terminal.wait_for(b"(vp) ")
    terminal.type(b"info statuz\x7fs\r")
    terminal.wait_for(b"VM status: running, mode translate")
    terminal.type(b"stop\rinfo status\r")
    terminal.wait_for(b"VM status: stopped")
    terminal.type(b"x /1i 0x1000\rinfo nope\r")
    terminal.wait_for(b"00001000: inc eax")
    terminal.wait_for(b"there is no info 'nope'")
    terminal.type(b"\x01c")  # keys are the guest's again
    terminal.type(b"quit\r")
    terminal.type(b"\x01cquit\r")
    assert terminal.ends() == 0
    assert terminal.settings == terminal.before
    seen = terminal.seen
    assert seen.count(b"`help` lists its words") == 1
    console = seen[seen.index(b"monitor console:") :]  # where no progress is drawn any more
    assert not re.findall(rb".{20}(?<!\r)\n.{20}", console, re.DOTALL)


def talk(image: Path, lines: bytes, *options: str) -> tuple[int, str, str]:
    process = spawn("run", "--flat", f"{image}@0x1000", "--memory", "2M", "--monitor", "stdio",
                    *options, real=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE)  # fmt: skip
    out, err = process.communicate(lines, PATIENCE)
    return process.returncode, out.decode(), err.decode()


def test_lines_of_a_pipe_are_answered(image: Path) -> None:
    lines = b"stop\ninfo status\nxp /3xb 0x1000\nbogus\n\nquit\n"
    status, out, _ = talk(image, lines, "--serial", "null")
    assert status == 0
    said = out.splitlines()
    assert len(said) == 3
    assert said[0].startswith("VM status: stopped")
    assert said[1] == "00001000: 0x40 0xeb 0xfd"
    assert said[2] == "there is no command 'bogus': `help` lists what there is"


def test_the_end_of_the_lines_ends_nothing(image: Path) -> None:
    status, out, err = talk(image, b"info version", "--serial", "null", "--max-instructions", "9")
    assert (status, out) == (0, "") and "instruction limit" in err


def test_both_on_standard_input_is_refused(image: Path) -> None:
    status, out, err = talk(image, b"")
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert "--serial null" in err


@pytest.fixture
def listening(image: Path, tmp_path: Path) -> Iterator[socket.socket]:
    """A connection to the console of a machine that spins."""
    path = tmp_path / "console"
    process = spawn("run", "--flat", f"{image}@0x1000", "--memory", "2M", "--serial", "null",
                    "--monitor", f"socket:{path},server", real=True,
                    stderr=subprocess.PIPE)  # fmt: skip
    assert process.stderr
    assert f"monitor: socket:{path}, and" in process.stderr.readline().decode()
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(PATIENCE)
        peer.connect(str(path))
        yield peer
    process.kill()
    process.communicate()


def until_prompt(peer: socket.socket) -> str:
    heard = b""
    while not heard.endswith(b"(vp) "):
        piece = peer.recv(4096)
        assert piece, heard
        heard += piece
    return heard.decode()


def test_a_program_asks_on_a_connection(listening: socket.socket) -> None:
    assert "`help` lists its words" in until_prompt(listening)
    listening.sendall(b"stop\n")
    assert until_prompt(listening) == "(vp) "
    listening.sendall(b"info sta")
    listening.sendall(b"tus\n")
    assert until_prompt(listening).startswith("VM status: stopped, mode translate")
    listening.sendall(b"bogus\n")
    assert until_prompt(listening).startswith("there is no command 'bogus'")
    listening.sendall(b"quit\n")
    while listening.recv(4096):
        pass


def test_who_connects_next_is_greeted_too(listening: socket.socket) -> None:
    until_prompt(listening)
    with socket.socket(socket.AF_UNIX) as another:
        another.settimeout(PATIENCE)
        another.connect(listening.getpeername())
        listening.sendall(b"info version\n")
        until_prompt(listening)
        listening.shutdown(socket.SHUT_WR)  # it makes room
        assert "`help` lists its words" in until_prompt(another)
        another.sendall(b"info status\n")
        assert "running" in until_prompt(another)


def test_a_flood_of_lines_waits_for_its_answers(listening: socket.socket) -> None:
    until_prompt(listening)
    lines = 3_000
    sender = threading.Thread(target=listening.sendall, args=(b"info status\n" * lines,))
    sender.start()
    sender.join()
    heard = b""
    for _ in range(lines):
        while b"(vp) " not in heard:
            heard += listening.recv(1 << 12)
        answer, _, heard = heard.partition(b"(vp) ")
        assert answer.startswith(b"VM status: running")


def test_a_pseudo_terminal_echoes(image: Path) -> None:
    process = spawn("run", "--flat", f"{image}@0x1000", "--memory", "2M", "--serial", "null",
                    "--monitor", "pty", real=True, stderr=subprocess.PIPE)  # fmt: skip
    assert process.stderr
    name = process.stderr.readline().decode().removeprefix("monitor: ").strip()
    with open(name, "r+b", buffering=0) as typed:
        typed.write(b"info statuz\x7fs\rquit\r")
        heard = b""
        while b"VM status: running" not in heard:
            heard += typed.read(4096)
        assert b"(vp) info status" in heard
        assert process.wait(PATIENCE) == 0
    process.communicate()


@pytest.mark.parametrize("where", ["null", "file:/tmp/x"])
def test_where_nobody_could_ask_is_refused(image: Path, where: str) -> None:
    process = spawn("run", "--flat", f"{image}@0x1000", "--monitor", where,
                    stderr=subprocess.PIPE)  # fmt: skip
    said = process.communicate(timeout=PATIENCE)[1].decode()
    assert process.returncode == 2 and said.count("\n") == 1
    assert "nobody could ask there; choose from stdio" in said


def test_nobody_reads_the_answers(image: Path) -> None:
    process = spawn("run", "--flat", f"{image}@0x1000", "--memory", "2M", "--monitor", "stdio",
                    "--serial", "null", real=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE)  # fmt: skip
    assert process.stdin and process.stdout and process.stderr
    process.stdout.close()
    process.stdin.write(b"info status\nquit\n")
    process.stdin.close()
    assert process.wait(PATIENCE) == 0
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()

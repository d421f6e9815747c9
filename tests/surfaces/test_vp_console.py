"""The monitor's console where people meet it: Ctrl-A c on a terminal, `--monitor stdio`, gdb."""

from __future__ import annotations

import re
import subprocess
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

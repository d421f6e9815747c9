"""The guest's console on a terminal (a pseudo-terminal here), and through pipes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fake_terminal import JOB_CONTROL
from patience import PATIENCE
from vp_command import spawn

from monitor.host.terminal import CHUNK, MOST, EscapeKeys, InputReader


def test_keys_go_to_the_guest_and_output_comes_back(terminals: Any) -> None:
    terminal = terminals("prompt login: \nread\nprint bye\nend poweroff")
    terminal.wait_for(b"login: ")
    assert terminal.raw
    terminal.type(b"root\x03\x1a\n")  # Ctrl-C and Ctrl-Z are the guest's
    terminal.wait_for(b"login: root\x03\x1a\r\nbye\r\n")
    assert terminal.ends() == 0
    assert terminal.settings == terminal.before


def test_ctrl_a_x_leaves(terminals: Any) -> None:
    terminal = terminals("prompt > \nspin")
    terminal.wait_for(b"> ")
    terminal.type(b"\x01x")
    assert terminal.ends() == 0
    assert terminal.settings == terminal.before
    assert b"\x01" not in terminal.seen


def test_ctrl_a_twice_is_one_for_the_guest(terminals: Any) -> None:
    terminal = terminals("prompt > \nspin")
    terminal.wait_for(b"> ")
    terminal.type(b"a\x01")
    terminal.type(b"\x01b")
    terminal.wait_for(b"> a\x01b")


def test_ctrl_a_h_and_s_speak_with_carriage_returns(terminals: Any) -> None:
    terminal = terminals("prompt > \nspin")
    terminal.wait_for(b"> ")
    terminal.type(b"\x01h")
    terminal.wait_for(b"\r\nCtrl-A x        leave the machine\r\n")
    terminal.type(b"\x01s")
    text = terminal.wait_for(b"MIPS")
    figures = re.search(rb"1,234,567 instructions in (\d+\.\d+) s", text)
    assert figures and float(figures[1]) < 9999  # the time until now, not that of runs before
    assert b"\n" not in text.replace(b"\r\n", b"")


def test_ctrl_a_w_writes_a_checkpoint(terminals: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.vpcheck"
    terminal = terminals("prompt > \nspin", "--checkpoint", str(path))
    terminal.wait_for(b"> ")
    terminal.type(b"\x01w")
    terminal.wait_for(b"\r\nvp: checkpoint after 1,234,567 instructions")
    assert path.read_bytes() == b"checkpoint"


def test_ctrl_a_w_without_a_file_says_how(terminals: Any) -> None:
    terminal = terminals("prompt > \nspin")
    terminal.wait_for(b"> ")
    terminal.type(b"\x01w")
    terminal.wait_for(b"vp: no file to write: --checkpoint FILE names it")


def test_a_crash_restores_the_terminal(terminals: Any) -> None:
    terminal = terminals("prompt > \nread\ncrash")
    terminal.wait_for(b"> ")
    terminal.until_raw(True)
    terminal.type(b"\n")
    assert terminal.ends() == 1
    assert b"ZeroDivisionError: a bug" in terminal.seen
    assert terminal.settings == terminal.before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_and_restores_the_terminal(
    terminals: Any, tmp_path: Path, number: signal.Signals
) -> None:
    stats = tmp_path / "stats.json"
    terminal = terminals("prompt > \nspin", "--stats", str(stats))
    terminal.wait_for(b"> ")
    terminal.process.send_signal(number)
    assert terminal.ends() == 128 + number
    assert terminal.settings == terminal.before
    assert stats.exists()


def test_being_stopped_gives_the_terminal_back_for_a_while(terminals: Any) -> None:
    terminal = terminals("prompt > \nspin", shell=JOB_CONTROL)
    job = int(re.search(rb"job (\d+)", terminal.wait_for(b"> "))[1])
    os.kill(job, signal.SIGTSTP)
    terminal.wait_for(b"stopped;")
    assert terminal.settings == terminal.before
    os.kill(job, signal.SIGCONT)
    terminal.until_raw(True)
    terminal.type(b"\x01x")
    assert terminal.ends() == 0
    assert terminal.settings == terminal.before


def test_progress_shows_figures_and_the_last_line(terminals: Any) -> None:
    terminal = terminals("print booting\nspin", "--serial", "null")
    terminal.wait_for(b"1,234,567 instructions")
    terminal.wait_for(b"booting")
    assert not terminal.raw
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.ends() == 128 + signal.SIGINT


# --- an endless pipe ------------------------------------------------------------------------------


def test_no_more_is_read_than_the_guest_can_take() -> None:
    heard: list[int] = []
    taken = [0]
    read, write = os.pipe()
    os.set_blocking(write, False)

    def flood() -> None:
        with suppress(BlockingIOError):
            os.write(write, bytes(CHUNK))

    def read_until(enough: int) -> None:
        end = time.monotonic() + PATIENCE
        while sum(heard) < enough:
            assert time.monotonic() < end, "it was never read"
            flood()

    with InputReader(read, lambda data: heard.append(len(data)),
                     lambda: sum(heard) - taken[0], lambda: None):  # fmt: skip
        read_until(MOST)
        for _ in range(1000):
            flood()  # until the pipe is full
        assert sum(heard) < MOST + CHUNK
        taken[0] = MOST
        read_until(2 * MOST)
    os.close(read)
    os.close(write)


# --- pipes ----------------------------------------------------------------------------------------


def piped(tmp_path: Path, steps: str, typed: bytes, *options: str) -> tuple[int, bytes]:
    """`vp run` with pipes for standard input and output."""
    image = tmp_path / "guest"
    image.write_text(steps)
    process = spawn("run", "--flat", f"{image}@0", "--quiet", *options,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, _ = process.communicate(typed, timeout=PATIENCE)
    return process.returncode, out


def test_a_pipe_s_bytes_go_to_the_guest_unchanged(tmp_path: Path) -> None:
    status, out = piped(tmp_path, "read\nend poweroff", b"a\x01x\n")
    assert (status, out) == (0, b"a\x01x\r\n")


def test_the_end_of_the_input_ends_nothing(tmp_path: Path) -> None:
    status, out = piped(tmp_path, "print on\nspin", b"", "--timeout", "0.5")
    assert (status, out) == (1, b"on\r\n")


def test_no_standard_input_at_all(tmp_path: Path) -> None:
    image = tmp_path / "guest"
    image.write_text("print on\nend poweroff")
    process = spawn("run", "--flat", f"{image}@0", "--quiet", stdout=subprocess.PIPE,
                    preexec_fn=lambda: os.close(0))
    out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, b"on\r\n")


def test_a_reader_that_leaves_ends_the_run_quietly(tmp_path: Path) -> None:
    image = tmp_path / "guest"
    image.write_text("print one\nread\nprint two\nspin")
    process = spawn("run", "--flat", f"{image}@0", "--quiet",
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin and process.stdout and process.stderr
    assert process.stdout.readline() == b"one\r\n"
    process.stdout.close()
    process.stdin.write(b"go on\n")
    process.stdin.flush()
    assert process.wait(PATIENCE) == 128 + signal.SIGPIPE
    assert process.stderr.read() == b""
    process.stdin.close()
    process.stderr.close()


def test_unknown_commands_are_dropped() -> None:
    keys = EscapeKeys({})
    assert keys.feed(b"a\x01zb") == b"ab"

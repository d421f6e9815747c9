"""What `vp run` shows before its guest says something, on a terminal and elsewhere."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from fake_terminal import JOB_CONTROL
from patience import PATIENCE
from screen import Screen
from vp_command import spawn

PLACE = b"at 0x00100000"  # the end of the line
FIGURES = re.compile(r"\d+\.\d s  1,234,567 instructions  0\.0 MIPS  at 0x00100000")
END = re.compile(r"vp: the guest's end: poweroff; 1,234,567 instructions in .*, mode translate")


def progress_of(screen: Screen) -> list[str]:
    return [line for line in screen.lines if "MIPS" in line and not line.startswith("vp: ")]


def test_it_is_there_at_once_and_gone_with_the_first_output(terminals: Any) -> None:
    terminal = terminals("read\nprint hello\nend poweroff")
    terminal.wait_for(PLACE)
    before = Screen(terminal.seen)
    assert before.lines[0].startswith("vp: running flat image ")
    assert before.lines[0].endswith(" in mode translate, 128 MiB; Ctrl-A h for help")
    assert FIGURES.fullmatch(before.lines[1]) and len(before.lines) == 2
    terminal.type(b"x\n")
    assert terminal.ends() == 0
    lines = Screen(terminal.seen).lines
    assert lines[1:3] == ["x", "hello"]
    assert END.fullmatch(lines[3]) and len(lines) == 4
    assert Screen(terminal.seen).cursor_shown


def test_nothing_is_drawn_once_the_guest_has_spoken(terminals: Any) -> None:
    """However long it is silent then."""
    terminal = terminals("print hello\nread\nend poweroff")
    terminal.wait_for(b"hello\r\n")
    time.sleep(0.6)  # two drawings' time
    terminal.type(b"on\n")
    terminal.wait_for(b"vp: the guest's end")
    rest = terminal.seen.partition(b"hello\r\n")[2]
    assert rest.startswith(b"on\r\nvp: the guest's end") and b"\x1b[2K" not in rest


def test_help_does_not_mix_with_it(terminals: Any) -> None:
    terminal = terminals("spin")
    terminal.wait_for(PLACE)
    terminal.type(b"\x01h")
    terminal.wait_for(b"one Ctrl-A to the guest")
    drawn = len(terminal.seen)
    while PLACE not in terminal.seen[drawn:]:
        terminal.wait_for_more()
    screen = Screen(terminal.seen)
    assert screen.lines[2] == "Ctrl-A x        leave the machine"
    assert len(progress_of(screen)) == 1 and FIGURES.fullmatch(screen.lines[-1])
    terminal.type(b"\x01x")
    assert terminal.ends() == 0
    assert progress_of(Screen(terminal.seen)) == []


def test_being_stopped_takes_it_away_for_a_while(terminals: Any) -> None:
    terminal = terminals("spin", shell=JOB_CONTROL)
    job = int(re.search(rb"job (\d+)", terminal.wait_for(PLACE))[1])
    os.kill(job, signal.SIGTSTP)
    terminal.wait_for(b"stopped;")
    screen = Screen(terminal.seen)
    assert progress_of(screen) == [] and screen.cursor_shown
    drawn = len(terminal.seen)
    os.kill(job, signal.SIGCONT)
    while PLACE not in terminal.seen[drawn:]:
        terminal.wait_for_more()
    terminal.until_raw(True)
    terminal.type(b"\x01x")
    assert terminal.ends() == 0


def test_a_prompt_is_left_alone_by_the_last_line(terminals: Any) -> None:
    terminal = terminals("prompt / # \nend poweroff")
    assert terminal.ends() == 0
    lines = Screen(terminal.seen).lines
    assert lines[1] == "/ #" and END.fullmatch(lines[2])


def test_where_the_console_is_elsewhere_it_stays(terminals: Any) -> None:
    """With the console's last line, and what would act on the terminal taken out."""
    terminal = terminals("print boot\x1b[2Jing\nspin", "--serial", "null")
    terminal.wait_for(b"boot[2Jing")
    assert len(progress_of(Screen(terminal.seen))) <= 1
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.ends() == 128 + signal.SIGINT
    assert progress_of(Screen(terminal.seen)) == []


def test_quiet_is_quiet(terminals: Any) -> None:
    terminal = terminals("read\nend poweroff", "--quiet")
    terminal.until_raw(True)
    time.sleep(0.6)
    terminal.type(b"x\n")
    assert terminal.ends() == 0
    assert terminal.seen == b"x\r\n"


@pytest.mark.parametrize("force", ["", "1"])
def test_a_pipe_gets_lines_and_the_guest_s_bytes(tmp_path: Path, force: str) -> None:
    image = tmp_path / "guest"
    image.write_text("read\nprint hello\nend poweroff")
    process = spawn("run", "--flat", f"{image}@0", environment={"FORCE_COLOR": force},
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    time.sleep(0.6)  # a display would be drawn by now
    out, err = process.communicate(b"x\n", timeout=PATIENCE)
    assert out == b"x\r\nhello\r\n"
    first, last = err.decode().splitlines()
    assert first == f"vp: running flat image {image} in mode translate, 128 MiB"
    assert END.fullmatch(last)


def test_a_terminal_that_cannot_be_drawn_on(terminals: Any) -> None:
    terminal = terminals("read\nend poweroff", TERM="dumb")
    terminal.wait_for(b"help\r\n")
    terminal.until_raw(True)
    time.sleep(0.6)
    terminal.type(b"x\n")
    assert terminal.ends() == 0
    assert b"\x1b" not in terminal.seen

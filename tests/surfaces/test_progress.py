"""Progress on standard error: drawn on a terminal alone, and gone at the end."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from patience import PATIENCE
from screen import Screen

import monitor
from bt.assembler import assemble
from monitor.writing.progress import StatusLine, bar, visible

ROOT = Path(monitor.__file__).parent.parent


class Terminal(io.StringIO):
    """Standard error that says it is one."""

    def isatty(self) -> bool:
        return True

    @property
    def screen(self) -> Screen:
        return Screen(self.getvalue().replace("\n", "\r\n").encode())


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name, value in (("TERM", "xterm"), ("COLUMNS", "80"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    return Terminal()


def on(terminal: Terminal) -> redirect_stderr[Terminal]:
    """Not in the fixture, since pytest's own streams are put in place behind it."""
    return redirect_stderr(terminal)


def test_a_bar_says_how_far_it_is_and_what_is_done(terminal: Terminal) -> None:
    with on(terminal), bar("measuring [nano]", 4) as shown:
        shown.advance("popf [ablated]")
        shown.reach(3)
        shown.say("in")
        shown._progress.refresh()  # type: ignore[union-attr]  # what a quarter of a second does
        line = terminal.screen.lines[0]
    assert line.startswith("measuring [nano] ") and " 75% 0:00:00 left " in line
    assert line.endswith(" in")
    assert terminal.screen.lines == [] and terminal.screen.cursor_shown


def test_lines_of_output_stand_above_it(terminal: Terminal) -> None:
    with redirect_stdout(terminal), on(terminal), bar("notebooks", 2) as shown:
        shown.print("01.ipynb  3.0 s")
        shown.advance()
        shown.print("02.ipynb  4.0 s")
        before = terminal.screen.lines
    assert before[:2] == ["01.ipynb  3.0 s", "02.ipynb  4.0 s"]
    assert before[2].startswith("notebooks ") and len(before) == 3
    assert terminal.screen.lines == ["01.ipynb  3.0 s", "02.ipynb  4.0 s"]


def test_a_bar_of_unknown_length_shows_time(terminal: Terminal) -> None:
    with on(terminal), bar("writing results"):
        line = terminal.screen.lines[0]
    assert line.startswith("writing results ") and line.endswith(" 0:00:00")


def test_what_was_done_before_takes_no_time(terminal: Terminal) -> None:
    """As where a sweep goes on."""
    with on(terminal), bar("sweep", 10) as shown:
        shown.begin(9)
        shown._progress.refresh()  # type: ignore[union-attr]
        assert " 90% 0:00:00 left -:--:--" in terminal.screen.lines[0]


def test_a_line_is_cut_where_the_terminal_ends(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.text import Text

    monkeypatch.setenv("COLUMNS", "20")
    drawn = threading.Event()

    def text() -> Text:
        drawn.set()
        return Text("0123456789" * 9, no_wrap=True, overflow="ellipsis")

    with on(terminal), StatusLine(text) as line:
        for _ in range(2):
            drawn.clear()
            line.show()
            assert drawn.wait(PATIENCE)
            line.hide()
            assert terminal.screen.lines == [] and terminal.screen.cursor_shown
            seen = terminal.getvalue()
    assert terminal.getvalue() == seen
    assert "0123456789012345678…" in seen and "01234567890123456789" not in seen


def test_a_line_that_was_never_shown(terminal: Terminal) -> None:
    from rich.text import Text

    with on(terminal), StatusLine(Text) as line:
        line.hide()
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("setting", [{"TERM": "dumb"}, {"TERM": "unknown"}])
def test_a_terminal_without_a_cursor_to_move(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, setting: dict[str, str]
) -> None:
    with on(terminal):
        assert visible()
        for name, value in setting.items():
            monkeypatch.setenv(name, value)
        assert not visible()
        with bar("measuring", 4) as shown:
            shown.advance()
    assert terminal.getvalue() == ""


def test_no_standard_error_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with bar("measuring", 4) as shown:
        shown.advance("x")


# --- every verb that takes its time ---------------------------------------------------------------

GREETING = "mov edx, 0xf4; mov al, 0; out dx, al; hlt"
COMMANDS = {  # what is run, and what its display begins with
    "bench nano --only in --rounds 5": "measuring nano",
    "bench talk --only patched --rounds 2": "measuring talk",
    "bench ablations --only nano --rounds 20": "measuring ablations",
    "virtualizability --no-host --only PUSHF": "deriving",
    "scan guest.bin --summary": "scanning",
    "scan guest.bin --json": "scanning",
    "sweep sweep.toml --jobs 1 --fresh": "sweep",
    "mmu --flat spin.bin@0x100000 --memory 2 --timeout 2": "0.",
}


def on_a_terminal(folder: Path, command: str) -> tuple[bytes, bytes]:
    """Standard output, a pipe, and standard error, a terminal."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "monitor", *command.split()], cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave,
    ) as process:  # fmt: skip
        os.close(slave)
        seen = b""
        while True:
            try:
                piece = os.read(master, 4096)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            seen += piece
        os.close(master)
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, seen
    return out, seen


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_verb_that_takes_its_time_shows_it(tmp_path: Path, command: str) -> None:
    (tmp_path / "guest.bin").write_bytes(assemble(GREETING, 0x100000))
    (tmp_path / "spin.bin").write_bytes(assemble("l: jmp l", 0x100000))
    (tmp_path / "sweep.toml").write_text('[[guest]]\nflat = "guest.bin@0x100000"\nmemory = 2\n')
    out, seen = on_a_terminal(tmp_path, command)
    assert COMMANDS[command].encode() in seen
    assert b"\x1b[2K" not in out and b"\x1b[?25" not in out
    screen = Screen(seen)
    assert screen.cursor_shown
    assert not [line for line in screen.lines if line.startswith(COMMANDS[command] + " ")]


@pytest.mark.parametrize("command", list(COMMANDS)[:1])
def test_a_pipe_gets_no_progress_even_with_colours(tmp_path: Path, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "monitor", *command.split()], cwd=tmp_path, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "FORCE_COLOR": "1"},
        timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == b""

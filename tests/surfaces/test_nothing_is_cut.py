"""Every verb's tables at 60, 80 and 200 columns, with and without colour, on a terminal and in a
pipe: each number, address and word of each cell is there, whole, and as often as in the table.

A verb that is new has no line in COMMANDS, and fails here until it has.
"""

from __future__ import annotations

import ast
import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rich.table
from every_verb import COMMANDS, NO_DATA, SLOW, fill, marked, measure_once
from fake_machine import WRONG_ANSWERS
from patience import PATIENCE
from rich.text import Text
from test_demo import all_three
from vp_command import Result

import monitor
from benchmarks.report import Row, Section
from monitor.cli import VERBS, demo_life, main, report
from monitor.grading import summary
from monitor.grading.verdict import GRADED, TIMEOUT, Grade
from monitor.labs.report import LabReport, TestResult
from monitor.writing import whole_table
from monitor.writing.whole_console import WholeConsole, whole_console
from monitor.writing.whole_table import Table

ROOT = Path(monitor.__file__).parent.parent
COLOURS = {"colour": ("FORCE_COLOR", "1"), "plain": ("NO_COLOR", "1")}
WIDTHS = ("60", "80", "200", "")  # of COLUMNS; nothing is a pipe's own width
ALL = [(columns, colour) for columns in WIDTHS for colour in COLOURS]
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
NO_TABLE = {"trace", "lab"}  # lines of text
KEPT: dict[str, list[object]] = {}
SOME = [("60", "plain"), ("80", "colour")]  # for those


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("tables"))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[list[Table]]:
    """The tables that are printed, as they are."""
    found: list[Table] = []
    render = Table.__rich_console__

    def noted(table: Table, *arguments: object) -> object:
        found.append(table)
        return render(table, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Table, "__rich_console__", noted)
    lives = {each.mode: each for each in all_three(seconds=98765.432)}
    monkeypatch.setattr(demo_life, "live", lambda mode, seconds: lives[mode])
    measure_once(monkeypatch, KEPT)
    monkeypatch.chdir(folder)
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    yield found


def words(tables: list[Table]) -> Counter[str]:
    cells = [cell for table in tables for column in table.columns for cell in column.cells]
    found: Counter[str] = Counter()
    for cell in cells:
        assert isinstance(cell, str | Text)
        found.update(str(cell).split())
    return found


def printed(text: str) -> Counter[str]:
    return Counter(ANSI.sub("", text).split())


def test_every_verb_is_here() -> None:
    assert {name.split()[0] for name in COMMANDS} == set(VERBS) - NO_DATA


@pytest.mark.parametrize("name", marked(COMMANDS))
def test_every_cell_is_printed_whole(
    name: str, shown: list[Table], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for columns, colour in SOME if name in SLOW else ALL:
        with monkeypatch.context() as environment:
            environment.setenv("COLUMNS", columns)
            environment.setenv(*COLOURS[colour])
            shown.clear()
            assert main(shlex.split(COMMANDS[name])) in (0, 1)
        told = capsys.readouterr()
        assert bool(shown) == (name not in NO_TABLE)
        text = told.out + told.err
        assert ("\x1b[" in text) <= (colour == "colour")
        assert words(shown) <= printed(text), (columns, words(shown) - printed(text))
        assert columns or "columns of text are too few" not in text


def other_tables() -> dict[str, list[Table]]:
    """Those of what takes too long to run here."""
    results = (TestResult("a test of it", 0, 12345678, "no"),)
    grades = [
        Grade(f"a-student-with-a-long-name-{number}", 3, status, LabReport.of(3, results),
              "the time was over: 50 s of processor time", ("timeout", "memory"),
              ("write: os.remove /etc/[red]passwd and much more of that",))
        for number, status in enumerate((GRADED, TIMEOUT))
    ]  # fmt: skip
    section = Section("Instructions", [Row("a mix of them", "190 M/s", "4,904 M/s", 25.81, 30.0)],
                      "what the host's processor needs itself")  # fmt: skip
    return {
        "grades": list(summary.tables(grades)),
        "benchmarks": [section.table()],
        "wrong answers": [report.wrong_answers_table(WRONG_ANSWERS)],
    }


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("name", list(other_tables()))
def test_other_tables(name: str, width: int, capsys: pytest.CaptureFixture[str]) -> None:
    tables = other_tables()[name]
    for table in tables:
        whole_console(width=width).print(table)
    assert words(tables) <= printed(capsys.readouterr().out)


@pytest.mark.parametrize("name", ["bench", "tc summary", "mmu", "run", "scan", "sweep"])
def test_tables_of_numbers_keep_to_80_columns(
    name: str, shown: list[Table], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "80")
    assert main(shlex.split(COMMANDS[name])) == 0
    for table in list(shown):
        capsys.readouterr()
        WholeConsole(width=80).print(table)
        assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


# --- what a terminal and a pipe show --------------------------------------------------------------


def through(streams: Callable[[subprocess.Popen[bytes]], bytes], folder: Path, stdout: int,
            **environment: str) -> str:  # fmt: skip
    """`vp mmu` as a process of its own."""
    given = {name: value for name, value in os.environ.items()
             if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}  # fmt: skip
    command = [sys.executable, "-m", "monitor", *shlex.split(COMMANDS["mmu"])]
    with subprocess.Popen(
        command, cwd=folder, stdout=stdout, stdin=subprocess.DEVNULL,
        env=given | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"} | environment,
    ) as process:  # fmt: skip
        try:
            text = streams(process)
        finally:
            process.kill()
    return ANSI.sub("", text.decode())


def piped(process: subprocess.Popen[bytes]) -> bytes:
    return process.communicate(timeout=PATIENCE)[0]


@pytest.fixture(scope="module")
def whole(folder: Path) -> str:
    return through(piped, folder, subprocess.PIPE)


def test_a_pipe_gets_every_column_in_one_part(whole: str) -> None:
    assert "columns of text" not in whole
    assert max(map(len, whole.splitlines())) > 100


def test_a_pipe_honours_columns(whole: str, folder: Path) -> None:
    narrow = through(piped, folder, subprocess.PIPE, COLUMNS="60")
    assert "60 columns of text are too few for one" in narrow
    assert numbers(whole) <= numbers(narrow)


@pytest.mark.parametrize("columns", [60, 80])
def test_a_terminal_has_its_own_width(whole: str, folder: Path, columns: int) -> None:
    try:
        master, slave = pty.openpty()
    except OSError as error:
        pytest.skip(f"no pseudo-terminals here (is /dev/pts mounted?): {error}")
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    def read(_process: subprocess.Popen[bytes]) -> bytes:
        os.close(slave)
        text = b""
        try:
            while piece := os.read(master, 4096):
                text += piece
        except OSError:  # Linux: the other side is closed
            pass
        return text

    narrow = through(read, folder, slave)
    os.close(master)
    assert f"{columns} columns of text are too few for one" in narrow
    assert numbers(whole) <= numbers(narrow)


def numbers(text: str) -> Counter[str]:
    """Words with a digit, in tables: the rulers above the strips differ with the width."""
    tables = text.partition("tables map")[2]
    return Counter(word for word in tables.split() if re.search(r"\d", word))


# --- the one place where tables are made ----------------------------------------------------------


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{each.name}" for each in node.names)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


def test_no_table_is_made_elsewhere() -> None:
    """rich's own cuts what does not fit."""
    assert issubclass(whole_table.Table, rich.table.Table)
    sources = [path for package in ("bt", "devices", "monitor", "benchmarks", "tools")
               for path in (ROOT / package).rglob("*.py")]  # fmt: skip
    assert len(sources) > 300
    makers = {path.relative_to(ROOT).as_posix() for path in sources
              if {"rich.table.Table", "rich.table", "rich.columns.Columns"} & set(imports(path))}
    assert makers | {"monitor/writing/whole_table.py"} == {"monitor/writing/whole_table.py"}


def test_a_fake_machine_s_statistics(
    play: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All sections of a run's report, on standard error."""
    for columns in ("60", "80", "200", ""):
        monkeypatch.setenv("COLUMNS", columns)
        told = play("end exit", "--mode", "trap", "--report").err
        for number in ("1,234,567", "1,000,000", "200,000", "4,000", "00100123", "0000001b", "999"):
            assert number in told.split()

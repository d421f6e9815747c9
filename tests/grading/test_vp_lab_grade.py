"""`vp lab grade`: what it prints, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from small_lab import RIGHT, STANDIN
from test_class import WRONG

from monitor.cli import main
from monitor.grading import classroom, landlock, protections, seccomp

Vp = Callable[..., tuple[int, str, str]]


@pytest.fixture
def vp(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scratch: Path) -> Vp:
    monkeypatch.setattr(classroom, "LABS", STANDIN)

    def run(*arguments: object) -> tuple[int, str, str]:
        status = main(["lab", "grade", *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def handed_in(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "late").mkdir(parents=True)
    (folder / "late" / "Lab1.py").touch()
    (folder / "readme").touch()
    for number, source in enumerate((RIGHT, RIGHT, *WRONG)):
        (folder / f"lab1-student{number}.py").write_text(source)
    (folder / "lab1-mallory.py").write_text("import os\nos.remove('/etc/[red]passwd')\n")
    return folder


def test_a_class_as_tables(vp: Vp, handed_in: Path, tmp_path: Path) -> None:
    status, out, err = vp(handed_in, "--out", tmp_path / "out", "--jobs", 2, "--cpu", 5)
    assert (status, err) == (0, "")
    assert "Lab 1: 6 graded, 1 misnamed; mean 11.7, median 12.5 of 20" in out
    lines = [line.split() for line in out.splitlines()]
    assert ["18", "to", "20", "2", "█" * 40] in lines
    assert ["0", "to", "1", "1", "█" * 20] in lines
    assert ["3", "doubles"] in lines and ["3", "greets"] in lines and ["1", "adds"] in lines
    assert "To look at: 2" in out and "write: os.remove /etc/[red]passwd" in out
    assert "ignored in the folder: readme" in out
    assert "graded 6, 1 needed no run" in out
    table = (tmp_path / "out" / "grades.csv").read_text(encoding="utf-8")
    assert 'late,1,misnamed,0,20,0,3,misnamed,late/Lab1.py: the name says lab 1\n' in table


def test_grading_again_runs_nothing(vp: Vp, handed_in: Path, tmp_path: Path) -> None:
    first = vp(handed_in, "--out", tmp_path / "out")[1]
    status, second, _ = vp(handed_in, "--out", tmp_path / "out")
    assert status == 0 and "graded 0, 7 needed no run" in second
    assert second.splitlines()[:-1] == first.splitlines()[:-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "vp lab grade takes a folder of submissions; --help shows how to name them"),
        (("/nowhere",), "/nowhere: cannot read the folder (no such file or directory)"),
        (("{in}", "--lab", 9), "lab 9: choose from 1 to 5"),
        (("{in}", "--only", "eve"), "--only eve: no such student among 7"),
        (("{in}", "--out", "{in}/out"), "choose a folder outside of"),
        (("{in}", "--memory", 1), "--memory 1: give at least 256 (MiB)"),
        (("{in}", "--jobs", 0), "argument --jobs: 0: give 1 or more"),
    ],
)
def test_bad_usage(
    vp: Vp, handed_in: Path, tmp_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    given = [str(each).replace("{in}", str(handed_in)) for each in arguments]
    status, out, err = vp(*given)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("vp: error: ") and message in err
    assert not (handed_in / "out").exists()


def test_what_this_host_can_do(vp: Vp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 3)
    status, out, _ = vp("--check-host", "--cpu", 7)
    assert status == 0 and "Landlock, version 3" in out
    assert "7 s of processor time, 28 s in all" in out
    monkeypatch.setattr(landlock, "version", lambda: 0)
    status, out, _ = vp("--check-host")
    assert status == 1 and "submissions can read what you can" in out


def test_no_grading_without_the_filter(
    vp: Vp, handed_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seccomp, "available", lambda: False)
    status, _, err = vp(handed_in, "--out", tmp_path / "out")
    assert status == 2 and "cannot confine a submission" in err
    assert not (tmp_path / "out").exists()


def test_less_protection_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = Path(protections.__file__).parent / "submissions"
    assert "which submissions can read" in protections.require([tmp_path, inside])
    monkeypatch.setattr(landlock, "version", lambda: 0)
    assert "no Landlock" in protections.require([tmp_path])

"""vp lab, and the worker that it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from patience import PATIENCE

from monitor.cli import main
from monitor.labs import FOLDER, all_labs
from monitor.labs.process import check_in_process
from monitor.labs.report import LabReport

LAB3 = FOLDER / "solutions" / "lab3.py"


def test_list_has_every_lab(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [str(lab.number) for lab in all_labs()]
    assert all("20 points" in line for line in lines)


def test_start_copies_and_does_not_overwrite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "work"
    assert main(["lab", "start", "4", str(folder)]) == 0
    assert sorted(os.listdir(folder)) == ["lab4.md", "lab4.py"]
    assert "vp lab check 4" in capsys.readouterr().out
    (folder / "lab4.py").write_text("mine")
    assert main(["lab", "start", "4", str(folder)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert (folder / "lab4.py").read_text() == "mine"


@pytest.mark.parametrize(("arguments", "message"), [
    (["start", "9"], "lab 9: choose from 1 to 5"),
    (["check", "9"], "lab 9: choose from 1 to 5"),
    (["check", "3", "/no/such.py"], "/no/such.py: no such file; `vp lab start N` writes a skele"),
    (["start", "3", "/proc/none"], "/proc/none: cannot write there"),
    (["check", "three"], "argument N: invalid int value: 'three'"),
    ([], "the following arguments are required: ACTION"),
])  # fmt: skip
def test_bad_use_is_one_line_and_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lab", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1


@pytest.mark.slow
def test_check_says_what_the_worker_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lab", "check", "1", str(FOLDER / "solutions" / "lab1.py"), "--json"]) == 0
    assert LabReport.from_json(capsys.readouterr().out).full
    assert main(["lab", "check", "1", str(FOLDER / "lab1" / "lab1.py")]) == 1
    told = capsys.readouterr().out
    assert "failed" in told and "lab1.py:15, in classify: not written yet" in told
    assert "as above" in told and told.endswith("lab 1: 0 of 20 points\n")


def test_what_a_submission_prints_is_not_in_the_report(tmp_path: Path) -> None:
    path = tmp_path / "lab3.py"
    path.write_text("import os\nprint('hello')\nos.write(1, b'there')\n")
    with tempfile.TemporaryFile() as report:
        worker = subprocess.run(
            [sys.executable, "-m", "monitor.labs.worker", "3", str(path),
             "--report-fd", str(report.fileno())],
            pass_fds=[report.fileno()], capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        report.seek(0)
        found = json.loads(report.read())
    assert worker.returncode == 0
    assert b"hello" in worker.stdout and b"there" in worker.stdout
    assert found["score"] == 0 and "has no STUBS" in found["results"][0]["feedback"]


@pytest.mark.parametrize("text", [
    "import os\nos._exit(0)\n",
    "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
])  # fmt: skip
def test_a_submission_that_ends_its_process_has_no_points(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lab3.py"
    path.write_text(text)
    report = check_in_process(3, path)
    assert (report.score, report.out_of) == (0, 20)
    assert "process that ran the tests" in report.results[0].feedback


@pytest.mark.slow
def test_a_machine_that_loops_is_given_up(tmp_path: Path) -> None:
    """A patched jump that leads to itself counts nothing: no budget ends it."""
    path = tmp_path / "lab5.py"
    text = (FOLDER / "solutions" / "lab5.py").read_text(encoding="utf-8")
    piece = "distance(exit.jump + 6, next_block.start)"
    assert piece in text
    path.write_text(text.replace(
        f"self.code.write(exit.jump + 2, {piece})",
        "self.code.write(exit.address, b'\\xeb\\xfe')"))
    report = check_in_process(5, path, seconds=6)
    assert report.score == 0
    assert report.results[0].feedback == (
        "still running when the 6 seconds for all tests were over"
    )


def test_the_worker_needs_an_open_descriptor() -> None:
    worker = subprocess.run(
        [sys.executable, "-m", "monitor.labs.worker", "3", str(LAB3), "--report-fd", "77"],
        capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert worker.returncode == 2 and worker.stderr == b"worker: --report-fd 77 is not open\n"

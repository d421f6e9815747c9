"""`vp lab check`: what stands below a test, and what becomes of the tests behind a loop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

from bt.engine import BUILD
from monitor.cli import main
from monitor.cli.lab_grade import CPU, CPU_UNCOMPILED
from monitor.labs import FOLDER, PARTS, all_labs, check, find_lab, process
from monitor.labs.cases import Case, Failed, at, programs
from monitor.labs.check import IMPORT, Check
from monitor.labs.process import check_in_process
from monitor.labs.report import LabReport, TestResult
from monitor.labs.submission import Submission
from monitor.writing.progress import Bar


def write(folder: Path, text: str, number: int = 2) -> Path:
    path = folder / f"lab{number}.py"
    path.write_text(text)
    return path


def shown(report: LabReport, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
          ) -> str:  # fmt: skip
    monkeypatch.setattr(process, "check_in_process", lambda *_args, **_options: report)
    assert main(["lab", "check", str(report.lab), "any.py"]) == (0 if report.full else 1)
    return capsys.readouterr().out


def test_nothing_stands_below_a_passed_test(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = LabReport.of(2, tuple(TestResult(name, 3, 3) for name in ("one", "two", "three")))
    assert shown(report, monkeypatch, capsys) == (
        "passed    3/3  one\npassed    3/3  two\npassed    3/3  three\nlab 2: 9 of 9 points\n"
    )


def test_the_same_is_said_once_and_not_run_each_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ("wrong", "", "wrong", "not run", "not run")
    results = [TestResult(str(n), 0 if why else 1, 1, why) for n, why in enumerate(told)]
    lines = shown(LabReport.of(2, tuple(results)), monkeypatch, capsys).splitlines()
    assert [line.strip() for line in lines if line.startswith(" ")] == [
        "wrong", "as above", "not run", "not run",
    ]  # fmt: skip


def test_what_was_printed_stands_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = LabReport.of(2, (TestResult("one", 1, 1, "", "by itself:\n  a\x1b[2J"),
                              TestResult("two", 0, 1, "wrong", "b")))  # fmt: skip
    indent = " " * 15
    assert shown(report, monkeypatch, capsys) == (
        f"passed    1/1  one\n{indent}it printed:\n{indent}| by itself:\n{indent}|   a\\x1b[2J\n"
        f"failed    0/1  two\n{indent}wrong\n{indent}it printed:\n{indent}| b\n"
        "lab 2: 1 of 2 points\n"
    )


def test_what_a_submission_prints_is_in_the_test_it_was_printed_in(tmp_path: Path) -> None:
    text = """
import os
os.write(1, b"import")
print("ed", flush=True)
class Table(dict):
    def items(self):
        print("asked")
        return super().items()
STUBS = 3
"""
    report = check_in_process(3, write(tmp_path, text, 3))
    assert report.results[0].printed == f"{IMPORT}:\n  imported"
    assert {each.printed for each in report.results[1:]} == {""}
    assert LabReport.from_json(report.to_json()) == report


def test_a_process_that_dies_has_said_what_it_said(tmp_path: Path) -> None:
    text = "import os\nprint('last words')\nos._exit(5)\n"
    report = check_in_process(3, write(tmp_path, text, 3))
    assert "ended with status 5 and no report" in report.results[0].feedback
    assert report.results[0].printed == f"{IMPORT}:\n  last words"


def test_there_is_nothing_to_read_from(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"somebody\n")
    mine = os.dup(0)
    os.dup2(reading, 0)
    try:
        report = check_in_process(3, write(tmp_path, "input('who is it? ')\n", 3))
    finally:
        os.dup2(mine, 0)
        for each in (reading, writing, mine):
            os.close(each)
    assert "lab3.py:1, in <module>: EOFError" in report.results[0].feedback


def heard(path: Path, *cases: Case) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    checked = Check(2, path, on_case=lambda test, name: found.append((test, name)))
    checked.cases = cases
    checked.run()
    return found


def test_cases_are_told_with_their_test(tmp_path: Path) -> None:
    def two_programs(_submission: Submission) -> None:
        for program in programs(("first", "second")):
            at("alone")
            if program == "second":
                raise Failed("a", "b", "c")

    def one(_submission: Submission) -> None:
        for _program in programs(["only"]):
            at("alone")

    cases = Case("both", 1, two_programs), Case("plain", 1, lambda _: at("alone")), \
        Case("one", 1, one)  # fmt: skip
    assert heard(write(tmp_path, ""), *cases) == [
        (0, IMPORT), (0, ""), (0, "program 1 of 2, alone"), (0, "program 2 of 2, alone"),
        (1, ""), (1, "alone"), (2, ""), (2, "alone"),
    ]  # fmt: skip
    at("outside of a test")


def test_every_question_of_lab_1_is_a_case(tmp_path: Path) -> None:
    from monitor.labs import lab1

    names = [row.name for row in lab1.invented_questions()]
    [never_seen] = [case for case in lab1.CASES if case.name.startswith("instructions that nobody")]
    told = heard(write(tmp_path, "def classify(evidence):\n    return 'innocuous'\n"), never_seen)
    assert [name for _, name in told] == [IMPORT, "", *names]


def spin(_submission: Submission) -> None:
    while True:
        pass


LOOPS = (Case("early", 1, lambda _: None), Case("spins", 2, spin), Case("late", 4, lambda _: None),
         Case("spins again", 8, spin))  # fmt: skip


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "LIMIT", 0.4)
    monkeypatch.setattr(check, "PATIENCE", 500)  # processor time ends it, or nothing


@pytest.mark.usefixtures("short")
def test_after_a_test_that_timed_out_the_others_say_so(tmp_path: Path) -> None:
    checked = Check(2, write(tmp_path, ""), stop_after_timeout=True)
    checked.cases = LOOPS
    results = checked.run().results
    assert [each.points for each in results] == [1, 0, 0, 0]
    assert "still running after 0.4 seconds" in results[1].feedback
    why = 'not run, since "spins" timed out; --all runs them'
    assert [each.feedback for each in results[2:]] == [why, why]


@pytest.mark.usefixtures("short")
def test_they_are_run_if_asked_with_a_share_of_the_time(tmp_path: Path) -> None:
    checked = Check(2, write(tmp_path, ""))
    checked.cases = LOOPS
    assert checked.limit == 0.4
    results = checked.run().results
    assert [each.points for each in results] == [1, 0, 4, 0]
    assert "still running after 0.4 seconds" in results[1].feedback
    assert "still running after 0.05 seconds" in results[3].feedback


@pytest.mark.usefixtures("short")
def test_a_file_that_does_not_get_through_its_import_is_told_at_once(tmp_path: Path) -> None:
    checked = Check(2, write(tmp_path, "while True:\n    pass\n"))
    first, *rest = checked.run().results
    assert "cannot be imported: lab2.py:" in first.feedback
    assert {each.feedback for each in rest} == {"not run"}


@pytest.mark.parametrize("number", [lab.number for lab in all_labs()])
def test_a_loop_in_every_test_fits_into_the_time_that_grading_has(number: int) -> None:
    """So that no test behind a loop is lost, and points are those of `vp lab check --all`."""
    [lab] = [lab for lab in all_labs() if lab.number == number]
    longest = check.LIMIT * (1 + check.SHARE * (len(lab.cases()) - 1))
    assert longest < 0.9 * (CPU if BUILD == "compiled" else CPU_UNCOMPILED)


STUBBORN = """
def handle(cpu):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
"""
WORKER = """
import sys
from monitor.labs import check, worker
check.LIMIT, check.PATIENCE, worker.GRACE = 0.5, 500, 0.5
sys.exit(worker.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("options", [(), ("--all",)])
def test_what_cannot_be_interrupted_ends_with_its_process(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    report = tmp_path / "report.json"
    with report.open("w") as stream:
        ended = subprocess.run(
            [sys.executable, "-c", WORKER, "2", str(write(tmp_path, STUBBORN)), "--report-fd",
             str(stream.fileno()), *options],
            pass_fds=[stream.fileno()], timeout=PATIENCE, check=False,
        )  # fmt: skip
    assert ended.returncode == 0
    first, *rest = LabReport.from_json(report.read_text()).results
    assert first.feedback == ("still running after 0.5 seconds, and could not be interrupted; "
                              "is this a loop without an end?")  # fmt: skip
    why = f'not run, since the process had to be ended in "{first.name}"'
    assert {each.feedback for each in rest} == {why}


def test_check_hands_the_wish_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[dict[str, object]] = []
    report = LabReport.of(2, (TestResult("one", 1, 1),))

    def answer(*_arguments: object, **options: object) -> LabReport:
        asked.append(options)
        return report

    monkeypatch.setattr(process, "check_in_process", answer)
    for options in ([], ["--all"], ["--json"]):
        assert main(["lab", "check", "2", "any.py", *options]) == 0
    assert [each["run_all"] for each in asked] == [False, True, False]
    assert json.loads(capsys.readouterr().out.split("points\n")[-1])["results"][0]["printed"] == ""


class Started(Exception):
    """With the command that would have been started."""


@pytest.mark.parametrize("run_all", [False, True])
def test_the_process_is_told_whether_to_go_on_and_has_the_time_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_all: bool
) -> None:
    def start(command: list[str], **_options: object) -> None:
        raise Started(*command)

    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(Started) as started:
        check_in_process(2, write(tmp_path, ""), run_all=run_all)
    command = started.value.args
    assert ("--all" in command) == run_all
    [lab] = [lab for lab in all_labs() if lab.number == 2]
    longest = len(lab.cases()) * check.PATIENCE * check.LIMIT
    assert (float(command[command.index("--seconds") + 1]) > longest) == run_all


def test_each_test_is_told_as_it_begins() -> None:
    lab = find_lab(1)
    seen: list[int] = []
    report = check_in_process(1, FOLDER / "solutions" / "lab1.py", on_test=seen.append)
    assert report.full and seen == list(range(len(lab.cases())))


def test_the_command_shows_which_test_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[float, str | None]] = []
    monkeypatch.setattr(Bar, "reach", lambda _bar, done, doing=None: told.append((done, doing)))
    assert main(["lab", "check", "1", str(FOLDER / "lab1" / "lab1.py")]) == 1  # the skeleton
    assert told == [(place, case.name) for place, case in enumerate(find_lab(1).cases())]


def test_what_lies_beside_a_submission_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in grading, wherever `vp lab check` is called."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def classify(evidence):\n    return 'innocuous'\n")
    (tmp_path / "lab1.py").write_text("from mine import classify\n")
    report = check_in_process(1, Path("lab1.py"))
    assert report.score == 0
    assert "No module named 'mine'; a submission is one file" in report.results[0].feedback


@pytest.mark.parametrize("number", [lab.number for lab in all_labs()])
def test_the_skeleton_names_the_handout_that_lies_beside_it(number: int, tmp_path: Path) -> None:
    assert main(["lab", "start", str(number), str(tmp_path)]) == 0
    text = (tmp_path / f"lab{number}.py").read_text(encoding="utf-8")
    assert f"Read lab{number}.md" in text and (tmp_path / f"lab{number}.md").exists()
    assert "handout" not in text


@pytest.mark.parametrize("number", sorted(PARTS))
def test_parts_are_what_a_skeleton_defines(number: int) -> None:
    import ast

    [lab] = [lab for lab in all_labs() if lab.number == number]
    tree = ast.parse((lab.folder / lab.file_name).read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    names += [target.id for node in tree.body if isinstance(node, ast.Assign)
              for target in node.targets if isinstance(target, ast.Name)]  # fmt: skip
    assert tuple(names) == PARTS[number]

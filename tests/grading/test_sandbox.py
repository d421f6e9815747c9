"""One submission: what it earned before its end counts, and what stands behind the filter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from patience import PATIENCE
from small_lab import LIMITS, RIGHT, STANDIN, GradeOne

from monitor.grading import feedback as texts
from monitor.grading.limits import Limits
from monitor.grading.sandbox import Sandbox, Stopped
from monitor.vmm.errors import UserError

BEFORE_GREET = 15


def greet(body: str) -> str:
    """A right solution but for the last test."""
    return f"{RIGHT}\ndef greet(name):\n    {body}\n"


def feedback(grade: object) -> str:
    return grade.report.results[2].feedback  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ("while True: pass", "timeout", "the time was over: 1 s of processor time"),
        ("import os; os._exit(0)", "left", "the process left here, before the check was over"),
        ("import os; os.abort()", "crashed", "the process was ended here: SIGABRT"),
        ("import ctypes; ctypes.string_at(0)", "crashed", "the process was ended here: SIGSEGV"),
        ("while True: print('x' * 9999)", "output", "it had printed more than 16 MiB"),
        ("return bytearray(1 << 40)", "graded", "MemoryError"),
        ("return b'x' * (4 << 30)", "memory", "it used more than 256 MiB of memory"),
        ("return open('/etc/passwd')", "graded", "PermissionError"),
    ],
)
def test_points_from_before_the_end_count(
    grade: GradeOne, body: str, status: str, says: str
) -> None:
    found = grade(greet(body))
    assert (found.status, found.score) == (status, BEFORE_GREET)
    assert says in feedback(found)
    assert [result.feedback for result in found.report.results[:2]] == ["", ""]


def test_tests_that_never_ran_say_so(grade: GradeOne) -> None:
    found = grade(RIGHT + "\ndef add(a, b):\n    raise SystemExit\n")
    assert found.score == 0
    assert [each.feedback for each in found.report.results[1:]] == ["not run", "not run"]


def test_messages_do_not_name_the_run_s_folder(grade: GradeOne, scratch: Path) -> None:
    found = grade(greet("raise ValueError(__file__)"))
    assert feedback(found).startswith("ValueError: lab1.py (lab1.py:")
    assert str(scratch) not in repr(found)


def test_a_report_after_the_last_is_forged(grade: GradeOne) -> None:
    """One that knows the nonce: it has looked for it in the check's own variables."""
    found = grade(RIGHT + """
import sys
frame = sys._getframe()
while "channel" not in frame.f_locals:
    frame = frame.f_back
send, check = frame.f_locals["channel"].send, frame.f_locals["check"]
other = {"lab": 1, "score": 9, "out_of": 9,
         "results": [{"name": "mine", "points": 9, "out_of": 9, "feedback": ""}]}
send(final=True, done=3, report=other)
""")
    assert (found.status, found.score) == ("forged", 0)
    assert "its tests are others" in found.why


def test_a_cheat_within_python_is_seen_and_not_stopped(grade: GradeOne) -> None:
    """It shares its process with the check; docs/grading.md says so."""
    found = grade("""
import gc
from monitor.labs.report import TestResult
for each in gc.get_objects():
    if type(each).__name__ == "Check":
        for name, points in (("adds", 5), ("doubles", 10), ("greets", 5)):
            each.results.append(TestResult(name, points, points))
raise Exception
""")
    assert (found.status, found.score) == ("graded", 20)
    assert found.notes == ("odd: gc", "odd: monitor.labs.report")


def test_what_it_prints_is_kept_in_part(grade: GradeOne) -> None:
    found = grade(RIGHT + "\nprint('a\\x1bb' * 100_000)\n")
    assert found.score == 20
    assert found.printed.startswith("a\\x1bba\\x1bb")
    assert len(found.printed) < 1 << 18


def test_the_environment_is_not_passed_on(grade: GradeOne, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "of the teacher")
    assert grade(greet("import os; return 'hello ' + (os.getenv('SECRET') or name)")).score == 20


DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for descriptor in range(32):
            try:
                os.close(descriptor)
            except OSError:
                pass
        time.sleep(1000)
    os._exit(0)
os.wait()
"""


def test_without_the_filter_no_process_outlives_its_keeper(grade: GradeOne, scratch: Path) -> None:
    found = grade(RIGHT + DAEMON, filtered=False)
    assert found.score == 20 and "process" in found.flags
    assert not [place for place in Path("/proc").glob("[0-9]*") if str(scratch) in _folder(place)]


def _folder(process: Path) -> str:
    try:
        return os.readlink(process / "cwd")
    except OSError:
        return ""


def test_without_the_filter_files_are_out_of_reach(grade: GradeOne, tmp_path: Path) -> None:
    """Landlock; where the kernel has none, only the filter is between them and the submission."""
    from monitor.grading import landlock

    if not landlock.version():
        pytest.skip("this kernel has no Landlock")
    target = tmp_path / "grades.csv"
    target.write_text("precious")
    found = grade(RIGHT + f"\nopen({str(target)!r}, 'w')\n", filtered=False)
    assert "PermissionError" in found.report.results[0].feedback
    assert target.read_text() == "precious"


def test_a_run_can_be_stopped(scratch: Path) -> None:
    sandbox = Sandbox(STANDIN.check, Limits(memory=256, wall=3600), STANDIN.extra)
    caught: list[BaseException] = []

    def run() -> None:
        try:
            sandbox.run(1, "lab1.py", b"import time\ntime.sleep(1000)")
        except Stopped as stopped:
            caught.append(stopped)

    thread = threading.Thread(target=run)
    thread.start()
    while not list(scratch.iterdir()):
        time.sleep(0.01)
    sandbox.stop.set()
    thread.join(PATIENCE)
    assert len(caught) == 1 and list(scratch.iterdir()) == []


def test_trouble_of_the_grader_s_own_is_not_the_student_s(scratch: Path) -> None:
    from monitor.grading.verdict import judge

    run = Sandbox("no_such_module:Check", LIMITS).run(1, "lab1.py", RIGHT.encode())
    found = judge("ada", 1, run, LIMITS)
    assert found.status == "error" and "no_such_module" in found.why


def test_a_worker_ends_with_its_grader(tmp_path: Path) -> None:
    """Even a grader that is killed, and cannot tell anybody."""
    marker = tmp_path / "marker"
    marker.mkdir()
    program = f"""
import tempfile
from pathlib import Path
from monitor.grading.limits import Limits
from monitor.grading.sandbox import Sandbox
tempfile.tempdir = {str(marker)!r}
limits, extra = Limits(memory=256, wall=3600), [Path({str(STANDIN.extra[0])!r})]
sandbox = Sandbox({STANDIN.check!r}, limits, extra)
sandbox.run(1, "lab1.py", b"import time\\nprint('up')\\ntime.sleep(1000)")
"""
    grader = subprocess.Popen([sys.executable, "-c", program])

    def processes() -> list[str]:
        return [each.name for each in Path("/proc").glob("[0-9]*") if str(marker) in _folder(each)]

    while len(processes()) < 2:  # keeper and worker
        assert grader.poll() is None
        time.sleep(0.02)
    grader.send_signal(signal.SIGKILL)
    grader.wait()
    while processes():
        time.sleep(0.02)


@pytest.mark.parametrize(("name", "value"), [("cpu", 0), ("wall", 0), ("memory", 16)])
def test_limits_have_a_least(name: str, value: int) -> None:
    with pytest.raises(UserError, match=f"--{name} {value}: give at least"):
        Limits(**{name: value})


def test_what_is_printed_stands_with_its_test(grade: GradeOne) -> None:
    source = "import os\nos.write(1, b'begin')\n" + RIGHT.replace(
        "    return a + a", "    print('twice', a)\n    os.write(2, b'x' * 1000)\n    return 3")
    found = grade(source)
    assert found.report is not None
    assert [each.printed for each in found.report.results] == [
        "begin", "doubles:\n  twice 21\n  " + "x" * 200 + " ...", ""]  # fmt: skip
    assert found.printed.startswith("begintwice 21\nxxx") and len(found.printed) == 1014
    text = texts.text(found)
    assert "     it printed:\n     | doubles:\n     |   twice 21\n" in text
    assert "The program printed" not in text

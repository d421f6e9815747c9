"""Every verb, with standard streams that are full, closed or left alone, and with Ctrl-C early.

A verb that is new has no line in COMMANDS, and fails here until it has. Each is a process of its
own, as a shell starts it: what Python does on its way out (a flush that fails is a traceback and
status 120) is part of it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from patience import PATIENCE

import monitor
from bt.assembler import assemble
from monitor import Machine
from monitor.cli import VERBS

pytestmark = pytest.mark.slow

ROOT = Path(monitor.__file__).parent.parent
GREETING = """mov edx, 0x3f8; mov ecx, 5000; mov al, 'x'
l: out dx, al; dec ecx; jnz l; mov edx, 0xf4; mov al, 0; out dx, al; hlt"""
SWEEP = '[[guest]]\nflat = "guest.bin@0x100000"\nmemory = 2\n'
COMMANDS = {
    "run": "run --flat guest.bin@0x100000 --memory 2",
    "guest": "guest list",
    "web": "web --serial stdio --flat guest.bin@0x100000 --memory 2",
    "resume": "resume machine.vpcheck",
    "demo": "demo --mode bare",
    "cpus": "cpus",
    "scan": "scan guest.bin --json",
    "virtualizability": "virtualizability --no-host --only PUSHF",
    "tc": "tc --flat guest.bin@0x100000 --memory 2 --top 3",
    "mmu": "mmu --flat guest.bin@0x100000 --memory 2 --json",
    "trace": "trace --flat guest.bin@0x100000 --memory 2 --limit 40",
    "bench": "bench nano --only in --rounds 5",
    "sweep": "sweep sweep.toml --jobs 1 --fresh",
    "lab": "lab list",
    "help": "help run",
    "completion": "completion bash",
}
FULL = "vp: error: cannot write to standard output: No space left on device\n"
CLOSED = "vp: error: cannot write to standard output: Bad file descriptor\n"
TRACES = ("Traceback", "Exception ignored", "Error:", "BrokenPipe", "KeyboardInterrupt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    code = assemble(GREETING, 0x100000)
    (tmp_path / "guest.bin").write_bytes(code)
    machine = Machine(memory_mb=2)
    machine.load_flat(code, 0x100000)
    machine.checkpoints.save(tmp_path / "machine.vpcheck")
    (tmp_path / "sweep.toml").write_text(SWEEP)
    return tmp_path


def vp(folder: Path, command: str, program: str = "", **streams: object) -> tuple[int, str, bytes]:
    """Exit status, standard error, and standard output where it is read."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON_COLORS": "0"}
    environment.pop("PYTHONUNBUFFERED", None)
    python = [sys.executable, *(("-c", program) if program else ("-m", "monitor"))]
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*python, *command.split()], cwd=folder, env=environment,
                          **{**options, **streams}) as process:  # type: ignore[call-overload]  # fmt: skip
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    text = (err or b"").decode()
    assert not [trace for trace in TRACES if trace in text], text
    return process.returncode, text, out or b""


def closing(*descriptors: int) -> dict[str, object]:
    """As a shell's >&- closes them: the program starts without."""

    def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return {"preexec_fn": close}


@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk_is_said_in_one_sentence(folder: Path, verb: str) -> None:
    with open("/dev/full", "wb") as full:
        status, err, _ = vp(folder, COMMANDS[verb], stdout=full)
    assert status == 2
    assert err.endswith(FULL) and err.count("vp: error") == 1


@pytest.mark.parametrize("verb", VERBS)
def test_nobody_reads(folder: Path, verb: str) -> None:
    read, write = os.pipe()
    os.close(read)
    status, err, _ = vp(folder, COMMANDS[verb], stdout=write)
    os.close(write)
    assert status == 141
    assert "vp: error" not in err and "cannot" not in err


@pytest.mark.parametrize("verb", ["run", "demo", "scan"])
def test_closed_streams(folder: Path, verb: str) -> None:
    """Without standard output it says so; without the other two it does what it always does."""
    status, err, _ = vp(folder, COMMANDS[verb], **closing(1))
    assert (status, err[-len(CLOSED):]) == (2, CLOSED)
    status, err, out = vp(folder, COMMANDS[verb], **closing(0, 2))
    assert (status, err) == (0, "") and out


@pytest.mark.parametrize("option", ["--version", "lab grade --help"])
def test_help_too(folder: Path, option: str) -> None:
    with open("/dev/full", "wb") as full:
        assert vp(folder, option, stdout=full)[:2] == (2, FULL)
    assert vp(folder, option, **closing(1))[:2] == (2, CLOSED)


@pytest.mark.parametrize("command", ["demo --mode bare", "run --flat nowhere@0", "lab start 99"])
def test_standard_error_that_is_full(folder: Path, command: str) -> None:
    """Nobody can be told, and the status is what it is."""
    with open("/dev/full", "wb") as full:
        status, _, out = vp(folder, command, stderr=full)
    assert (status, bool(out)) == ((0, True) if "demo" in command else (2, False))


# --- Ctrl-C ---------------------------------------------------------------------------------------

# What the installed `vp` is, with SIGINT at the second module that is looked for: in main() (the
# first is interrupts.py), or once the verb runs.
EARLY = """
import os, signal, sys
import monitor.cli, monitor.cli.interrupts as ours
class Interrupt:
    left = {n}
    def find_spec(self, name, *rest):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)
here = Interrupt()
def begins(interrupts):
    interrupts._raise, here.left = True, 2
if not here.left:
    ours.Interrupts.raise_from_now_on = begins
sys.meta_path.insert(0, here)
sys.exit(monitor.cli.main())
"""


STARTS = [(verb, where) for verb in VERBS for where in ("main", "verb")]
STARTS.remove(("help", "verb"))  # it needs no module that is not there yet


@pytest.mark.parametrize(("verb", "where"), STARTS)
def test_ctrl_c_while_it_starts(folder: Path, verb: str, where: str) -> None:
    program = EARLY.format(n=1 if where == "main" else 0)
    status, err, _ = vp(folder, COMMANDS[verb], program)
    assert status == 130
    assert "error" not in err


def test_little_is_imported_before_ctrl_c_is_ours(folder: Path) -> None:
    """Until then it is a traceback, so nothing that takes time may stand before it."""
    program = """
import sys
sys.path.insert(0, {root!r})
import monitor.cli, monitor.cli.interrupts
print(*sorted({{"typing", "re", "enum", "collections", "functools"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program.format(root=str(ROOT))],
                          cwd=folder, capture_output=True, text=True, timeout=PATIENCE)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_ctrl_c_where_python_cannot_raise(folder: Path) -> None:
    """In a finalizer it would be printed and forgotten."""
    program = """
import os, signal, sys
import monitor.cli, monitor.cli.lab
class Dies:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
def run(args):
    Dies()
    while True:
        pass
monitor.cli.lab.run = run
sys.exit(monitor.cli.main())
"""
    assert vp(folder, "lab list", program)[:2] == (130, "")


def test_ctrl_c_in_the_middle_of_a_constructor(folder: Path) -> None:
    """What is half made is finalized, and that fails."""
    program = """
import os, signal, sys
import monitor.cli, monitor.cli.lab
class Half:
    def __init__(self):
        os.kill(os.getpid(), signal.SIGINT)
        self.made = True
    def __del__(self):
        print(self.made)
monitor.cli.lab.run = lambda args: Half() and 0
sys.exit(monitor.cli.main())
"""
    assert vp(folder, "lab list", program)[:2] == (130, "")


def test_ctrl_c_while_a_submission_is_checked(folder: Path) -> None:
    """A terminal's Ctrl-C is for all processes of the group, and only one of them has a say."""
    here = folder / "here"
    (folder / "lab1.py").write_text("open('here', 'w').close()\nwhile True: pass\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", "lab", "check", "1", "lab1.py"], cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    end = time.monotonic() + PATIENCE
    while not here.exists():
        assert time.monotonic() < end and process.poll() is None, "the submission never ran"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (130, b"", b"")


@pytest.mark.parametrize("verb", ["run", "demo", "bench", "sweep"])
def test_ctrl_c_gives_the_terminal_back(folder: Path, verb: str) -> None:
    """On a pseudo-terminal that the verb draws on: its cursor is shown, its keys echo again."""
    import pty
    import termios

    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    endless = {"run": "run --flat spin.bin@0x100000 --memory 2", "demo": "demo --seconds 1000",
               "bench": "bench nano --rounds 100000", "sweep": "sweep spin.toml --jobs 1 --fresh"}
    (folder / "spin.bin").write_bytes(assemble(
        "mov edx, 0x3f8; mov al, 'x'; out dx, al; l: jmp l", 0x100000))
    (folder / "spin.toml").write_text(SWEEP.replace("guest.bin", "spin.bin"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", *endless[verb].split()], cwd=folder, env=environment,
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    seen = os.read(master, 1)  # it has begun to draw
    os.kill(process.pid, signal.SIGINT)
    status = process.wait(PATIENCE)
    os.close(slave)
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    after = termios.tcgetattr(master)
    os.close(master)
    text = seen.decode(errors="replace")
    assert status == 130, text
    assert not [trace for trace in TRACES if trace in text], text
    assert text.rfind("\x1b[?25l") <= text.rfind("\x1b[?25h")
    assert after[3] == before[3]


# --- files that options name ----------------------------------------------------------------------

FILES = {
    "run": "run --flat guest.bin@0x100000 --memory 2 --stats {}",
    "trace": "trace --flat guest.bin@0x100000 --memory 2 --out {}",
    "tc": "tc --flat guest.bin@0x100000 --memory 2 --svg {}",
    "virtualizability": "virtualizability --no-host --only PUSHF --json {}",
}
FOLDERS = {
    "bench": "bench nano --only in --rounds 5 --out {}",
    "sweep": "sweep sweep.toml --jobs 1 --fresh --out {}/table.csv",
    "lab start": "lab start 1 {}",
}
SMALL = 200  # bytes, the most that a file may have (RLIMIT_FSIZE): a disk that is full, for us


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_written(folder: Path, name: str) -> None:
    status, err, _ = vp(folder, FILES[name].format("/dev/full"))
    assert status == 2
    option = re.findall(r"--\\w+(?= {})", FILES[name]) or [FILES[name].split()[-2]]
    assert err.endswith(f"vp: error: cannot write {option[0]} /dev/full: No space left on device\n")


def limited() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, SMALL))


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_a_file_is_whole_or_not_there(folder: Path, name: str) -> None:
    """The disk is full in the middle of it; what was there stays."""
    place = folder / "place"
    if name in FILES:
        place.write_text("old")
    else:
        place.mkdir()
    before = sorted(folder.rglob("*"))
    command = {**FILES, **FOLDERS}[name].format(place)
    status, err, _ = vp(folder, command, preexec_fn=limited)
    assert status == 2, err
    assert err.splitlines()[-1].startswith("vp: error: ")
    assert [path for path in sorted(folder.rglob("*")) if path not in before
            and not path.name.endswith(".journal")] == []  # fmt: skip
    assert name not in FILES or place.read_text() == "old"

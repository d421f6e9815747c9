"""`--log FILE` and `-v`: what the monitor did, and no more of it than can be read."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from patience import PATIENCE
from vp_command import Result, last_machine, spawn

from bt.assembler import assemble
from monitor import Machine
from monitor.cli import main, run_log
from monitor.cli.run_log import FIRST, RunLog

Vp = Callable[..., Result]

ROUNDS = 50
#: PUSHF and POPF in a loop, then a HLT that nothing ends.
GUEST = f"mov ecx, {ROUNDS}; again: pushfd; popfd; dec ecx; jnz again; cli; hlt"


def lines(path: Path, word: str) -> list[str]:
    """What the log says under a word."""
    found = [line.partition(" ") for line in path.read_text().splitlines()]
    return [rest.strip() for first, _, rest in found if first == word]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_the_whole_story(play: Vp, log: Path, tmp_path: Path) -> None:
    steps = "exit chain\nexit interrupt 0x20\nend reset"
    result = play(steps, "-m", "1G", "--timeout", "1m", "--max-instructions", "0x10", "--log", log,
                  "--quiet")  # fmt: skip
    assert (result.status, result.out, result.err) == (0, "", "")
    version, *_, end, _, _ = log.read_text().splitlines()
    assert re.match(r"vp .*, Python 3\.\S+, interpreter (compiled|pure)$", version)
    assert lines(log, "option") == [
        "memory 1024 MiB", "mode translate", "engine interp", "clock icount", "cpu pentiumpro",
        "chipset isa", "vga none", "kind flat", f"path {tmp_path / 'guest'}", "address 0x100000",
        "timeout 60.0", "max-instructions 16", f"serial file:{tmp_path / 'console'}",
    ]  # fmt: skip
    assert lines(log, "device") == ["uart16550 at ports 0x3f8-0x3ff", "debug at port 0xf4"]
    assert lines(log, "exit") == ["chain at 00100000 after 7 instructions"]
    assert lines(log, "deliver") == ["interrupt 0x20 at 00100000 after 7 instructions"]
    assert end == "end     the guest's end: reset, after 1,234,567 instructions"
    assert lines(log, "total") == ["chain 1", "interrupt 0x20 1"]
    assert last_machine().on_exit == []


def test_it_is_written_as_it_happens(tmp_path: Path, log: Path) -> None:
    guest = tmp_path / "guest"
    guest.write_text("exit chain\nprompt there\nspin")
    process = spawn("run", "--flat", f"{guest}@0", "--log", log, "--quiet",
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)  # fmt: skip
    assert process.stdout is not None
    assert os.read(process.stdout.fileno(), 5) == b"there"
    assert lines(log, "exit") == ["chain at 00100000 after 7 instructions"]
    assert lines(log, "begin") and not lines(log, "end")
    process.terminate()
    process.communicate(timeout=PATIENCE)
    assert lines(log, "end") == ["stopped on request, after 1,234,567 instructions"]


def test_verbose_is_the_same_on_standard_error(play: Vp, log: Path) -> None:
    result = play("exit chain\nend reset", "-v", "--log", log, "--quiet")
    assert result.err == "".join(f"vp: {line}\n" for line in log.read_text().splitlines())
    assert play("exit chain\nend reset", "--quiet").err == ""


def test_of_each_reason_the_first_are_written_and_all_are_counted(play: Vp, log: Path) -> None:
    often = "exit chain\n" * 100
    play(f"{often}exit rare\n{often}end reset", "--log", log)
    exits = lines(log, "exit")
    assert len(exits) == FIRST + 1 and exits[-1].startswith("rare at")
    assert exits[FIRST - 1].endswith("; from now on chain is only counted")
    assert lines(log, "total") == ["chain 200", "rare 1"]


def test_it_is_bounded(play: Vp, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "MOST", 10)
    play("".join(f"exit reason {n}\n" for n in range(50)) + "end reset", "--log", log)
    assert len(lines(log, "exit")) == 9
    assert lines(log, "event") == ["9 lines of exits and events: the rest is only counted"]
    assert len(lines(log, "total")) == 50


def test_what_a_guest_makes_up_stays_in_its_line(play: Vp, log: Path) -> None:
    play("exit \x1b[31mred\x00\nend reset", "--log", log)
    assert lines(log, "exit") == [r"\x1b[31mred\x00 at 00100000 after 7 instructions"]


def test_a_bug_is_in_it_too(play: Vp, log: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        play("crash", "--log", log)
    assert lines(log, "end") == ["ZeroDivisionError: a bug"]


def test_a_place_that_cannot_be_written_is_told_at_once(play: Vp, tmp_path: Path) -> None:
    gone = tmp_path / "gone" / "log"
    result = play("end reset", "--log", gone)
    assert result.err == f"vp: error: cannot write --log {gone}: No such file or directory\n"
    assert result.status == 2 and not (tmp_path / "console").exists()


def test_a_full_disk_stops_the_machine(play: Vp) -> None:
    result = play("exit chain\nspin", "--log", "/dev/full", "--quiet")
    assert (result.status, result.err) == (
        2, "vp: error: cannot write --log /dev/full: No space left on device\n"
    )  # fmt: skip


@pytest.mark.parametrize("verb", ["tc", "mmu"])
def test_the_verbs_that_watch_have_it(
    verb: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--demo", "--max-instructions", "1k", "--log", str(log)]) == 0
    assert "demo on" in lines(log, "option")
    assert lines(log, "end") == ["the instruction limit was reached, after 1,000 instructions"]
    assert capsys.readouterr().out


# --- a real machine -------------------------------------------------------------------------------


def run(mode: str, log: Path | None) -> Machine:
    machine = Machine(memory_mb=4, mode=mode)
    machine.load_flat(assemble(GUEST, 0x100000), 0x100000, esp=0x90000)
    with RunLog(log, False) as told:
        told.begin(machine)
        outcome = machine.run(timeout=PATIENCE)
        told.end(outcome.detail, machine.statistics())
    assert outcome.kind == "stuck"
    return machine


@pytest.mark.parametrize("mode", ["bare", "trap", "translate"])
def test_the_totals_are_the_statistics(mode: str, log: Path) -> None:
    with_log = run(mode, log).statistics()
    exits = {name: n for name, n in with_log.get("exits", {}).items() if n}
    totals = dict(line.rsplit(" ", 1) for line in lines(log, "total"))
    assert totals == {name: f"{n:,}" for name, n in exits.items()}
    without = run(mode, None).statistics()
    for figures in (with_log, without):  # of the clock
        figures.pop("seconds"), figures.pop("mips")
    assert with_log == without


def test_every_device_of_the_board_is_in_it(log: Path) -> None:
    run("bare", log)
    told = " ".join(lines(log, "device"))
    for name in ("i8259", "i8254", "i8042", "mc146818", "uart16550"):
        assert f"{name} at port" in told


def test_runs_that_are_alike_have_logs_that_are(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    run("translate", first), run("translate", second)
    apart = re.compile(r"^begin .*$", re.MULTILINE)
    assert apart.sub("", first.read_text()) == apart.sub("", second.read_text())

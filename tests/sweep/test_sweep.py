"""Sweeps as a whole: the table does not say how it came about, and nothing that a guest or a worker
does ends a sweep."""

from __future__ import annotations

import csv
import os
import random
import re
import resource
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from patience import PATIENCE
from sweeping import SMALL, SMALL_ROWS, spec, spinning, start, wait_for

from monitor.bench import store
from monitor.cli import main
from monitor.sweep import local
from monitor.sweep.backend import Rows, Task
from monitor.sweep.local import LocalBackend
from monitor.sweep.spec import Spec, load
from monitor.sweep.sweep import State, run, sweep
from monitor.sweep.task import DIED, Job, Row, failed, run_point
from monitor.vmm.errors import UserError

Table = list[dict[str, str]]


def read(path: Path) -> Table:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of SMALL, without an interruption."""
    folder = tmp_path_factory.mktemp("table")
    run(spec(folder), folder / "table.csv")
    return (folder / "table.csv").read_bytes()


# --- the rows -------------------------------------------------------------------------------------


def test_three_workers_make_the_same_table(tmp_path: Path, table: bytes) -> None:
    rows = run(spec(tmp_path), tmp_path / "t.csv", jobs=3)
    assert (tmp_path / "t.csv").read_bytes() == table
    assert len(rows) == SMALL_ROWS


def test_a_slow_host_makes_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SMALL.replace("repetitions = 2", "").replace("20", "300")
    monkeypatch.setattr("monitor.vmm.loop.FIRST_SLICE", 1000)
    quick = run_here(load(spec(tmp_path, text)))
    monkeypatch.setattr("monitor.vmm.loop.LONG_TURN", 0.0)  # every turn takes longer than it should
    assert run_here(load(spec(tmp_path, text))) == quick


def run_here(loaded: Spec) -> list[Row]:
    guests = {guest.name: guest for guest in loaded.guests}
    return [
        run_point(guests[point.guest], point, loaded.models, False) for point in loaded.points()
    ]


def test_the_rows_are_those_of_vp_bench(tmp_path: Path, table: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(table)
    assert main(["bench", "nano", "--only", "callret,flags", "--rounds", "20",
                 "--out", str(tmp_path / "bench")]) == 0  # fmt: skip
    stored = store.read(tmp_path / "bench").rows
    bench = {(row["workload"], row["mode"], row["without"]): row for row in stored}
    rows = read(tmp_path / "t.csv")
    assert len(rows) == SMALL_ROWS
    for row in rows:
        same = bench[row["guest"], row["mode"], row["without"]]
        assert row["cycles:pentium2-450"] == same["cycles"]
        for name in set(store.COUNTS) - {"exits_by_reason"}:
            assert row[name] == same[name]
        exits = {name[5:]: int(n) for name, n in row.items() if name.startswith("exit:") and n}
        words = "; ".join(f"{word}={n}" for word, n in sorted(exits.items()) if n)
        assert words == same["exits_by_reason"].replace(",", ";")


def test_no_cell_needs_quotes(table: bytes) -> None:
    lines = table.decode().splitlines()
    assert b'"' not in table and len({line.count(",") for line in lines}) == 1


@pytest.mark.slow
def test_a_guest_that_behaves_differently_shows(tmp_path: Path) -> None:
    text = "[grid]\nmode = ['bare', 'trap', 'translate']\n[[guest]]\ndemo = true\nmemory = 8\n"
    bare, trap, translate = run(spec(tmp_path, text), tmp_path / "t.csv", jobs=2)
    assert bare["console"] == translate["console"] != trap["console"]
    assert bare["instructions"] == translate["instructions"]
    assert (bare["ok"], trap["ok"], translate["ok"]) == (1, 0, 1)  # it found its processor wrong
    assert bare["cycles:pentium2-450"] is None  # no profile of it, so no estimate
    assert bare["monitor cycles:pentium2-450"] == 0 < translate["monitor cycles:pentium2-450"]


def test_guests_that_fail_are_rows(tmp_path: Path) -> None:
    (tmp_path / "hlt.bin").write_bytes(bytes.fromhex("fa f4"))
    (tmp_path / "fault.bin").write_bytes(bytes.fromhex("0f 0b"))
    (tmp_path / "big.bin").write_bytes(bytes(3 << 20))
    guests = {
        "limit": 'flat = "spin.bin@0x1000"\nmax-instructions = 1000',
        "slow": 'flat = "spin.bin@0x1000"\ntimeout = 0.2',
        "halted": 'flat = "hlt.bin@0x1000"',
        "faulty": 'flat = "fault.bin@0x1000"',
        "too big": 'flat = "big.bin@0x1000"',
        "no elf": 'elf = "hlt.bin"',
        "waiting": 'flat = "spin.bin@0x1000"\nuntil = "hello"\nmax-instructions = 1000',
    }
    text = "".join(f'[[guest]]\nname = "{n}"\nmemory = 2\n{more}\n' for n, more in guests.items())
    spinning(tmp_path, "")
    run(spec(tmp_path, text), tmp_path / "t.csv")
    rows = {row["guest"]: row for row in read(tmp_path / "t.csv")}
    assert {name: (row["ended"], row["ok"]) for name, row in rows.items()} == {
        "limit": ("instructions", "1"), "slow": ("timeout", "0"), "halted": ("stuck", "0"),
        "faulty": ("shutdown", "0"), "too big": ("refused", "0"), "no elf": ("refused", "0"),
        "waiting": ("instructions", "0"),
    }  # fmt: skip
    assert rows["limit"]["instructions"] == "1000" and rows["limit"]["exit:emulate"] == "0"
    for name in ("slow", "too big"):  # another count each time, or none
        assert rows[name]["instructions"] == rows[name]["exit:emulate"] == ""
    assert "needs memory up to 0x301000" in rows["too big"]["detail"]


def test_time_is_measured_where_it_is_asked_for(tmp_path: Path, table: bytes) -> None:
    rows = run(spec(tmp_path, "time = true\n" + SMALL), tmp_path / "t.csv")
    assert all(float(row["seconds"]) >= 0 for row in rows)
    assert b",seconds," in table


# --- interruptions --------------------------------------------------------------------------------


def lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 3])
def test_killed_again_and_again_it_ends_with_the_same_table(
    tmp_path: Path, table: bytes, jobs: int
) -> None:
    chance = random.Random(jobs)
    path, journal = spec(tmp_path), tmp_path / "t.csv.journal"
    stops = sorted(chance.sample(range(1, SMALL_ROWS), 3))
    for stop in stops:
        process = start(path, "--out", tmp_path / "t.csv", "--jobs", jobs)
        wait_for(lambda stop=stop: lines(journal) > stop)  # type: ignore[misc]
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL or lines(journal) > SMALL_ROWS
        assert lines(journal) > stop
    states: list[State] = []
    sweep(load(path), tmp_path / "t.csv", lambda: LocalBackend(jobs), watch=states.append)
    assert (tmp_path / "t.csv").read_bytes() == table
    assert not states or states[0].done >= stops[-1]  # and did not start anew


def test_a_finished_sweep_runs_nothing(tmp_path: Path, table: bytes) -> None:
    run(spec(tmp_path), tmp_path / "t.csv")
    (tmp_path / "t.csv").unlink()

    def backend() -> LocalBackend:
        raise AssertionError("nothing is left to run")

    sweep(load(spec(tmp_path)), tmp_path / "t.csv", backend)
    assert (tmp_path / "t.csv").read_bytes() == table


def test_ctrl_c_says_how_far_it_is(tmp_path: Path) -> None:
    other = "[[guest]]\ndemo = true\nmax-instructions = 100\n"
    path = spinning(tmp_path, f"timeout = {PATIENCE}\n{other}")
    process = start(path, "--out", tmp_path / "t.csv", "--jobs", 2)
    wait_for(lambda: lines(tmp_path / "t.csv.journal") == 2)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    # 0 if it comes between the row's way to the disk and its being counted
    assert re.fullmatch(
        "vp: interrupted: [01] of 2 rows are done, and the same command goes on\n", said
    )


def test_workers_end_with_the_sweep(tmp_path: Path) -> None:
    process = start(spinning(tmp_path, f"timeout = {PATIENCE}\n"), "--out", tmp_path / "t.csv")
    wait_for(lambda: bool(children(process.pid)))
    workers = children(process.pid)
    process.kill()  # it alone, and not its group
    process.communicate()
    wait_for(lambda: not any(alive(worker) for worker in workers))


class FullDisk:
    """A backend whose rows meet a disk with room for some of them."""

    running = 0

    def run(self, job: Job, tasks: Sequence[Task]) -> Rows:
        rows = [
            (number, run_point(job.guests[point.guest], point, job.models, job.time))
            for number, point in tasks
        ]
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, most))
        try:
            yield from rows
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def test_a_full_disk_says_so_and_loses_nothing(tmp_path: Path, table: bytes) -> None:
    journal = tmp_path / "t.csv.journal"
    with pytest.raises(UserError) as error:
        sweep(load(spec(tmp_path)), tmp_path / "t.csv", FullDisk)
    done = lines(journal) - 1
    assert str(error.value) == (f"cannot write {journal}: File too large; the {done} rows in it "
                                "are safe")  # fmt: skip
    assert 2 <= done < SMALL_ROWS and not (tmp_path / "t.csv").exists()
    run(spec(tmp_path), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == table


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    path = spinning(tmp_path, f"timeout = {PATIENCE}\n")
    first = start(path, "--out", tmp_path / "t.csv")
    wait_for(lambda: lines(tmp_path / "t.csv.journal") == 1)
    second = start(path, "--out", tmp_path / "t.csv")
    _, said = second.communicate(timeout=PATIENCE)
    assert second.returncode == 2 and "another vp sweep is writing there" in said
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()


# --- workers that die -----------------------------------------------------------------------------


def children(parent: int) -> list[int]:
    found = []
    for thread in Path(f"/proc/{parent}/task").iterdir():
        found += [int(pid) for pid in (thread / "children").read_text().split()]
    return found


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.slow
@pytest.mark.parametrize(("deaths", "ended"), [(1, "timeout"), (2, DIED)])
def test_a_worker_that_dies_is_replaced_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: int, ended: str
) -> None:
    send, sent = local.Worker.send, []

    def send_and_kill(worker: local.Worker, task: Task, seconds: float) -> None:
        send(worker, task, seconds)
        sent.append(task)
        if len(sent) <= deaths:
            worker.kill()

    monkeypatch.setattr(local.Worker, "send", send_and_kill)
    path = spinning(tmp_path, "timeout = 0.3\n")
    rows = sweep(load(path), tmp_path / "t.csv", lambda: LocalBackend(1))
    assert len(sent) == 2
    assert rows[0]["ended"] == ended
    if ended == DIED:
        assert rows[0]["detail"] == "the worker died twice: killed by SIGKILL"


class Unlucky:
    """A backend that loses every worker."""

    running = 0

    def run(self, _job: Job, tasks: Sequence[Task]) -> Rows:
        for number, _ in tasks:
            yield number, failed(DIED, "no memory")


def test_rows_that_died_are_tried_again_by_the_next_sweep(tmp_path: Path, table: bytes) -> None:
    loaded = load(spec(tmp_path))
    rows = sweep(loaded, tmp_path / "t.csv", Unlucky)
    assert {row["ended"] for row in rows.values()} == {DIED}
    assert len(read(tmp_path / "t.csv")) == SMALL_ROWS
    sweep(loaded, tmp_path / "t.csv", lambda: LocalBackend(1))
    assert (tmp_path / "t.csv").read_bytes() == table


# --- the command ----------------------------------------------------------------------------------


def test_the_summary_compares_with_the_baseline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", str(spec(tmp_path)), "--out", str(tmp_path / "t.csv")]) == 0
    said = capsys.readouterr()
    assert "Compared with mode bare; cycles of pentium2-450" in said.out
    rows = [line.split() for line in said.out.splitlines() if line.startswith("  callret")]
    assert [row[1:3] for row in rows] == [
        ["bare", "exit"], ["translate", "exit"], ["translate", "-chaining"],
    ]  # fmt: skip
    assert rows[0][-2:] == ["1.00", "same"] and float(rows[2][-2]) > float(rows[1][-2]) > 1
    assert said.err == f"vp: {SMALL_ROWS} rows, {SMALL_ROWS} of them now: {tmp_path / 't.csv'}\n"


def test_a_dry_run_lists_and_runs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", str(spec(tmp_path)), "--dry-run"]) == 0
    said = capsys.readouterr()
    listed = said.out.splitlines()
    assert listed[0].split() == ["guest", "mode", "without", "memory_mb", "clock", "cpu",
                                 "repetition"]  # fmt: skip
    assert len(listed) == 1 + SMALL_ROWS and said.err == f"vp: {SMALL_ROWS} rows\n"
    assert [path.name for path in tmp_path.iterdir()] == ["spec.toml"]


def test_a_changed_spec_is_bad_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "[[guest]]\ndemo = true\nmax-instructions = 9\n"
    command = ["sweep", "--out", str(tmp_path / "t.csv"), "--quiet"]
    assert main([*command, str(spec(tmp_path, text))]) == 0
    changed = str(spec(tmp_path, text.replace("9", "8")))
    assert main([*command, changed]) == 2
    assert "guest 1.max-instructions was 9, and is 8" in capsys.readouterr().err
    assert main([*command, changed, "--fresh"]) == 0
    assert read(tmp_path / "t.csv")[0]["instructions"] == "8"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--jobs", "0"], "argument --jobs: 0: give 1 or more"),
        (["--jobs", "2", "--dask", "tcp://x:1"], "--jobs is for this machine"),
        (["--out", "."], "--out .: is a folder; name a file"),
        (["--out", "gone/t.csv"], "--out gone/t.csv: there is no folder gone"),
    ],
)
def test_bad_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str],
                   message: str) -> None:  # fmt: skip
    assert main(["sweep", str(spec(tmp_path)), *options]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_two_tables_are_compared(
    tmp_path: Path, table: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    old.write_bytes(table)
    new.write_bytes(table)
    assert main(["bench", "compare", str(old), str(new)]) == 0
    assert capsys.readouterr().out == "9 rows alike\n"
    columns = read(old)[0].keys()
    bare = next(row for row in table.decode().splitlines() if row.startswith("flags,bare"))
    cells = dict(zip(columns, bare.split(","), strict=True))
    cells |= {"exits": "7", "console": "0123456789abcdef"}
    new.write_text(table.decode().replace(bare, ",".join(cells.values())))
    assert main(["bench", "compare", str(old), str(new)]) == 1
    said = capsys.readouterr().out
    assert [line.split()[:7] for line in said.splitlines() if "icount" in line] == [
        ["flags", "bare", "8", "icount", "pentiumpro", "exits", "0"],
        ["flags", "bare", "8", "icount", "pentiumpro", "console", "e3b0c44298fc1c14"],
    ]
    assert "8 rows alike" in said


def test_what_is_no_table_is_not_compared(
    tmp_path: Path, table: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_bytes(table)
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    assert main(["bench", "compare", str(tmp_path / "t.csv"), str(tmp_path / "notes.csv")]) == 2
    assert "notes.csv: not a table of vp sweep" in capsys.readouterr().err
    assert main(["bench", "compare", str(tmp_path / "t.csv"), str(tmp_path)]) == 2


def test_the_example(tmp_path: Path) -> None:
    from sweeping import ROOT

    example = load(ROOT / "benchmarks" / "sweeps" / "first.toml")
    assert len(example.points()) == 30 and example.baseline == {"mode": "bare"}

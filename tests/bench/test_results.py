"""What `vp bench` leaves behind: tables, CSV files, the report; and comparisons of them."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from monitor.bench import compare, run, store
from monitor.cli import main
from monitor.vmm.errors import UserError

SMALL = ["bench", "nano", "--only", "flags,callret", "--rounds", "30"]


def bench(folder: Path, *more: str) -> Path:
    assert main([*SMALL, "--out", str(folder), *more]) == 0
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_are_the_same_to_the_byte(tmp_path: Path) -> None:
    first, second = bench(tmp_path / "a"), bench(tmp_path / "b")
    assert contents(first) == contents(second)
    assert set(contents(first)) == {"rows.csv", "table.csv", "about.json", "report.html"}


def test_the_csv_files(tmp_path: Path) -> None:
    folder = bench(tmp_path)
    stored = store.read(folder)
    assert stored.about == {"suite": "nano", "rounds": 30, "repetitions": 1,
                            "model": "pentium2-450", "clock": "icount"}  # fmt: skip
    assert len(stored.rows) == 3 * 9  # two operations and the empty loop, in nine setups
    assert all(row["seconds"] == "" and row["ended"] == "exit" for row in stored.rows)
    for row in stored.rows:
        kinds = sum(int(row[kind]) for kind in store.KINDS)
        assert kinds == int(row["instructions"])
    with (folder / "table.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    stubs = {(row["operation"], row["setup"]): row["stubs"] for row in table}
    assert stubs["flags", "translate"] == "3.00" and stubs["flags", "translate -stubs"] == "0.00"


def test_the_report_stands_alone_and_has_its_figures(tmp_path: Path) -> None:
    page = (bench(tmp_path) / "report.html").read_text()
    assert "<script" not in page and 'src="' not in page and "<link" not in page
    pictures = [part[: part.index("</svg>") + 6] for part in page.split("<figure>")[1:]]
    assert len(pictures) == 3
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        assert len(root.findall(".//{http://www.w3.org/2000/svg}path")) > 20
    assert "0.78 us at 733 MHz" in page  # the prices' sources


def test_without_matplotlib_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = (bench(tmp_path) / "report.html").read_text()
    assert "<figure>" not in page and "pip install" in page and "callret" in page
    assert "figures need matplotlib" in capsys.readouterr().err


def test_the_host_clock_adds_real_time(tmp_path: Path) -> None:
    folder = bench(tmp_path, "--clock", "host", "--repetitions", "2")
    stored = store.read(folder)
    assert len(stored.rows) == 2 * 3 * 9
    assert all(float(row["seconds"]) >= 0 for row in stored.rows)
    assert stored.about["host"]["build"] in ("compiled", "pure")
    head = (folder / "table.csv").read_text().splitlines()[0]
    assert ",ns,ns least,ns most,slowdown,slowdown least,slowdown most," in head


# --- comparing ------------------------------------------------------------------------------------


def test_the_same_compares_as_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = bench(tmp_path / "a"), bench(tmp_path / "b")
    assert main(["bench", "compare", str(first), str(second)]) == 0
    assert "27 rows alike" in capsys.readouterr().out


def test_a_changed_model_changes_cycles_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from monitor.bench import model

    text = model.files("monitor.bench.models").joinpath("pentium2-450.toml").read_text()
    dearer = tmp_path / "dearer.toml"
    dearer.write_text(
        text.replace('"pentium2-450"', '"dearer"').replace("[monitor.stub]\ncycles = 6",
                                                           "[monitor.stub]\ncycles = 60")
    )  # fmt: skip
    first = bench(tmp_path / "a")
    second = bench(tmp_path / "b", "--model", str(dearer))
    found = compare.compare(store.read(first), store.read(second))
    assert {difference.figure for difference in found.differences} == {"cycles"}
    changed = {difference.row for difference in found.differences}
    assert "flags translate" in changed and "flags bare" not in changed
    assert "flags translate -stubs" not in changed
    assert found.notes == ["model: pentium2-450, then dearer"]
    assert main(["bench", "compare", str(first), str(second)]) == 1
    assert "measured differently: model" in capsys.readouterr().out


def stored_with(seconds: list[float], **more: str) -> store.Stored:
    row = dict.fromkeys(store.COLUMNS, "1") | {"workload": "w", "mode": "bare", "without": ""}
    rows = [{**row, **more, "seconds": f"{value:.6f}"} for value in seconds]
    return store.Stored({"suite": "nano", "rounds": 1}, rows)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ([1.0, 1.1, 1.2, 1.3], [2.0, 2.1, 2.2, 2.3], compare.CHANGED),
        ([2.0, 2.1, 2.2, 2.3], [1.0, 1.1, 1.2, 1.3], compare.CHANGED),
        ([1.0, 1.1, 1.2, 2.05], [2.0, 2.1, 2.2, 2.3], compare.NOISE),
        ([1.0, 1.1, 1.2], [2.0, 2.1, 2.2, 2.3], compare.TOO_FEW),
    ],
)
def test_is_it_more_than_noise(before: list[float], after: list[float], verdict: str) -> None:
    found = compare.compare(stored_with(before), stored_with(after))
    assert [difference.verdict for difference in found.differences] == [verdict]
    assert found.changed == (verdict == compare.CHANGED)
    assert found.noise == (verdict == compare.NOISE)
    chances = 0 if verdict == compare.TOO_FEW else 2 / 70  # of four and four
    assert found.by_chance == pytest.approx(chances)


def test_rows_that_only_one_side_has() -> None:
    found = compare.compare(stored_with([1.0]), stored_with([1.0], without="stubs"))
    assert (found.only_before, found.only_after) == (["w bare"], ["w bare -stubs"])
    assert found.changed


def test_all_suites_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                            capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    """`vp bench` without a suite: a folder for each, and what is left out is said."""
    from monitor.bench import ablation, nano, talk
    from monitor.guests import linux

    monkeypatch.setattr(linux, "KERNEL", Path("/nonexistent/vmlinuz"))
    monkeypatch.setattr(ablation, "USUAL", ("nano",))
    for module in (ablation, nano, talk):
        monkeypatch.setattr(module, "ROUNDS", 4)
    before, after = tmp_path / "before", tmp_path / "after"
    assert main(["bench", "--out", str(before)]) == 0
    assert {folder.name for folder in before.iterdir()} == {"nano", "talk", "ablations"}
    assert "macro is left out: guests/ has no vmlinuz" in capsys.readouterr().err
    shutil.copytree(before, after)
    assert main(["bench", "nano", "--only", "syscall,in", "--out", str(after / "nano")]) == 0
    assert main(["bench", "compare", str(before), str(before)]) == 0
    assert main(["bench", "compare", str(before), str(after)]) == 1
    assert "only before: cr3wr bare" in capsys.readouterr().out


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nano", "--only", "sysenter"], "choose from syscall"),
        (["nano", "--rounds", "0"], "argument --rounds: 0: give 1 or more"),
        (["nano", "--repetitions", "3"], "goes with --clock host"),
        (["nano", "--model", "z80"], "choose pentium2-450"),
        (["nano", "somewhere"], "takes no folders"),
        (["--only", "in"], "--only goes with one suite"),
        (["--rounds", "5"], "--rounds goes with one suite"),
        (["macro", "--only", "office"], "choose from boot, process"),
        (["nano", "--out", "/dev/null/x"], "cannot write --out"),
        (["compare", "somewhere"], "takes two folders"),
        (["compare", "/nonexistent", "/nonexistent"], "give a folder that `vp bench --out` wrote"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_damaged_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = bench(tmp_path)
    (folder / "about.json").write_text("{")
    assert main(["bench", "compare", str(folder), str(folder)]) == 2
    assert "damaged" in capsys.readouterr().err
    (folder / "about.json").write_text(json.dumps({"suite": "nano"}))
    (folder / "rows.csv").write_text("a,b\n1,2\n")
    assert main(["bench", "compare", str(folder), str(folder)]) == 2
    assert "not of this version" in capsys.readouterr().err


def test_results_of_other_lengths_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = bench(tmp_path / "a")
    second = bench(tmp_path / "b", "--rounds", "31")
    assert main(["bench", "compare", str(first), str(second)]) == 2
    assert "differ in their rounds" in capsys.readouterr().err


def test_the_same_from_python() -> None:
    results = run("nano", only=["flags"], rounds=500)
    with_stubs = results.figure("flags", "translate")
    without = results.figure("flags", "translate", "stubs")
    assert with_stubs.cycles < results.figure("flags", "bare").cycles < without.cycles
    assert results.slowdowns == ()
    talk = run("talk", only=["direct"], rounds=10)
    assert [one.program.name for one in talk.slowdowns] == ["direct"]
    with pytest.raises(UserError, match="no operation 'nop'"):
        run("nano", only=["nop"])

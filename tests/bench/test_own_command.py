"""`vp bench own FILE.asm`: what it prints and writes, and what it refuses."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from monitor.bench import store
from monitor.bench.own import EVERY, costs
from monitor.cli import main

POPF = """\
LENGTH = 2
popf:
    pushfd
    .fill LENGTH, 1, 0x90
    popfd
"""
ASTRAY = "pushfd\npop eax\ntest eax, 0x200\njz .on\n.a: jmp .a\n.on:\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "popf.asm"
    path.write_text(POPF)
    return path


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "table.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_mode_and_every_technique(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["bench", "own", str(file), "--rounds", "20", "--out", str(out)]) == 0
    rows = table(out)
    assert [row["setup"].removesuffix(" (wrong)") for row in rows] == list(EVERY)
    assert [row["setup"] for row in rows if "wrong" in row["setup"]] == ["trap (wrong)"]
    known = costs({"popf": "pushfd; nop; nop; popfd"}, setups=EVERY, rounds=20)
    for row, one in zip(rows, known.values(), strict=True):
        steady = one.steady
        assert float(row["cycles"]) == steady.cycles
        apart = [float(row[name]) for name in ("native", "stubs", "monitor")]
        assert apart == [steady.native, steady.stubs, steady.monitor + steady.translation]
        assert float(row["first pass"]) == one.first.cycles
        assert [float(row[name]) for name in ("once", "translation")] == [
            one.once.cycles, one.once.translation]  # fmt: skip
    assert (out / "report.html").read_text().count("<figure>") == 2


def test_the_same_in_every_process_to_the_byte(file: Path, tmp_path: Path) -> None:
    command = ["bench", "own", str(file), "--set", "LENGTH=0,3", "--rounds", "9", "--setups",
               "bare,translate,translate -stubs -window"]  # fmt: skip
    for name in ("a", "b"):
        assert main([*command, "--out", str(tmp_path / name)]) == 0
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert [row["operation"] for row in table(tmp_path / "a")] == 3 * ["popf LENGTH=0"] + 3 * [
        "popf LENGTH=3"]  # fmt: skip
    assert main(["bench", "compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0


def test_a_change_is_found_in_whichever_run_it_is(file: Path, tmp_path: Path) -> None:
    command = ["bench", "own", str(file), "--rounds", "9", "--setups", "bare", "--out"]
    assert main([*command, str(tmp_path / "a")]) == main([*command, str(tmp_path / "b")]) == 0
    rows = tmp_path / "b" / "rows.csv"
    text = rows.read_text().splitlines()
    text[-1] = text[-1].replace(",exit,", ",stuck,")  # the longest run of the operation
    rows.write_text("\n".join(text) + "\n")
    assert main(["bench", "compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    assert len(store.read(tmp_path / "a").key) == 4


def test_ring_3(file: Path, tmp_path: Path) -> None:
    assert main(["bench", "own", str(file), "--ring", "3", "--setups", "translate", "--rounds", "9",
                 "--out", str(tmp_path / "out")]) == 0  # fmt: skip
    [row] = table(tmp_path / "out")
    assert (row["stubs"], row["instructions"], row["to bare"]) == ("0.0", "4.00", "-")


def test_what_wrong_answers_led_astray_has_no_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "astray.asm"
    path.write_text(ASTRAY)
    assert main(["bench", "own", str(path), "--setups", "bare,trap", "--rounds", "3",
                 "--out", str(tmp_path / "out")]) == 0  # fmt: skip
    bare, trap = table(tmp_path / "out")
    assert bare["cycles"] != "-" and trap["setup"] == "trap (wrong)"
    assert {trap[name] for name in ("cycles", "stubs", "once", "to bare")} == {"-"}
    assert "wrong answers led astray astray" in capsys.readouterr().out.replace("\n", " ")


def test_real_time_has_its_columns(file: Path, tmp_path: Path) -> None:
    command = ["bench", "own", str(file), "--clock", "host", "--repetitions", "2", "--rounds", "9"]
    assert main([*command, "--setups", "bare,translate", "--out", str(tmp_path / "out")]) == 0
    assert {"ns", "ns least", "ns most", "slowdown"} <= set(table(tmp_path / "out")[0])
    assert len(store.read(tmp_path / "out").rows) == 2 * 2 * 3 * 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("bench own", "takes a file of assembly: vp bench own FILE.asm"),
        ("bench own none.asm", "cannot read the assembly file none.asm"),
        ("bench own FILE --set LENGTH", "--set LENGTH: write NAME=N"),
        ("bench own FILE --set LENGTH=", "--set LENGTH=: write NAME=N"),
        ("bench own FILE --set LENGTH=x", "--set LENGTH x: not a 32-bit number"),
        ("bench own FILE --set LENGTH=1,1", "--set LENGTH=1,1: a number is there twice"),
        ("bench own FILE --set LENGTH=1 --set LENGTH=2", "--set LENGTH is there twice"),
        ("bench own FILE --set WIDTH=1", "has no WIDTH, which is to be set"),
        ("bench own FILE --setups fast", "setup 'fast': write a mode"),
        ("bench own FILE --only add", "no operation 'add': choose from popf"),
        ("bench own FILE FILE", "two operations are named 'popf': rename one"),
        ("bench own FILE --max-instructions 999", "the limit is 999: choose fewer rounds"),
        ("bench own FILE --model cray", "model 'cray': choose pentium2-450"),
        ("bench nano --set LENGTH=1", "--set goes with vp bench own FILE.asm"),
        ("bench --ring 3", "--ring goes with vp bench own FILE.asm"),
        ("bench compare a b --timeout 3", "--timeout goes with vp bench own FILE.asm"),
        ("bench nano --max-instructions 3", "--max-instructions goes with vp bench own FILE.asm"),
    ],
)
def test_what_is_refused(
    words: str, told: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(file) if word == "FILE" else word for word in words.split()]) == 2
    said = capsys.readouterr().err
    assert told in said and said.startswith("vp: error: ") and said.count("\n") == 1

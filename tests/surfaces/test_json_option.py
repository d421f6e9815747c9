"""`--json [FILE]`, the same for every verb: one document, and nothing else where it is alone.

A verb that is new has no line in every_verb.py, and fails in test_nothing_is_cut.py until it has.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from every_verb import COMMANDS, FLAT, fill, marked, measure_once
from test_demo import all_three

from monitor.cli import demo_life, main
from monitor.cli.json_output import JsonOutput
from monitor.vmm.errors import UserError

KEYS = {  # of each document: some that must be there
    "run": {"mode", "instructions", "exits"},
    "resume": {"mode", "instructions", "exits"},
    "guest": {"guests"},
    "web": {"mode", "instructions", "exits"},
    "demo": {"lives", "verdict"},
    "cpus": {"cpus"},
    "scan": {"regions", "instructions", "totals"},
    "virtualizability": {"forms", "experiments", "published"},
    "tc": {"blocks", "used", "size"},
    "mmu": {"guest", "segments", "count"},
    "trace": {"events", "taken", "full", "lost"},
    "bench": {"suites", "left_out"},
    "bench compare": {"comparisons"},
    "sweep": {"rows"},
    "lab": {"labs"},
    "lab grade": {"protections"},
}
KEPT: dict[str, list[object]] = {}
VARYING = {"seconds", "mips"}  # from one run to the next


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("json"))


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Path]:
    lives = {each.mode: each for each in all_three()}
    monkeypatch.setattr(demo_life, "live", lambda mode, seconds: lives[mode])
    measure_once(monkeypatch, KEPT)
    monkeypatch.chdir(folder)
    yield folder


def vp(name: str, *more: str) -> int:
    return main([*shlex.split(COMMANDS[name]), *more])


def steady(document: Any) -> Any:
    """What is the same in every run."""
    if isinstance(document, dict):
        return {key: steady(value) for key, value in document.items() if key not in VARYING}
    return [steady(each) for each in document] if isinstance(document, list) else document


@pytest.mark.parametrize("name", marked(COMMANDS))
def test_alone_and_in_a_file(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = vp(name, "--json")
    alone = json.loads(capsys.readouterr().out)  # nothing is before it or behind
    keys = KEYS.get(name) or KEYS[name.split()[0]]
    assert keys <= set(alone)
    assert any(alone.values())

    path = tmp_path / "out.json"
    assert vp(name, "--json", str(path)) == status
    beside = capsys.readouterr().out
    assert steady(json.loads(path.read_text())) == steady(alone)
    assert vp(name) == status
    assert beside == capsys.readouterr().out or name.startswith("virtualizability")  # has seconds
    assert [each.name for each in tmp_path.iterdir()] == ["out.json"]


@pytest.mark.parametrize("name", marked(KEYS))
def test_a_dash_is_standard_output(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert vp(name, "--json", "-") in (0, 1)
    json.loads(capsys.readouterr().out)
    assert not Path("-").exists()


@pytest.mark.parametrize("name", KEYS)
def test_a_file_that_cannot_be_written_is_said_first(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vp(name, "--json", "nowhere/out.json") == 2
    told = capsys.readouterr()
    assert told.err.endswith(
        "vp: error: cannot write --json nowhere/out.json: No such file or directory\n"
    )
    assert told.out == ""


@pytest.mark.parametrize("name", KEYS)
def test_a_file_that_was_not_meant_is_kept(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`vp lab check 3 --json lab3.py` must not cost the student's work."""
    path = tmp_path / "lab3.py"
    path.write_text("def handler():\n    ...\n")
    assert vp(name, "--json", str(path)) == 2
    assert capsys.readouterr().err.endswith(
        f"vp: error: --json {path}: would overwrite what holds no JSON; name another file, or put "
        "--json last for standard output\n"
    )
    assert path.read_text() == "def handler():\n    ...\n"


def test_a_submission_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "lab3.py"
    path.write_text("mine = True\n")
    assert main(["lab", "check", "3", "--json", str(path)]) == 2
    assert path.read_text() == "mine = True\n"


@pytest.mark.parametrize("before", ["", "  \n", '{"an": "older one"}', "[]"])
def test_json_is_replaced(before: str, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text(before)
    assert vp("lab", "--json", str(path)) == 0
    assert json.loads(path.read_text())["labs"]


def test_an_interruption_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("{}")
    with pytest.raises(KeyboardInterrupt), JsonOutput(str(path)) as output:
        output.append('{"half')
        raise KeyboardInterrupt
    assert path.read_text() == "{}"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_wanted_is_not_made() -> None:
    with JsonOutput(None) as output:
        output.write(lambda: pytest.fail("nobody asked for it"))
    assert not output.wanted and not output.alone


# --- with a guest's console, which has standard output too ----------------------------------------


@pytest.mark.parametrize("verb", ["run", "tc", "mmu", "trace"])
def test_the_console_and_the_document_do_not_mix(
    verb: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    console = [verb, *shlex.split(FLAT), "--serial", "stdio"]
    assert main([*console, "--json"]) == 2
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "vp: error: --json: the guest's console has standard "
        "output; give --json a FILE, or --serial another place\n")  # fmt: skip
    assert main([*console, "--json", str(tmp_path / "out.json")]) == 0
    assert capfd.readouterr().out.count("x") >= 40


# --- the documents themselves ---------------------------------------------------------------------


def document(capsys: pytest.CaptureFixture[str], command: str) -> Any:
    main([*shlex.split(command), "--json"])
    return json.loads(capsys.readouterr().out)


def test_numbers_are_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    [suite] = document(capsys, COMMANDS["bench"])["suites"]
    bare = next(row for row in suite["table"] if row["setup"] == "bare")
    assert bare["instructions"] == 1.0 and bare["exits by reason"] == ""
    rows = [row for row in suite["rows"] if row["workload"] == "in"]
    assert {row["counts"]["instructions"] for row in rows} == {rows[0]["counts"]["instructions"]}
    assert {tuple(row["without"]) for row in rows} > {(), ("chaining",)}
    assert all(row["seconds"] is None for row in rows)  # they do not repeat


def test_a_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    [found] = document(capsys, COMMANDS["bench compare"])["comparisons"]
    assert found["changed"] and found["differences"][0]["verdict"] == "changed"


def test_a_life_of_the_embedded_guest(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "demo")
    assert [life["mode"] for life in found["lives"]] == ["bare", "trap", "translate"]
    assert found["lives"][1]["checks"] == {"popf": "got 00000200 want 00000000"}
    assert found["verdict"]["right"]


def test_events_are_those_of_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, COMMANDS["trace"])
    main(shlex.split(COMMANDS["trace"]))
    lines = capsys.readouterr().out.splitlines()
    addresses = [line.split()[2] for line in lines]
    assert [f"{each['eip']:08x}" for each in found["events"]] == addresses
    assert found["taken"] == len(lines) and found["full"]


def test_no_event_is_a_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, f"{COMMANDS['trace']} --reason nothing-like-it")
    assert found == {"events": [], "taken": 0, "full": False, "lost": 0}


def test_a_trace_as_text_in_a_file_and_as_json_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.txt"
    found = document(capsys, f"{COMMANDS['trace']} --out {path}")
    assert len(path.read_text().splitlines()) == found["taken"]


def test_the_grid_of_a_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "sweep sweep.toml --dry-run")
    assert [point["mode"] for point in found["points"]] == ["bare", "translate"]


def test_rows_of_a_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    rows = document(capsys, COMMANDS["sweep"])["rows"]
    assert [row["mode"] for row in rows] == ["bare", "translate"]
    assert all(row["ended"] == "exit" and row["instructions"] for row in rows)


def test_a_scan_s_limit_leaves_the_totals(capsys: pytest.CaptureFixture[str]) -> None:
    everything = document(capsys, "scan guest.bin")
    some = document(capsys, "scan guest.bin --limit 2")
    assert some["instructions"] == everything["instructions"][:2]
    assert some["totals"] == everything["totals"]


def test_no_block_there_is_a_document_and_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*shlex.split(COMMANDS["tc"]), "--at", "0x10", "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["blocks"] == []
    assert told.err.startswith("vp: no block at 0x10, of the guest or of the cache: ")


def test_a_name_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write --json"), JsonOutput(str(tmp_path)):
        pytest.fail("a folder was opened")

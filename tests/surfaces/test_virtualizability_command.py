"""`vp virtualizability` as a verb of the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bt.virtualizability import native, survey
from bt.virtualizability.native import Host, HostTrial
from bt.virtualizability.published import SEVENTEEN
from monitor.cli import VERBS, main


def vp(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["virtualizability", *arguments]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    return told.out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["virtualizability", *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    return told.err


def test_it_is_a_verb() -> None:
    assert "virtualizability" in VERBS


def test_everything(capsys: pytest.CaptureFixture[str]) -> None:
    out = vp(capsys, "--no-host")
    assert "Of the 17 of Robin and Irvine 17 were found." in out
    assert "With UMIP 12 of the 17 are left" in out
    assert "No column for this computer's processor: not asked for." in out
    assert "MOV Ev,CS" in out
    assert "PUSH DS" not in out


def test_one_instruction(capsys: pytest.CaptureFixture[str]) -> None:
    lines = vp(capsys, "--only", "popf", "--no-host").splitlines()
    [row] = [line for line in lines if "IF 1 -> 0" in line]
    assert "IF stays 1, no trap" in row
    assert not any("Robin" in line for line in lines)  # of one instruction there is no total


def test_every_form(capsys: pytest.CaptureFixture[str]) -> None:
    lines = vp(capsys, "--all", "--no-host").splitlines()
    [cli] = [line for line in lines if line.split()[:1] == ["CLI"]]
    assert cli.split() == ["CLI", "1", "sensitive", "IF", "sensitive", "critical"]
    [store] = [line for line in lines if line.split()[:2] == ["SLDT", "Ev"]]
    assert store.split()[3:] == ["critical", "LDTR", "undefined", "undefined"]


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.json"
    vp(capsys, "--no-host", "--json", str(path))
    document = json.loads(path.read_text())
    assert document["published"]["found"] == list(SEVENTEEN)
    assert document["host"] == {"absent": "not asked for"}
    forms = {(form["name"], form["operand_size"]): form for form in document["forms"]}
    popf = forms["POPF", 32]
    assert popf["class"] == popf["class_v8086_iopl3"] == "critical"
    assert popf["class_v8086_iopl0"] == "sensitive"
    assert popf["changes"] == ["IF", "IOPL"]
    assert popf["witness"] == {
        "code": "9d", "with": "IF 0", "ring0": "IF 1 -> 0", "ring3": "IF stays 1, no trap",
    }  # fmt: skip
    assert sum(form["experiments"] for form in document["forms"]) < document["experiments"]


def test_json_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(vp(capsys, "--only", "CLI", "--no-host", "--json", "-"))
    assert [form["class"] for form in document["forms"]] == ["sensitive"]


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "--only", "CLI", "--only", "NOPE") == (
        "vp: error: --only NOPE: no such instruction in the table; --all lists them\n"
    )
    assert "leave --only and --json out" in refused(capsys, "--markdown", "--only", "CLI")
    missing = tmp_path / "missing" / "out.json"
    assert refused(capsys, "--only", "CLI", "--no-host", "--json", str(missing)) == (
        f"vp: error: cannot write --json {missing}: No such file or directory\n"
    )


def test_a_host_that_cannot(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "unavailable", lambda: "32-bit code cannot run here")
    out = vp(capsys, "--only", "CLI")
    assert "No column for this computer's processor: 32-bit code cannot run here." in out


@pytest.mark.skipif(native.unavailable() is not None, reason=str(native.unavailable()))
def test_the_hosts_column(capsys: pytest.CaptureFixture[str]) -> None:
    out = vp(capsys, "--only", "POPF")
    assert "ran 8 of them in ring 3 and agrees with the interpreter on 8." in out


@pytest.mark.skipif(native.unavailable() is not None, reason=str(native.unavailable()))
def test_a_disagreement_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(findings: list[survey.Finding]) -> Host:
        host = native.run_on_host(findings)
        for name, rows in host.trials.items():
            host.trials[name] = [HostTrial(r.experiment, r.host, r.ours, "EAX") for r in rows]
        return host

    monkeypatch.setattr(survey, "run_on_host", other)
    assert main(["virtualizability", "--only", "CLI"]) == 1
    out = capsys.readouterr().out
    assert "agrees with the interpreter on 0." in out
    assert "  CLI other values: EAX" in out

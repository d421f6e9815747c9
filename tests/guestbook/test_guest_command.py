"""`vp guest`: what there is, what is missing, and a run with the row's options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bt.assembler import assemble
from monitor.cli import main
from monitor.guestbook.guest import Guest, Step
from monitor.guestbook.rows import GUESTS

# Says that it is ready, waits for a byte, and says it again.
CODE = """
    mov dx, 0x3f8; mov al, 'r'; out dx, al; mov al, '>'; out dx, al
    mov dx, 0x3fd; wait: in al, dx; test al, 1; jz wait
    mov dx, 0x3f8; in al, dx; out dx, al; out dx, al; end: jmp end
"""
TINY = Guest(
    "tiny", "a few instructions", ("tiny.bin",), "MIT", "--flat {tiny.bin}@0x100000 --memory 2",
    (Step("r>", "q", "--type"),), expect="qq", most="2M", screen=False,
)  # fmt: skip
NEVER = Guest(
    "never", "does not say that", ("tiny.bin",), "MIT", "--flat {tiny.bin}@0x100000 --memory 2",
    expect="nothing of it", most="10k", screen=False,
)  # fmt: skip
ELSEWHERE = Guest("elsewhere", "not here", ("memtest86+.iso",), "GPL", "--cdrom {memtest86+.iso}")
FOREIGN = Guest("foreign", "of no package", ("foreign.img",), "GPL", "--kernel {foreign.img}")
ROWS = (TINY, NEVER, ELSEWHERE, FOREIGN)


@pytest.fixture(autouse=True)
def _rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of this test's, and their files in the current folder alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("monitor.guestbook.rows.GUESTS", ROWS)
    monkeypatch.setattr("monitor.guestbook.bringing.GUESTS", ROWS)
    monkeypatch.setattr("monitor.settings.guest_places.folders", lambda: (Path("guests"),))
    monkeypatch.setattr("monitor.settings.guest_places.goal", lambda: Path("goal"))
    monkeypatch.setattr("monitor.firmware.rom_files.FOLDERS", ())
    Path("guests").mkdir()
    Path("guests/tiny.bin").write_bytes(assemble(CODE, 0x100000))


def test_list_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guest", "list"]) == 0
    out = capsys.readouterr().out
    assert all(guest.name in out and guest.title in out for guest in ROWS)
    assert "no foreign.img" in out


def test_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guest", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["guests"]}
    assert rows["tiny"]["missing"] == [] and rows["tiny"]["expects"] == "qq"
    assert rows["tiny"]["types"] == [{"after": "r>", "text": "q"}]
    firmware = ["seabios/bios.bin", "seabios/vgabios-stdvga.bin"]
    assert rows["elsewhere"]["missing"] == ["memtest86+.iso", *firmware]


@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_run_types_and_ends_when_it_is_seen(
    mode: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["guest", "run", "tiny", "--expect", "--quiet", "--mode", mode]) == 0
    assert capfdbinary.readouterr().out == b"r>qq"


def test_without_a_terminal_it_does_so_by_itself(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["guest", "run", "tiny", "--quiet"]) == 0
    assert capfdbinary.readouterr().out == b"r>qq"


def test_what_does_not_come_is_status_1(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["guest", "run", "never"]) == 1
    assert "'nothing of it' was not seen" in capfd.readouterr().err


def test_options_beat_the_row(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["guest", "run", "tiny", "--memory", "4", "--serial", "file:said"]) == 0
    assert "4 MiB" in capfd.readouterr().err and Path("said").read_bytes() == b"r>qq"
    assert main(["guest", "run", "tiny", "--quiet", "--until", "r>"]) == 0
    assert capfd.readouterr().out == "r>"


def test_a_file_of_options_stands_between(capfd: pytest.CaptureFixture[str]) -> None:
    Path("o.toml").write_text("memory = 8\nquiet = true\n")
    words = "guest run tiny --config o.toml --memory 4 --stats s"
    assert main(words.split()) == 0
    assert capfd.readouterr() == ("r>qq", "")
    assert json.loads(Path("s").read_text())["memory_mb"] == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run tinny", "there is no guest 'tinny': choose from tiny, never, elsewhere, foreign; "
         "did you mean tiny?"),
        ("fetch nobody", "there is no guest 'nobody': choose from "),
        ("run elsewhere", "guest elsewhere needs memtest86+.iso, seabios/bios.bin, "
         "seabios/vgabios-stdvga.bin: `vp guest fetch elsewhere` gets that"),
        ("run foreign", "guest foreign needs foreign.img, which no package has: put it into "
         "guests/ or goal/"),
        ("run tiny --memry 4", "vp guest run has no option --memry"),
    ],
)  # fmt: skip
def test_mistakes(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guest", *words.split()]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"vp: error: {said}") and err.count("\n") == 1


def test_the_rows_are_whole() -> None:
    """Names differ, files are fetched, made, or of the shared folder; each expects something."""
    from monitor.guestbook.bringing import CDS
    from monitor.guestbook.fetching import BUILT, FETCHED

    assert len({guest.name for guest in GUESTS}) == len(GUESTS) >= 8
    for guest in GUESTS:
        assert guest.expect and guest.licence and guest.title
        for name in guest.files:
            assert f"{{{name}}}" in guest.machine, guest.name
            assert name in (*FETCHED, *BUILT, *CDS) or guest.name == "freedos"
        assert not any(guest.expect in step.text for step in guest.steps), "an echo would do"

"""`vp run --checkpoint` and `vp resume`, as commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from bt.assembler import assemble
from monitor import Machine
from monitor.cli import main

GUEST = """
    mov dx, 0x3f8
    mov ecx, 5
again:
    mov al, 'a'
    out dx, al
    dec ecx
    jnz again
    mov al, 'b'
    out dx, al
    mov dx, 0xf4
    mov al, 0
    out dx, al
    hlt
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run it here, in this folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guest.bin").write_bytes(assemble(GUEST, 0x100000))
    return ["run", "--flat", "guest.bin@0x100000", "--memory", "2", "--serial", "null"]


def test_at_the_end_of_the_run_and_on(
    run: list[str], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([*run, "--until", "aaa", "--checkpoint", "x"]) == 0
    assert "vp: checkpoint after 12 instructions, 0.0 MiB: x" in capfd.readouterr().err
    command = ["resume", "x", "--mode", "bare", "--serial", "file:out", "--until", "b"]
    assert main(command) == 0
    said = capfd.readouterr().err
    assert "vp: resuming x at 12 instructions in mode bare, 2 MiB" in said
    assert (tmp_path / "out").read_bytes() == b"aab"
    assert main(["resume", "x", "--quiet", "--serial", "null"]) == 0  # the debug exit


def test_at_a_text_and_after_instructions(
    run: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*run, "--checkpoint", "x", "--checkpoint-at", "aaaa"]) == 0
    assert "checkpoint after 16 instructions" in capfd.readouterr().err
    assert Machine.restore("x").console == b"aaaa"
    assert main([*run, "--checkpoint", "x", "--checkpoint-at", "7", "--quiet"]) == 0
    assert Machine.restore("x").instructions == 7
    assert capfd.readouterr().err == ""


def test_one_that_does_not_come(run: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*run, "--checkpoint", "x", "--checkpoint-at", "never"]) == 1
    assert "vp: x: no checkpoint was written: --checkpoint-at did not come" in (
        capfd.readouterr().err
    )
    assert main([*run, "--checkpoint", "x"]) == 1
    assert "no checkpoint was written, for the guest has ended" in capfd.readouterr().err
    assert not Path("x").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--checkpoint-at", "1e6"), "--checkpoint-at needs --checkpoint"),
        (("--checkpoint", "x", "--checkpoint-at", ""), "a text to wait for"),
        (("--rewind",), "--rewind needs --gdb"),
        (("--checkpoint", "no/x", "--checkpoint-at", "3"), "no/x: no checkpoint was written: No"),
        (("--checkpoint", "no/x", "--until", "aa"), "no/x: no checkpoint was written: No such"),
    ],
)
def test_bad_options(
    run: list[str], options: tuple[str, ...], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*run, *options]) == 2
    assert said in capfd.readouterr().err

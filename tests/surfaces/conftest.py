"""`vp` in this process, with a machine that plays its image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import fake_machine
import pytest
from fake_terminal import Terminal
from vp_command import Result

import monitor
from monitor.cli import main


@pytest.fixture
def vp(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Run `vp` here, with the fake machine."""
    monkeypatch.setitem(vars(monitor), "Machine", fake_machine.FakeMachine)
    monkeypatch.setattr(fake_machine.FakeMachine, "made", [])

    def run(*arguments: object) -> Result:
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return run


@pytest.fixture
def play(tmp_path: Path, vp: Callable[..., Result]) -> Callable[..., Result]:
    """`vp run` of a guest that takes these steps, its console in the file `console`."""

    def run(steps: str, *options: object) -> Result:
        image = tmp_path / "guest"
        image.write_text(steps)
        serial = f"file:{tmp_path / 'console'}"
        return vp("run", "--flat", f"{image}@0x100000", "--serial", serial, *options)

    return run


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """`vp run` of a guest that takes these steps, on a terminal of its own."""
    opened: list[Terminal] = []

    def start(steps: str, *options: str, shell: str = "", **environment: str) -> Terminal:
        image = tmp_path / "guest"
        image.write_text(steps)
        opened.append(Terminal(image, *options, shell=shell, **environment))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()

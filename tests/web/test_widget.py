"""The live screen in a notebook: as data, and in JupyterLab in a headless Chromium."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attending import (
    BIOS,
    FLOPPY,
    ROOT,
    VGABIOS,
    canvas_shows,
    needs,
    needs_browser,
    needs_freedos,
)
from patience import PATIENCE

from monitor import Machine

LIMIT = PATIENCE * 1000  # milliseconds
FREEDOS = [
    f"""from monitor import Machine
machine = Machine(memory_mb=32, chipset="i440fx", vga="std", drives={{"fda": {str(FLOPPY)!r}}})
machine.load_bios({str(BIOS)!r}, vgabios={str(VGABIOS)!r})
print(machine.run(until="A:\\\\>", timeout={PATIENCE}).kind)""",
    f"""machine.start(until="bytes free", timeout={PATIENCE})
machine.screen""",
    """outcome = machine.wait()
machine.screenshot("shown.png")
print(outcome.kind, "and a file:", "AUTOEXEC BAT" in machine.screen.text)""",
]


@pytest.fixture
def machine() -> Machine:
    return Machine(memory_mb=2, mode="bare", vga="std")


@needs("PIL")
def test_a_screen_is_a_picture(machine: Machine) -> None:
    png = machine.screen._repr_png_()
    assert png is not None and png.startswith(b"\x89PNG")


def test_without_a_library_for_widgets_it_is_that_picture(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules: dict[str, Any] = sys.modules  # type: ignore[assignment]
    monkeypatch.delitem(modules, "monitor.web.widget", raising=False)
    monkeypatch.setitem(modules, "anywidget", None)
    assert machine.screen._repr_mimebundle_() is None


def test_without_pillow_it_is_a_line(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    modules: dict[str, Any] = sys.modules  # type: ignore[assignment]
    monkeypatch.setitem(modules, "PIL", None)
    assert machine.screen._repr_png_() is None


@needs("anywidget", "PIL")
class TestWidget:
    """What goes to the browser and comes from it, without one."""

    @pytest.fixture
    def sent(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
        bundle = machine.screen._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in bundle[0]
        sent: list[bytes] = []
        monkeypatch.setattr(
            self.widget(machine), "send", lambda _message, buffers: sent.extend(buffers)
        )
        return sent

    def widget(self, machine: Machine) -> Any:
        assert machine._widget is not None
        return machine._widget

    def say(self, machine: Machine, message: Any) -> None:
        self.widget(machine)._hear(None, message, [])

    def test_it_is_one_widget_however_often_it_is_shown(self, machine: Machine) -> None:
        assert machine.screen._repr_mimebundle_() == machine.screen._repr_mimebundle_()

    def test_a_new_canvas_gets_the_picture(self, machine: Machine, sent: list[bytes]) -> None:
        for _ in range(2):
            self.say(machine, {"kind": "hello"})
        assert len(sent) == 2 and sent[0] == sent[1]
        width, height = machine.screen.size
        assert f'"width": {width}, "height": {height}'.encode() in sent[0]

    def test_what_is_typed_is_input(self, machine: Machine, sent: list[bytes]) -> None:
        machine.load_flat(b"\x40\xeb\xfd", 0x100000)
        self.say(machine, {"kind": "key", "code": "KeyD", "down": True, "repeat": False})
        machine.run(max_instructions=1000)
        assert machine.board.pc.kbc.keyboard.typed or machine.keys.waiting

    @pytest.mark.parametrize(
        "message", ["text", None, [], {}, {"kind": 5}, {"kind": "key"}, {"kind": "mouse", "x": "a"}]
    )
    def test_what_no_canvas_says_is_passed_over(
        self, machine: Machine, sent: list[bytes], message: Any
    ) -> None:
        self.say(machine, message)

    def test_the_end_of_a_run_in_the_background_is_shown(
        self, machine: Machine, sent: list[bytes]
    ) -> None:
        code = "mov edi, 0xb8000; mov eax, 0x1f411f41; mov ecx, 1000; rep stosd; l: jmp l"
        from bt.assembler import assemble

        machine.load_flat(assemble(code, 0x100000), 0x100000)
        self.say(machine, {"kind": "hello"})
        sent.clear()
        machine.start(max_instructions=10_000)
        machine.wait(PATIENCE)
        assert machine._widget is not None
        assert machine._widget._pictures.newest is machine.screen.array


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """JupyterLab's address, with the notebook in its folder."""
    cells = [
        {"cell_type": "code", "id": f"c{number}", "metadata": {}, "source": source, "outputs": [],
         "execution_count": None}
        for number, source in enumerate(FREEDOS)
    ]  # fmt: skip
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "dos.ipynb").write_text(json.dumps(notebook))
    folders = {name: str(tmp_path / name.lower()) for name in
               ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR",
                "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")}  # fmt: skip
    environment = os.environ | folders | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0",
               "--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={tmp_path}"]  # fmt: skip
    log = tmp_path / "log"
    with (
        log.open("w") as said,
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
                         stderr=said) as process,
    ):  # fmt: skip
        try:
            yield _address(process, log)
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """What it says, once it is there."""
    while True:
        ended = process.poll() is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/lab\?token=\w+", log.read_text())
        if found:
            return found[0]
        assert not ended, log.read_text()
        time.sleep(0.1)


@needs("jupyterlab", "anywidget", "PIL")
@needs_browser
@needs_freedos
@pytest.mark.slow
def test_dir_is_typed_in_freedos(lab: str, browser: Any, tmp_path: Path) -> None:
    """With VP_PICTURES in the environment the screenshot is kept there, to be looked at."""
    page = browser.new_page(viewport={"width": 1000, "height": 1000})
    page.set_default_timeout(LIMIT)
    address, _, token = lab.partition("/lab?token=")
    page.goto(f"{address}/lab/tree/dos.ipynb?token={token}&reset")
    page.wait_for_selector(".jp-CodeCell >> nth=2")
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    page.click(".jp-CodeCell .cm-content >> nth=0")
    page.keyboard.press("Shift+Enter")
    page.wait_for_selector(".jp-OutputArea-output:has-text('until')")
    page.keyboard.press("Shift+Enter")
    page.wait_for_selector("canvas.vp-screen")
    page.wait_for_function("document.querySelector('canvas.vp-screen').width === 720")
    page.click("canvas.vp-screen")
    page.keyboard.type("ddir")  # twice d deletes a cell, where the notebook hears it
    for key in ("Home", "Delete", "Enter"):
        page.keyboard.press(key)
    page.click(".jp-CodeCell .cm-content >> nth=2")
    page.keyboard.press("Shift+Enter")
    page.wait_for_selector("text=until and a file: True")
    assert page.locator(".jp-CodeCell").count() == len(FREEDOS) + 1
    from PIL import Image

    shown = np.asarray(Image.open(tmp_path / "shown.png"))
    canvas_shows(page, lambda: shown)
    folder = Path(os.environ.get("VP_PICTURES", tmp_path))
    page.locator(".jp-Notebook").screenshot(path=folder / "notebook.png")

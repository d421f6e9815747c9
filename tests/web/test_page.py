"""The page itself, in a headless Chromium."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attending import Attending, canvas_shows, freedos, needs, needs_browser, needs_freedos
from patience import PATIENCE

pytestmark = [needs("aiohttp", "PIL"), needs_browser]
LIMIT = PATIENCE * 1000  # milliseconds
SHOWS = """(text) => {
  const core = window.terminal._core ?? window.terminal;
  return core.buffer.translateBufferLineToString(0, true).includes(text);
}"""
TYPES = "; ".join(f"mov al, {each}; out dx, al" for each in b"hello browser")
VBE = {0: 0xB0C5, 1: 640, 2: 480, 3: 8, 4: 0x41}  # Bochs's registers
WIDE = (
    "".join(
        f"mov edx, 0x1ce; mov eax, {index}; out dx, ax; inc edx; mov eax, {value}; out dx, ax; "
        for index, value in VBE.items()
    )
    + "again: inc eax; jmp again"
)
PRINTS = f"mov edx, 0x3f8; {TYPES}; again: inc eax; jmp again"


class Page:
    """An open page, and what went wrong on it."""

    def __init__(self, browser: Any, url: str) -> None:
        self.page = browser.new_page(viewport={"width": 1300, "height": 700})
        self.page.set_default_timeout(LIMIT)
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._said)
        self.page.goto(url)
        self.state(r"instructions")

    def _said(self, message: Any) -> None:
        if message.type == "error":
            self.wrong.append(message.text)

    def state(self, pattern: str) -> None:
        self.page.wait_for_function(
            "(pattern) => new RegExp(pattern).test(document.querySelector('#state').textContent)",
            arg=pattern,
        )

    def tab(self, name: str) -> None:
        self.page.click(f"[data-tab={name}]")

    def ask(self, line: str, pattern: str) -> str:
        """A line of the monitor's console, again and again until the answer is that."""
        self.tab("monitor")
        while True:
            before = self.page.text_content("#monitor pre")
            self.page.fill("#monitor input", line)
            self.page.press("#monitor input", "Enter")
            self.page.wait_for_function(
                "(before) => document.querySelector('#monitor pre').textContent !== before",
                arg=before,
            )
            answer = self.page.text_content("#monitor pre")[len(before) :]
            if re.search(pattern, answer):
                return str(answer)


@pytest.fixture
def page(browser: Any, attending: Attending) -> Iterator[Page]:
    page = Page(browser, attending.server.url)
    yield page
    assert page.wrong == []


def test_buttons_and_the_monitors_console(page: Page) -> None:
    page.page.click("text=Pause")
    page.state("stands")
    page.page.click("text=Continue")
    page.state("runs")
    page.ask("info status", "running")
    page.ask("nonsense", "there is no command")


def test_statistics_are_live(page: Page) -> None:
    page.tab("statistics")
    page.page.wait_for_selector("#statistics td:text('world switches')")
    first = page.page.text_content("#state")
    page.page.wait_for_function(
        "(first) => document.querySelector('#state').textContent !== first", arg=first
    )


def test_pictures_of_the_machines_inside(browser: Any) -> None:
    with Attending(mode="translate") as attending:
        page = Page(browser, attending.server.url)
        for name in ("tc", "mmu"):
            page.tab(name)
            page.page.wait_for_function(
                "(name) => document.querySelector(`#${name} img`).naturalWidth > 100", arg=name
            )
        assert page.wrong == []


def test_a_mode_without_a_cache_says_so(page: Page) -> None:
    page.tab("tc")
    page.page.wait_for_selector("text=mode bare has no translation cache")


@needs("nbclassic")
def test_the_serial_console_shows_and_takes_text(browser: Any) -> None:
    with Attending(PRINTS) as attending:
        sent = bytearray()
        inputs, serial = attending.machine.board.real_inputs, attending.machine.serial
        inputs.connect("com1", sent.extend, serial)
        page = Page(browser, attending.server.url)
        page.page.wait_for_function(SHOWS, arg="hello browser")
        page.page.click("#terminal")
        page.page.keyboard.type("typed")
        while bytes(sent) != b"typed":
            page.page.wait_for_timeout(10)
        assert page.wrong == []


def test_without_a_terminal_the_page_says_what_to_install(
    browser: Any, attending: Attending, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monitor.web import libraries

    monkeypatch.setattr(libraries, "xterm", lambda: {})
    page = Page(browser, attending.server.url)
    page.page.wait_for_selector("text=pip install nbclassic")
    assert all("404" in each for each in page.wrong)


@pytest.fixture
def wide(browser: Any) -> Iterator[tuple[Page, Attending]]:
    """A guest that has set a mode with some room."""
    with Attending(WIDE) as attending:
        page = Page(browser, attending.server.url)
        page.page.wait_for_function("document.querySelector('canvas.vp-screen').height === 480")
        yield page, attending


def test_the_mouse_moves_and_clicks(wide: tuple[Page, Attending]) -> None:
    page, attending = wide
    given: list[Any] = []
    inputs = attending.machine.board.inputs
    give = inputs.give

    def noted(source: str, data: Any) -> None:
        given.append((source, data))
        give(source, data)

    inputs.give = noted  # type: ignore[method-assign]
    box = page.page.locator("canvas.vp-screen").bounding_box()
    page.page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.page.mouse.move(box["x"] + 120, box["y"] + 90, steps=4)
    page.page.mouse.down()
    page.page.mouse.up()
    end = time.monotonic() + PATIENCE
    while ("mouse", (0, 0, 0, 0)) not in given and time.monotonic() < end:
        page.page.wait_for_timeout(10)
    assert ("mouse", (0, 0, 0, 0)) in given
    assert ("mouse", (0, 0, 0, 1)) in given
    assert any(data[0] > 0 and data[1] < 0 for source, data in given if source == "mouse")


def test_a_page_whose_machine_has_ended_says_so(browser: Any) -> None:
    with Attending() as attending:
        page = Page(browser, attending.server.url)
        attending.attended.stop()
        page.state("it has ended")
    page.state("it has ended")


@needs_freedos
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["bare", "translate"])
def test_dir_is_typed_in_freedos(browser: Any, tmp_path: Path, mode: str) -> None:
    """With VP_PICTURES in the environment the screenshots are kept there, to be looked at."""
    with Attending(machine=freedos(mode)) as attending:
        page = Page(browser, attending.server.url)
        attending.wait_for_text("A:\\>")
        page.page.locator("canvas.vp-screen").focus()
        page.page.keyboard.type("dir\n")
        text = attending.wait_for_text("bytes free")
        assert "COMMAND  COM" in text and "AUTOEXEC BAT" in text
        page.tab("statistics")
        canvas_shows(page.page, lambda: attending.machine.screen.array)
        folder = Path(os.environ.get("VP_PICTURES", tmp_path))
        page.page.screenshot(path=folder / f"page-{mode}.png")
        assert page.wrong == []

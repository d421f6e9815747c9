"""The window on a real X server: what is seen there, keys and mouse, its size, its close button.

No event is made here: each goes from the server through SDL and pygame (x_lab.py). Only where the
time comes from is ours, so that the machine looks at each turn.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bios_guests import needs_bios
from patience import PATIENCE
from test_window import Clock, at
from vga_modes import MODE_13, TEXT_80x25
from video_lab import CODE, DATA, MODES, assembled, load, setting
from vnc_lab import MOUSE, listening
from x_lab import SIZE, Sitter, needs_x, until, x_server

from monitor import Machine
from monitor.host.window.toolkit import Toolkit
from monitor.host.window.window import FIRST, FREE, Window

pytestmark = [needs_x, pytest.mark.slow]  # as in test_window.py
ROOT = Path(__file__).resolve().parents[2]
FLOPPY = ROOT.parent / "shared" / "guests" / "freedos722.img"
CURSOR = 9 * 16  # pixels at most
TITLE = "disk.img - {}, {} x {}"
TURNS = 5_000_000  # instructions between two looks


@pytest.fixture
def x(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sitter]:
    with x_server() as sitter:
        monkeypatch.setenv("DISPLAY", sitter.name)
        monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        yield sitter


class Shown:
    """A machine's window, which has the keys."""

    def __init__(self, x: Sitter, machine: Machine, window: Window) -> None:
        import pygame

        self._x, self._machine, self._window = x, machine, window
        self._pygame: Any = pygame
        self.until(pygame.key.get_focused)

    def until(self, true: Any) -> None:
        """Wait; the window hears of what the server says."""

        def heard() -> bool:
            self._window.look()
            return bool(true())

        until(heard)

    def run(self, true: Any = lambda: True) -> None:
        """Until what has been done has arrived, and the guest has read it."""

        def ran() -> bool:
            self._window.look()
            self._machine.run(max_instructions=TURNS)
            return bool(true())

        until(ran)

    @property
    def window(self) -> Any:
        """Of the server's."""
        [window] = self._x.windows().values()
        return window

    @property
    def title(self) -> str:
        [title] = self._x.windows()
        return title

    def shows_the_screen(self, times: int = 1, but: int = 0) -> bool:
        """Is it the machine's, so many times as large, but for some pixels?"""
        self._window.look()
        seen = self._x.picture(self.window)
        wanted = self._machine.screen.array.repeat(times, 0).repeat(times, 1)
        return seen.shape == wanted.shape and int((seen != wanted).any(2).sum()) <= but


@pytest.fixture
def machine() -> Machine:
    return listening("translate")


@pytest.fixture
def shown(x: Sitter, machine: Machine) -> Iterator[Shown]:
    with Window(machine, Toolkit(True), "disk.img", Clock()) as window:
        yield Shown(x, machine, window)


def read(machine: Machine, address: int) -> bytes:
    """What the guest has written there so far."""
    return machine.read_physical(address, 200).rstrip(b"\0")


def test_the_server_shows_the_screen(shown: Shown, machine: Machine) -> None:
    assert shown.title == TITLE.format("translate", 720, 400)
    shown.until(shown.shows_the_screen)
    assert machine.screen.array.any()


def test_it_follows_the_mode_and_its_user(shown: Shown, machine: Machine, x: Sitter) -> None:
    load(machine, setting(MODE_13) + "mov byte ptr [0xa0000], 7; here: jmp here")
    shown.run(lambda: x.place(shown.window)[2:] == (640, 400))
    assert shown.title == TITLE.format("translate", 320, 200)
    shown.until(lambda: shown.shows_the_screen(times=2))
    x.resize(shown.window, 960, 700)
    shown.until(lambda: x.picture(shown.window)[50:53, :3].any())  # larger, in the middle
    seen = x.picture(shown.window)
    assert seen.shape == (700, 960, 3) and not seen[:50].any() and not seen[650:].any()
    load(machine, setting(TEXT_80x25))
    shown.run(lambda: shown.title == TITLE.format("translate", 720, 400))
    assert x.place(shown.window)[2:] == (960, 700)


def test_keys_arrive(shown: Shown, machine: Machine, x: Sitter) -> None:
    x.keys("+Shift_L", "a", "-Shift_L", "Up", "F1")
    shown.run(lambda: len(read(machine, DATA)) >= 10)
    assert read(machine, DATA).hex() == "2a1e9eaa" "e048e0c8" "3bbb"


def test_the_mouse_is_captured_and_freed(shown: Shown, machine: Machine, x: Sitter) -> None:
    left, top, width, height = x.place(shown.window)
    x.point(left + width // 2, top + height // 2)
    x.click()
    shown.run(lambda: shown.title.endswith(FREE))
    assert read(machine, MOUSE) == b"\xfa", "the click is not the guest's"
    for number in range(1, 21):  # farther than the window is wide, and than the screen
        x.push(100, -50)
        shown.run(lambda wanted=1 + 3 * number: len(read(machine, MOUSE)) >= wanted)
    assert read(machine, MOUSE)[1:] == b"\x08\x64\x32" * 20
    within = x.pointer[0] - left, x.pointer[1] - top
    assert 0 <= within[0] < width and 0 <= within[1] < height
    x.button(3)
    shown.run(lambda: at(machine, MOUSE + 61, 3) == "0a0000")
    x.button(3, down=False)
    shown.run(lambda: at(machine, MOUSE + 64, 3) == "080000")
    x.keys("+Control_L", "+Alt_L", "-Alt_L", "-Control_L")
    shown.run(lambda: shown.title == TITLE.format("translate", 720, 400))
    x.point(*(each - 1 for each in SIZE))
    shown.run(lambda: x.pointer == (SIZE[0] - 1, SIZE[1] - 1))
    assert at(machine, MOUSE + 67, 1) == "00", "nor what is done outside"


def test_who_looks_elsewhere_lets_go(shown: Shown, machine: Machine, x: Sitter) -> None:
    left, top, *_ = x.place(shown.window)
    x.point(left + 9, top + 9)
    x.click()
    x.keys("+Shift_L")
    shown.run(lambda: shown.title.endswith(FREE) and read(machine, DATA))
    assert set(read(machine, DATA)) == {0x2A}, "down, and repeated"
    x.look_elsewhere()
    shown.run(lambda: read(machine, DATA)[-2:] == b"\x2a\xaa")
    assert not shown.title.endswith(FREE)
    x.keys("-Shift_L", "a")
    shown.run()
    assert read(machine, DATA)[-2:] == b"\x2a\xaa"


def test_the_close_button_ends_the_run(shown: Shown, machine: Machine, x: Sitter) -> None:
    x.close_button(shown.window)
    assert machine.run(timeout=PATIENCE).kind == "stopped"


def test_before_there_is_a_mode_it_has_a_size_all_the_same(x: Sitter) -> None:
    machine = Machine(memory_mb=4, mode="bare", vga="std")
    machine.load_flat(b"\xeb\xfe", 0x100000)
    with Window(machine, Toolkit(True), "disk.img", Clock()) as window:
        shown = Shown(x, machine, window)
        left, top, width, height = x.place(shown.window)
        assert (width, height) == FIRST
        assert abs(2 * left + width - SIZE[0]) < 3 and abs(2 * top + height - SIZE[1]) < 3


@needs_bios
@pytest.mark.skipif(not FLOPPY.exists(), reason="needs FreeDOS's floppy")
@pytest.mark.parametrize("mode", MODES)
def test_dir_is_typed_in_freedos(mode: str, x: Sitter, tmp_path: Path) -> None:
    """With VP_PICTURES in the environment a picture of it is kept there, to be looked at."""
    from PIL import Image

    machine = Machine(memory_mb=32, mode=mode, chipset="i440fx", vga="std", parts=["mouse"],
                      drives={"fda": FLOPPY})  # fmt: skip
    machine.load_bios(boot="order=a")
    with Window(machine, Toolkit(True), "disk.img", Clock()) as window:
        shown = Shown(x, machine, window)
        assert machine.run(until="A:\\>", timeout=PATIENCE).kind == "until"
        x.keys("d", "i", "r", "Return")
        assert machine.run(until="bytes free", timeout=PATIENCE).kind == "until"
        assert "AUTOEXEC BAT" in machine.screen.text
        shown.until(lambda: shown.shows_the_screen(but=CURSOR))
        folder = Path(os.environ.get("VP_PICTURES", tmp_path))
        Image.fromarray(x.picture(shown.window)).save(folder / f"window-{mode}.png")


def test_vp_run_opens_one_and_its_close_button_ends_it(x: Sitter, tmp_path: Path) -> None:
    image = tmp_path / "guest.bin"
    image.write_bytes(assembled(setting(MODE_13) + "here: jmp here"))
    command = [sys.executable, "-m", "monitor", "run", "--flat", f"{image}@{CODE:#x}",
               "--display", "window", "--serial", "null", "--timeout", str(PATIENCE)]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as process:  # fmt: skip
        until(lambda: any("320 x 200" in title for title in x.windows()))
        [window] = x.windows().values()
        x.close_button(window)
        said = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, said
    assert "stopped on request" in said

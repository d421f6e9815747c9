"""The window, on SDL's driver without a screen: what is drawn, keys, the mouse and its capture."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE
from vga_modes import MODE_13
from video_lab import DATA, load, setting
from vnc_lab import MOUSE, listening

from devices.scancodes import MAKE
from monitor import Machine
from monitor.host.window.hid_keys import KEYS
from monitor.host.window.toolkit import Toolkit
from monitor.host.window.window import FREE, Window
from monitor.vmm.errors import UserError

pygame: Any = pytest.importorskip("pygame", reason="pygame-ce is not installed (extra window)")
pytestmark = pytest.mark.slow  # each runs tens of millions of instructions
ROOT = Path(__file__).resolve().parents[2]
NUMBERS = {name: number for number, name in KEYS.items()}


@pytest.fixture(autouse=True)
def no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


class Clock:
    """Always time for the next picture."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def machine() -> Machine:
    return listening("translate")


@pytest.fixture
def window(machine: Machine) -> Iterator[Window]:
    with Window(machine, Toolkit(True), "disk.img", Clock()) as window:
        pygame.event.clear()
        yield window


def happens(machine: Machine, *events: tuple[int, dict[str, object]]) -> None:
    for kind, values in events:
        pygame.event.post(pygame.event.Event(kind, values))
    machine.run(max_instructions=30_000_000)


def key(name: str, down: bool = True) -> tuple[int, dict[str, object]]:
    kind = pygame.KEYDOWN if down else pygame.KEYUP
    return kind, {"scancode": NUMBERS[name], "key": 0, "mod": 0, "unicode": ""}


def button(number: int, down: bool = True) -> tuple[int, dict[str, object]]:
    return (pygame.MOUSEBUTTONDOWN if down else pygame.MOUSEBUTTONUP,
            {"button": number, "pos": (1, 1)})  # fmt: skip


def motion(right: int, down: int, x: int = 0, y: int = 0) -> tuple[int, dict[str, object]]:
    return pygame.MOUSEMOTION, {"rel": (right, down), "pos": (x, y), "buttons": (0, 0, 0)}


def shown() -> np.ndarray:
    return pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)


def at(machine: Machine, address: int, count: int) -> str:
    return machine.read_physical(address, count).hex()


def test_the_window_shows_the_screen(machine: Machine, window: Window) -> None:
    happens(machine)
    window.look()
    assert shown().shape == (400, 720, 3)
    assert (shown() == machine.screen.array).all() and shown().any()
    assert pygame.display.get_caption()[0] == "disk.img - translate, 720 x 400"
    load(machine, setting(MODE_13) + "mov byte ptr [0xa0000], 7; here: jmp here")
    happens(machine)
    window.look()
    assert shown().shape == (400, 640, 3), "twice as large"
    assert (shown()[::2, ::2] == machine.screen.array).all()


def test_who_resizes_it_keeps_it(machine: Machine, window: Window) -> None:
    pygame.display.set_mode((800, 800), pygame.RESIZABLE)
    happens(machine, (pygame.WINDOWSIZECHANGED, {}))
    window.look()
    assert shown().shape == (800, 800, 3)
    assert not shown()[:178].any() and not shown()[622:].any() and shown()[178:622].any()


def test_keys_by_their_places(machine: Machine, window: Window) -> None:
    happens(machine, key("shift"), key("a"), key("a", False), key("shift", False), key("up"))
    assert at(machine, DATA, 10) == "2a1e9eaa" "e048e0c8" "0000"
    assert set(KEYS.values()) <= set(MAKE)


def test_the_mouse_is_captured_by_a_click_and_freed_by_ctrl_alt(
    machine: Machine, window: Window
) -> None:
    happens(machine, motion(5, 5), button(1), button(1, False))
    assert at(machine, MOUSE, 4) == "fa000000", "nothing for the guest yet"
    assert pygame.event.get_grab()
    assert pygame.display.get_caption()[0].endswith(FREE)
    happens(machine, motion(5, -3), button(3))
    assert at(machine, MOUSE, 8) == "fa" "080503" "0a0000" "00"
    happens(machine, key("ctrl"), key("alt"))
    assert not pygame.event.get_grab()
    happens(machine, motion(9, 9))
    assert at(machine, MOUSE, 8) == "fa" "080503" "0a0000" "00"


def test_who_leaves_lets_go(machine: Machine, window: Window) -> None:
    happens(machine, button(1), key("shift"), button(1), (pygame.WINDOWFOCUSLOST, {}))
    assert at(machine, DATA, 3) == "2aaa00"
    assert at(machine, MOUSE, 7) == "fa" "090000" "080000"
    assert not pygame.event.get_grab()


def test_closing_it_stops_the_machine(machine: Machine, window: Window) -> None:
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    assert machine.run(timeout=PATIENCE).kind == "stopped"


def test_it_is_gone_afterwards(machine: Machine) -> None:
    with Window(machine, Toolkit(False)):
        assert pygame.display.get_init()
    assert not pygame.display.get_init()
    assert machine.loop.chores == [] and machine.board.real_inputs.attended == 0


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise pygame.error("no device")

    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    with monkeypatch.context() as patch:
        patch.setattr(pygame.display, "get_driver", lambda: "offscreen")
        with pytest.raises(UserError, match=r"nowhere to put a window \(no X or Wayland\)"):
            patch.setattr(pygame.display, "init", lambda: None)
            Toolkit(False)
        patch.setattr(pygame.display, "init", fails)
        with pytest.raises(UserError, match=r"nowhere to put a window \(no device\); vnc=:0"):
            Toolkit(False)
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(UserError, match="needs the package pygame-ce: pip install"):
        Toolkit(False)


def test_vp_run_opens_one(tmp_path: Path) -> None:
    from video_lab import CODE, assembled

    image = tmp_path / "guest.bin"
    image.write_bytes(assembled(setting(MODE_13) + "xor al, al; out 0xf4, al"))
    command = [sys.executable, "-m", "monitor", "run", "--flat", f"{image}@{CODE:#x}",
               "--display", "window", "--serial", "null"]  # fmt: skip
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE,
                            check=False)  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "pygame" not in result.stdout

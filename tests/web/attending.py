"""A machine that runs on a thread of its own, with its page; what these tests need."""

from __future__ import annotations

import base64
import importlib.util
import io
import queue
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE

from bt.assembler import assemble
from monitor import Machine, Outcome

ROOT = Path(__file__).resolve().parents[2]
GUESTS = ROOT / "guests"
BIOS = GUESTS / "seabios" / "bios.bin"
VGABIOS = GUESTS / "seabios" / "vgabios-stdvga.bin"
FLOPPY = ROOT.parent / "shared" / "guests" / "freedos722.img"
CHROMIUM = shutil.which("chromium")
BASE = 0x100000
CURSOR = 9 * 16  # pixels at most
COUNTS = "again:\n inc eax\n jmp again"


def needs(*packages: str) -> Any:
    """Left out where one is not installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


needs_browser = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None,
    reason="needs chromium and the package playwright",
)
needs_freedos = pytest.mark.skipif(
    not (BIOS.exists() and VGABIOS.exists() and FLOPPY.exists()),
    reason="needs SeaBIOS (`make guests`) and FreeDOS's floppy",
)


def freedos(mode: str) -> Machine:
    """A PC with FreeDOS's floppy in it, switched on."""
    machine = Machine(
        memory_mb=32, mode=mode, chipset="i440fx", vga="std", parts=["mouse"],
        drives={"fda": FLOPPY},
    )  # fmt: skip
    machine.load_bios(BIOS, vgabios=VGABIOS)
    return machine


def canvas_shows(page: Any, screen: Callable[[], Any]) -> None:
    """The canvas comes to show what the machine does, but for the cursor, which blinks."""
    from PIL import Image

    while True:
        data = page.evaluate("() => document.querySelector('canvas.vp-screen').toDataURL()")
        png = base64.b64decode(data.partition(",")[2])
        seen, shown = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")), screen()
        if seen.shape == shown.shape and (seen != shown).any(axis=2).sum() <= CURSOR:
            return
        page.wait_for_timeout(50)


class Attending:
    """A machine that counts, with a screen and a mouse, its page, and whoever attends it."""

    def __init__(
        self, source: str = COUNTS, machine: Machine | None = None, **settings: Any
    ) -> None:
        from monitor.console.attended import Attended
        from monitor.web.server import PageServer

        options = {"memory_mb": 4, "mode": "bare", "vga": "std", "parts": ["mouse"]} | settings
        self.machine = machine or Machine(**options)
        if machine is None:
            self.machine.load_flat(assemble(source, BASE), BASE, esp=0x8000)
        self.attended = Attended(self.machine, self.machine)
        self.server = PageServer(self.machine, self.attended)
        self.outcome: Outcome | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        self.outcome = self.attended.run()
        self.server.finish("it has ended")

    def __enter__(self) -> Attending:
        self.server.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.attended.stop()
        self._thread.join(PATIENCE)
        self.server.__exit__()

    def wait_for_text(self, text: str) -> str:
        """Until the screen shows this; all that it shows then."""
        shown: queue.Queue[str] = queue.Queue()
        while True:
            self.attended.call(lambda: shown.put(self.machine.screen.text))
            found = shown.get(timeout=PATIENCE)
            if text in found:
                return found
            time.sleep(0.05)

    @property
    def token(self) -> str:
        return self.server.url.partition("token=")[2]

    @property
    def origin(self) -> str:
        return self.server.url.partition("/?")[0]

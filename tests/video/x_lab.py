"""An X server without a screen (Xvfb), and somebody who sits before it, by python-xlib.

Keys, the mouse and its buttons are the server's own (its extension XTEST), so what a window hears
of them has gone the whole way; pictures are of what the server shows.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE

SIZE = 1280, 1024
NEEDED = ("pygame", "Xlib", "PIL")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
MISSING += [] if shutil.which("Xvfb") else ["Xvfb (Debian's package xvfb)"]
needs_x = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


class Sitter:
    """Before the server `name`, like ":1"."""

    def __init__(self, name: str) -> None:
        from Xlib import X
        from Xlib.display import Display

        self.name = name
        self._x: Any = X
        self._display: Any = Display(name)
        self._root = self._display.screen().root

    def close(self) -> None:
        self._display.close()

    # --- windows ----------------------------------------------------------------------------------

    def windows(self) -> dict[str, Any]:
        """Those that have a title, by it."""
        from Xlib.error import BadWindow

        found = {}
        for window in self._root.query_tree().children:
            with suppress(BadWindow):  # it has gone meanwhile
                title = window.get_full_property(self._atom("_NET_WM_NAME"), 0)
                if title is not None:
                    found[title.value.decode()] = window
        return found

    def place(self, window: Any) -> tuple[int, int, int, int]:
        """x, y, width and height of a window."""
        shape = window.get_geometry()
        return shape.x, shape.y, shape.width, shape.height

    def resize(self, window: Any, width: int, height: int) -> None:
        window.configure(width=width, height=height)
        self._display.sync()

    def close_button(self, window: Any) -> None:
        """What a window manager does when it is pressed (ICCCM, 4.2.8.1)."""
        from Xlib.protocol.event import ClientMessage

        data = 32, [self._atom("WM_DELETE_WINDOW"), self._x.CurrentTime, 0, 0, 0]
        kind = self._atom("WM_PROTOCOLS")
        window.send_event(ClientMessage(window=window, client_type=kind, data=data))
        self._display.sync()

    def look_elsewhere(self) -> None:
        """No window has the keys any more."""
        self._display.set_input_focus(self._x.NONE, self._x.RevertToNone, self._x.CurrentTime)
        self._display.sync()

    def picture(self, window: Any) -> Any:
        """What is seen of it: lines x pixels x 3."""
        from PIL import ImageGrab

        x, y, width, height = self.place(window)
        box = x, y, x + width, y + height
        return np.asarray(ImageGrab.grab(box, xdisplay=self.name).convert("RGB"))

    # --- keys and mouse ---------------------------------------------------------------------------

    def keys(self, *strokes: str) -> None:
        """`+Shift_L` is down, `-Shift_L` up, `a` both: names of X's keys."""
        from Xlib import XK

        for stroke in strokes:
            code = self._display.keysym_to_keycode(XK.string_to_keysym(stroke.lstrip("+-")))
            assert code, stroke
            if not stroke.startswith("-"):
                self._give(self._x.KeyPress, code)
            if not stroke.startswith("+"):
                self._give(self._x.KeyRelease, code)

    def button(self, number: int, down: bool = True) -> None:
        self._give(self._x.ButtonPress if down else self._x.ButtonRelease, number)

    def click(self, number: int = 1) -> None:
        for down in (True, False):
            self.button(number, down)

    def point(self, x: int, y: int) -> None:
        self._give(self._x.MotionNotify, x=x, y=y)

    def push(self, right: int, down: int) -> None:
        """By steps, as a mouse does."""
        self._give(self._x.MotionNotify, 1, x=right, y=down)

    @property
    def pointer(self) -> tuple[int, int]:
        at = self._root.query_pointer()
        return at.root_x, at.root_y

    def _give(self, kind: int, detail: int = 0, x: int = 0, y: int = 0) -> None:
        from Xlib.ext.xtest import fake_input

        fake_input(self._display, kind, detail, x=x, y=y)
        self._display.sync()

    def _atom(self, name: str) -> int:
        return int(self._display.intern_atom(name))


@contextmanager
def x_server() -> Iterator[Sitter]:
    """A server of its own; it chooses its number."""
    come, go = os.pipe()
    command = ["Xvfb", "-displayfd", str(go), "-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24",
               "-nolisten", "tcp", "-noreset"]  # fmt: skip
    with subprocess.Popen(command, pass_fds=[go], stdin=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:  # fmt: skip
        os.close(go)
        try:
            with open(come, encoding="ascii") as told:
                number = told.readline().strip()
            assert number, "Xvfb has ended"
            sitter = Sitter(f":{number}")
            try:
                yield sitter
            finally:
                sitter.close()
        finally:
            process.terminate()
            process.wait(PATIENCE)


def until(true: Any) -> None:
    """Wait for it; the test's own limit ends what never comes."""
    while not true():
        time.sleep(0.02)

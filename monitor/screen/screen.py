"""The screen of a machine, as a program looks at it: `machine.screen`.

    machine.screen.array       lines x pixels x 3 of unsigned bytes
    machine.screen.size        width and height
    machine.screen.text        what a text mode shows, lines ended by \\n
    machine.screen.dirty()     rectangles that have changed since it was asked last
    machine.screen.between(old, new)    where two pictures of the same size differ
    machine.screen.save("boot.png")
    machine.screen             in a notebook, as a cell's last line: live, with keys and mouse

Looking changes nothing for the guest. A picture is drawn anew only if memory was written, a
register changed or something has blinked since it was looked at last.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.video.attribute import BLINK, MODE_CONTROL
from devices.video.vga import Vga
from monitor.screen import picture, rectangles
from monitor.screen.reader import characters, cursor, text_lines
from monitor.screen.rectangles import Rectangle
from monitor.screen.text import phases
from monitor.vmm.errors import UserError
from monitor.writing.whole_file import whole_file

MOST_RECTANGLES = 64


class Screen:
    """What one adapter shows."""

    def __init__(self, vga: Vga) -> None:
        self._vga = vga
        self._seen: object = None  # what the picture was drawn from
        self._picture: npt.NDArray[np.uint8] | None = None
        self._dirty: list[Rectangle] = []
        #: What a notebook shows of it, live, if it can.
        self.live: Callable[[], Any] = _nothing_live

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return picture.size(self._vga)

    @property
    def is_text(self) -> bool:
        """Is it in a text mode?"""
        return picture.is_text(self._vga)

    @property
    def lines(self) -> list[str]:
        """The rows of a text mode, without the blanks at their ends; none in a graphics mode."""
        return text_lines(self._vga)

    @property
    def text(self) -> str:
        """The same as one text, without the empty rows at its end."""
        return "\n".join(self.lines).rstrip("\n")

    @property
    def cells(self) -> npt.NDArray[np.uint16] | None:
        """Character and attribute (the high byte) by row and column; None in a graphics mode."""
        return characters(self._vga)

    @property
    def cursor(self) -> tuple[int, int] | None:
        """Row and column of a text mode's cursor, if it is to be seen."""
        return cursor(self._vga)

    @property
    def blinks(self) -> bool:
        """Does an attribute's highest bit mean that the character blinks?"""
        return bool(self._vga.attribute.registers[MODE_CONTROL] & BLINK)

    def written_text(self) -> object:
        """What the text was read from, to be compared; None: it is not known."""
        windows = self._vga.windows
        if windows.shown is None or not windows.shown.is_view:
            return None
        return windows.view.bytes.tobytes(), bytes(self._vga.crtc.registers)

    @property
    def array(self) -> npt.NDArray[np.uint8]:
        """The picture: lines x pixels x (red, green, blue). It is not changed later."""
        self._look()
        assert self._picture is not None
        return self._picture

    def dirty(self) -> list[Rectangle]:
        """Where the picture has changed since this was asked last; all of it the first time."""
        self._look()
        found, self._dirty = self._dirty, []
        return found

    @staticmethod
    def between(old: npt.NDArray[np.uint8], new: npt.NDArray[np.uint8]) -> list[Rectangle]:
        """Where two arrays of the same size differ: for several who look, each at its own pace."""
        return rectangles.changes(old, new)

    def save(self, path: str | Path) -> None:
        """The picture as a file, PNG or what the name's ending says. UserError: it cannot be."""
        try:
            from PIL import Image
        except ImportError as error:
            raise UserError(
                "a picture needs the package Pillow: pip install 'virtual-platform[screen]'"
            ) from error
        kind = Image.registered_extensions().get(Path(path).suffix.lower())
        if kind is None:
            raise UserError(f"{path}: cannot write the picture: no format has this name; take .png")
        try:
            with whole_file(Path(path)) as file:
                Image.fromarray(np.ascontiguousarray(self.array)).save(file, kind)
        except (OSError, ValueError, KeyError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"{path}: cannot write the picture: {reason}") from error

    def _repr_mimebundle_(self, **_wanted: object) -> Any:
        """In a notebook with a library for widgets: the live screen."""
        return self.live()

    def _repr_png_(self) -> bytes | None:
        """In a notebook without one, and in its file: the screen as it is now."""
        try:
            from PIL import Image
        except ImportError:
            return None
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(self.array)).save(file, "PNG")
        return file.getvalue()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        width, height = self.size
        printer.text(f"a screen of {width} x {height}")

    def _look(self) -> None:
        vga, windows = self._vga, self._vga.windows
        written = windows.memory.written_pages() + windows.view.written_pages()
        blinking = phases(vga) if self.is_text else ()
        seen = picture.look(vga), blinking
        if self._picture is not None and not written and seen == self._seen:
            return
        self._seen = seen
        old, new = self._picture, picture.picture(vga)
        new.flags.writeable = False
        self._picture = new
        if old is None or old.shape != new.shape:
            self._dirty = [rectangles.whole(new)]
        elif self._dirty != [rectangles.whole(new)]:
            self._dirty += rectangles.changes(old, new)
            if len(self._dirty) > MOST_RECTANGLES:
                self._dirty = [rectangles.whole(new)]


def _nothing_live() -> None:
    return None

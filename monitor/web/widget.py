"""The live screen in a notebook: what `machine.screen` shows as the last line of a cell.

anywidget's documentation, "Getting started". The canvas, its keys and its mouse are the page's
(page/screen.js); what that sends over a websocket goes over the notebook's own connection here.

While the machine runs in the background (machine.start()) its screen is live and takes keys. While
a cell runs it (machine.run()) the notebook's kernel hears nothing, so the screen is shown once a
second, and what is typed arrives when the cell has ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anywidget

from monitor.host.user_input import UserInput
from monitor.web.frames import Frames
from monitor.web.hands import BadMessage, Person
from monitor.web.pictures import Pictures
from monitor.web.subject import Subject

FOLDER = Path(__file__).parent / "page"


class ScreenWidget(anywidget.AnyWidget):
    """Of one machine. `running`: does it run on another thread now?"""

    _esm = "\n".join((FOLDER / name).read_text("utf-8") for name in ("screen.js", "widget.js"))

    def __init__(self, machine: Subject, running: Callable[[], bool]) -> None:
        super().__init__()
        self._running = running
        self._lock = threading.Lock()  # frames go out in order, whoever sends them
        self._pictures = Pictures(machine)
        self._frames = Frames(self._pictures)
        inputs = UserInput(machine)
        inputs.begin()
        self._person = Person(inputs)
        self._pictures.watchers.append(self._send_news)
        self.on_msg(self._hear)
        _after_cells(self.refresh)

    def refresh(self) -> None:
        """Show what is on the screen now, unless the machine's thread does so anyway."""
        if not self._running():
            self._pictures.take()
            self._send_news()

    def ended(self) -> None:
        """The run on the other thread is over; called by that thread."""
        self._pictures.take()
        self._send_news()

    def _hear(self, _widget: object, message: Any, _buffers: object) -> None:
        """Of the browser. What no canvas of ours says is passed over."""
        if not isinstance(message, dict):
            return
        kind = message.get("kind")
        with suppress(BadMessage):
            if self._person.hear(message):
                return
            if kind == "hello":  # there is another canvas: all of them get all of the picture
                with self._lock:
                    self._frames.forget()
                self.refresh()
            elif kind == "drawn":
                with self._lock:
                    self._frames.drawn()
            self._send_news()

    def _send_news(self) -> None:
        with self._lock:
            frame = self._frames.next()
            if frame is not None:
                self.send({"kind": "frame"}, buffers=[frame])


def _after_cells(call: Callable[[], None]) -> None:
    """Call this when a cell has been run, where there is a notebook."""
    from IPython import get_ipython

    shell = get_ipython()
    if shell is not None:
        shell.events.register("post_run_cell", lambda *_result: call())

"""The guest's screen in a window, its keys and its mouse: `--display window`.

The machine's own thread does all of it, between two turns, FRAMES times a second: a toolkit wants
the thread in which it was begun, and `vp run` runs the machine in the main one. Another thread
only makes sure that turns are short enough for that. While the machine stands (the console's
`stop`, a debugger), nothing moves in the window either.

A mouse that only knows steps is captured by a click, and Ctrl-Alt lets it go. Where the guest takes
places (VMware's pointer), the host's own pointer is shown and goes in and out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from monitor.host.user_input import UserInput
from monitor.host.window.hid_keys import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Self

    from monitor import Machine

BUTTONS = {1: "left", 2: "middle", 3: "right"}
FRAMES = 40  # a second; a turn of the machine ends late now and then, and 30 are wanted
SMALL = 400  # pixels: narrower pictures are shown twice as large
NO_MODE = 100  # pixels: a picture that is narrower or lower is of an adapter that is not set up
FIRST = 720, 400  # the window's size until there is a mode
CTRL, ALT = ("ctrl", "rctrl"), ("alt", "ralt")
FREE = "Ctrl-Alt frees the mouse"


class Toolkit(Protocol):
    """What a window is made of (monitor/host/window/toolkit.py)."""

    @property
    def size(self) -> tuple[int, int]: ...
    def open(self, width: int, height: int) -> None: ...
    def close(self) -> None: ...
    def title(self, text: str) -> None: ...
    def draw(
        self, picture: npt.NDArray[np.uint8], place: tuple[int, int, int, int]
    ) -> None: ...
    def capture(self, on: bool) -> None: ...
    def events(self) -> Iterable[Any]: ...


class Window:
    """A context manager, and a chore of the machine's loop."""

    def __init__(
        self, machine: Machine, toolkit: Toolkit, name: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._machine = machine
        self._toolkit = toolkit
        self._name = name or "Virtual Platform"
        self._clock = clock
        self._inputs = UserInput(machine)
        self._next = 0.0
        self._drawn: npt.NDArray[np.uint8] | None = None
        self._opened: tuple[int, int] = (0, 0)  # the size that we have given it
        self._title = ""
        self._captured = False
        self._down: set[str] = set()
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="window", daemon=True)
        self._handlers: dict[str, Callable[..., None]] = {
            "key": self._key, "motion": self._motion, "button": self._button,
            "wheel": lambda up: self._inputs.scroll(-up), "resized": self._resized,
            "left": self._leave, "closed": machine.stop,
        }  # fmt: skip

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._stack.enter_context(self._inputs)
        self._stack.callback(self._toolkit.close)
        self._draw(self._machine.screen.array)
        self._machine.loop.chores.append(self)
        self._ticker.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self._ticker.join()
        self._machine.loop.chores.remove(self)
        self._stack.close()

    def _tick(self) -> None:
        while not self._over.wait(1 / FRAMES):
            self._machine.loop.look_soon()

    def look(self) -> int | None:
        """What has happened, and a new picture if it is time; wants no instruction of its own."""
        now = self._clock()
        if now >= self._next:
            self._next = now + 0.8 / FRAMES  # the ticker is not quite as exact
            self._machine.board.host.request("display", self._attend)
        return None

    def _attend(self) -> None:
        for event in self._toolkit.events():
            self._handlers[event.kind](*event.values)
        picture = self._machine.screen.array
        if picture is not self._drawn:
            self._draw(picture)

    # --- what is shown ----------------------------------------------------------------------------

    def _draw(self, picture: npt.NDArray[np.uint8]) -> None:
        """A window that the user has not resized follows the guest's mode."""
        self._drawn = picture
        height, width = (max(1, each) for each in picture.shape[:2])
        times = 2 if width <= SMALL else 1
        wanted = width * times, height * times
        if min(width, height) < NO_MODE:
            wanted = self._opened if any(self._opened) else FIRST
        if self._opened == (0, 0) or (wanted != self._opened == self._toolkit.size):
            self._toolkit.open(*wanted)
            self._opened = wanted
        self._say()
        if picture.size:
            self._toolkit.draw(picture, self._place())

    def _place(self) -> tuple[int, int, int, int]:
        """Where the picture is: as large as it can be, in the middle."""
        assert self._drawn is not None
        height, width = (max(1, each) for each in self._drawn.shape[:2])
        room = self._toolkit.size
        scale = min(room[0] / width, room[1] / height)
        wide, tall = max(1, round(width * scale)), max(1, round(height * scale))
        return (room[0] - wide) // 2, (room[1] - tall) // 2, wide, tall

    def _say(self) -> None:
        assert self._drawn is not None
        height, width = self._drawn.shape[:2]
        title = f"{self._name} - {self._machine.mode}, {width} x {height}"
        title += f" - {FREE}" if self._captured else ""
        if title != self._title:
            self._title = title
            self._toolkit.title(title)

    def _resized(self) -> None:
        self._drawn = None  # draw it again

    # --- keys and mouse ---------------------------------------------------------------------------

    def _key(self, number: int, down: int) -> None:
        key = KEYS.get(number)
        if key is None:
            return
        (self._down.add if down else self._down.discard)(key)
        self._inputs.key(key, bool(down))
        if self._captured and self._down.intersection(CTRL) and self._down.intersection(ALT):
            self._capture(False)

    def _motion(self, right: int, down: int, x: int, y: int) -> None:
        if self._inputs.follows:
            left, top, width, height = self._place()
            self._inputs.move_to(x - left, y - top, width, height)
        elif self._captured:
            self._inputs.move(right, down)

    def _button(self, number: int, down: int) -> None:
        if not (self._captured or self._inputs.follows):
            if down:
                self._capture(True)  # and no click for the guest
            return
        self._inputs.button(BUTTONS[number], bool(down))

    def _capture(self, on: bool) -> None:
        self._captured = on
        self._toolkit.capture(on)
        self._say()

    def _leave(self) -> None:
        """The keys that are down will come up elsewhere."""
        self._down.clear()
        self._inputs.let_go()
        if self._captured:
            self._capture(False)

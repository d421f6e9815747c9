"""The toolkit, pygame-ce: a window, what happens in it, and pictures.

Manual: pygame-ce's reference, "display", "event", "mouse", "transform". It is not asked for sound,
and leaves signals to us. Only the thread that made the window may use it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.vmm.errors import UserError

REPEAT_MS = (500, 40)  # a key that is held: the first time, and then
#: SDL's hints: no word at its start, signals are ours, who grabs the mouse has all keys.
HINTS = {"PYGAME_HIDE_SUPPORT_PROMPT": "1", "SDL_NO_SIGNAL_HANDLERS": "1",
         "SDL_GRAB_KEYBOARD": "1"}  # fmt: skip
DRIVER = "SDL_VIDEODRIVER"
UNSEEN = ("dummy", "offscreen", "evdev")  # drivers that show nothing


class Event(NamedTuple):
    """What has happened: `key` (number, down), `motion` (right, down, x, y), `button` (1 to 3,
    down), `wheel` (up), `resized`, `left` (the window has lost its focus), or `closed`."""

    kind: str
    values: tuple[int, ...] = ()


class Toolkit:
    """One window. UserError: there is no toolkit, or nowhere to put a window."""

    def __init__(self, repeats: bool) -> None:
        for name, value in HINTS.items():
            os.environ.setdefault(name, value)
        try:
            import pygame
        except ImportError as error:
            raise UserError(
                "--display window needs the package pygame-ce: "
                "pip install 'virtual-platform[window]'"
            ) from error
        self._pygame: Any = pygame
        try:
            pygame.display.init()
            driver = pygame.display.get_driver()
        except pygame.error as error:
            raise _nowhere(error) from error
        #: Of SDL's: x11, wayland, dummy.
        self.driver: str = driver
        if driver in UNSEEN and os.environ.get(DRIVER) != driver:  # nobody has asked for that
            pygame.display.quit()
            raise _nowhere("no X or Wayland")
        if repeats:
            pygame.key.set_repeat(*REPEAT_MS)

    def open(self, width: int, height: int) -> None:
        """The window, or another size for it."""
        self._pygame.display.set_mode((width, height), self._pygame.RESIZABLE)

    def close(self) -> None:
        """No window any more."""
        self.capture(False)
        self._pygame.display.quit()

    def title(self, text: str) -> None:
        """What stands above it."""
        self._pygame.display.set_caption(text)

    @property
    def size(self) -> tuple[int, int]:
        """Of what is within."""
        width, height = self._pygame.display.get_surface().get_size()
        return width, height

    def draw(self, picture: npt.NDArray[np.uint8], place: tuple[int, int, int, int]) -> None:
        """A picture at x, y with a width and a height; black around it."""
        pygame = self._pygame
        height, width = picture.shape[:2]
        data = np.ascontiguousarray(picture)
        drawn = pygame.image.frombuffer(data, (width, height), "RGB")
        surface = pygame.display.get_surface()
        surface.fill((0, 0, 0))
        surface.blit(pygame.transform.scale(drawn, place[2:]), place[:2])
        pygame.display.flip()

    def capture(self, on: bool) -> None:
        """Keep the mouse within, unseen, and take all keys; or let them go."""
        self._pygame.event.set_grab(on)
        self._pygame.mouse.set_visible(not on)

    def events(self) -> Iterator[Event]:
        """What has happened since the last time."""
        pygame = self._pygame
        for event in pygame.event.get():
            kind = event.type
            if kind in (pygame.KEYDOWN, pygame.KEYUP):
                yield Event("key", (event.scancode, int(kind == pygame.KEYDOWN)))
            elif kind == pygame.MOUSEMOTION:
                yield Event("motion", (*event.rel, *event.pos))
            elif kind in (pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP):
                if event.button <= 3:  # the wheel has an event of its own
                    yield Event("button", (event.button, int(kind == pygame.MOUSEBUTTONDOWN)))
            elif kind == pygame.MOUSEWHEEL:
                yield Event("wheel", (event.y,))
            elif kind == pygame.WINDOWSIZECHANGED:
                yield Event("resized")
            elif kind == pygame.WINDOWFOCUSLOST:
                yield Event("left")
            elif kind == pygame.QUIT:
                yield Event("closed")


def _nowhere(why: object) -> UserError:
    return UserError(f"--display window: there is nowhere to put a window ({why}); "
                     "vnc=:0 shows the screen elsewhere")  # fmt: skip

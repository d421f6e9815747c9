"""Somebody at the mouse.

    machine = Machine(parts=["mouse"])
    machine.mouse.move(30, -4)          counts: to the right, and up
    machine.mouse.click("left")
    machine.mouse.scroll(2)             down
    machine.mouse.move_to(0x8000, 0x8000)   the middle of the screen, where a driver follows that

From any thread. Motion and buttons go to the PS/2 mouse, or to VMware's pointer (the backdoor's
ABSPOINTER commands) while the guest has a driver for that. They wait while the guest takes no
report; before it wants any they are lost, as a mouse's are.
"""

from __future__ import annotations

from collections.abc import Callable

from devices.ps2_mouse import FIFTH, FOURTH, LEFT, MIDDLE, RIGHT
from monitor.vmm.board import Board
from monitor.vmm.errors import UserError
from monitor.vmware.guest_calls import GuestCalls
from monitor.vmware.parts.pointer import BUTTONS as POINTER_BUTTONS
from monitor.vmware.parts.pointer import Pointer

BUTTONS = {"left": LEFT, "right": RIGHT, "middle": MIDDLE, "side": FOURTH, "extra": FIFTH}


class Mouse:
    """Of one machine. `on_news` makes it look soon."""

    def __init__(self, board: Board, calls: GuestCalls, on_news: Callable[[], None]) -> None:
        self._board = board
        self._calls = calls
        self._on_news = on_news
        self._held = 0
        board.real_inputs.connect("mouse", self._take)
        board.real_inputs.connect("pointer", self._take_place)

    @property
    def follows(self) -> bool:
        """Has the guest a driver that takes places on the screen (move_to)?"""
        pointer = self._pointer()
        return pointer is not None and pointer.absolute

    @property
    def there(self) -> bool:
        """Has the machine a mouse, of either kind?"""
        return self._board.pc.kbc.mouse is not None or self._calls.backdoor is not None

    @property
    def held(self) -> tuple[str, ...]:
        """The buttons that are down."""
        return tuple(name for name, bit in BUTTONS.items() if self._held & bit)

    def move(self, right: int = 0, down: int = 0) -> None:
        """By counts. UserError: this machine has no mouse."""
        self._give("mouse", right, down, 0)

    def scroll(self, steps: int) -> None:
        """The wheel; down is positive. UserError: this machine has no mouse."""
        self._give("mouse", 0, 0, steps)

    def press(self, *buttons: str) -> None:
        """Hold buttons: left, right, middle, side, extra. UserError: there is no such button."""
        self._hold(self._held | _bits(buttons))

    def release(self, *buttons: str) -> None:
        """Let go of buttons. UserError: there is no such button."""
        self._hold(self._held & ~_bits(buttons))

    def click(self, *buttons: str) -> None:
        """Press and release: the left one, if none is named. UserError."""
        self.press(*(buttons or ("left",)))
        self.release(*(buttons or ("left",)))

    def move_to(self, x: int, y: int) -> None:
        """To a place, each from 0 to 0xFFFF over the whole screen, from its upper left corner.

        Nothing happens unless the guest `follows`. UserError: this machine has no mouse.
        """
        self._give("pointer", x, y, 0)

    def _hold(self, buttons: int) -> None:
        self._held = buttons
        self._give("mouse", 0, 0, 0)

    def _give(self, source: str, x: int, y: int, wheel: int) -> None:
        if not self.there:
            raise UserError('this machine has no mouse: make it with parts=["mouse"] (vp: --mouse)')
        self._board.inputs.give(source, (x, y, wheel, self._held))
        self._on_news()

    # --- between two turns --------------------------------------------------------------

    def _pointer(self) -> Pointer | None:
        """VMware's, while a driver listens to it."""
        backdoor = self._calls.backdoor
        return backdoor.pointer if backdoor is not None and backdoor.pointer.enabled else None

    def _take(self, event: tuple[int, int, int, int]) -> None:
        x, y, wheel, buttons = event
        pointer, mouse = self._pointer(), self._board.pc.kbc.mouse
        if pointer is not None:
            pointer.step(x, y, _names(buttons), wheel)
        elif mouse is not None:
            mouse.move(x, -y, wheel, buttons)

    def _take_place(self, event: tuple[int, int, int, int]) -> None:
        x, y, wheel, buttons = event
        pointer = self._pointer()
        if pointer is not None and pointer.absolute:
            pointer.event(x, y, _names(buttons), wheel)


def _bits(buttons: tuple[str, ...]) -> int:
    bits = 0
    for name in buttons:
        if name not in BUTTONS:
            raise UserError(f"no button named {name!r}; one of: {' '.join(BUTTONS)}")
        bits |= BUTTONS[name]
    return bits


def _names(buttons: int) -> list[str]:
    """Those that VMware's pointer has."""
    return [name for name, bit in BUTTONS.items() if buttons & bit and name in POINTER_BUTTONS]

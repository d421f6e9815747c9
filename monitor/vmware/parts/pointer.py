"""The pointer: where it is, and the absolute mouse of VMware (vmmouse).

Protocol as Linux' drivers/input/mouse/vmmouse.c speaks it and QEMU's hw/i386/vmmouse.c answers it;
GETPTRLOCATION and its like as open-vm-tools' pointer.cpp.

    COMMAND  EBX ENABLE             the queue then holds VERSION
    DATA     EBX 1                  EAX VERSION
    COMMAND  EBX REQUEST_ABSOLUTE
    STATUS                          EAX: words in the queue; upper half FFFF: an error, or disabled
    DATA     EBX 4                  EAX buttons, EBX x, ECX y, EDX wheel

x and y go from 0 to FFFF over the whole screen, or are steps if the driver did not ask for absolute
ones. A mouse on the PS/2 socket would interrupt (`Host.mouse_event`); without one a driver may ask
all the same. GETPTRLOCATION counts pixels, and says (-100, -100) while the host's pointer is
elsewhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import ClassVar

from devices.shapes import DWORD, FLAG, WORD, Among, Fields, Number, exactly, some
from monitor.vmware.call import Call
from monitor.vmware.host import Host

ENABLE, DISABLE = 0x45414552, 0xF5
REQUEST_RELATIVE, REQUEST_ABSOLUTE = 0x4C455252, 0x53424152
VERSION = 0x3442554A
RELATIVE_PACKET = 0x10000
BUTTONS = {"left": 0x20, "right": 0x10, "middle": 0x08}
ERROR = 0xFFFF0000
QUEUE_WORDS = 1024  # as in QEMU: 256 packets, further ones are lost
PACKET_WORDS = 4
MAX_DATA_WORDS = 6  # EAX, EBX, ECX, EDX, ESI, EDI
DATA_REGISTERS = ("eax", "ebx", "ecx", "edx", "esi", "edi")

RESTRICT_ANY, RESTRICT_CPL0, RESTRICT_IOPL = range(3)
OUTSIDE = (-100, -100)
LOW_32 = 0xFFFFFFFF


class Pointer:
    """`move`, `press`, `release`, `scroll` and `grab` are for the host's side, from any thread."""

    state: ClassVar[Fields] = {
        "queue": some(DWORD, 1024),
        "enabled": FLAG,
        "absolute": FLAG,
        "restriction": Number(0, 2),
        "held": some(Among(frozenset(BUTTONS)), 3),
        "at": exactly(WORD, 2),
        "location": exactly(Number(-(1 << 31), (1 << 31) - 1), 2),
    }

    def __init__(self, host: Host) -> None:
        self.host = host
        self.queue: deque[int] = deque()
        self.enabled = False  # a driver has enabled it, and has made no mistake since
        self.absolute = False
        self.restriction = RESTRICT_ANY
        self.held: set[str] = set()
        self.at = (0, 0)
        self.location = OUTSIDE  # in pixels, as far as the host knows

    # --- the host's side ----------------------------------------------------------------

    def move(self, x: int, y: int) -> bool:
        """To a place, each 0 to 0xFFFF, or by steps where the driver wants these. Taken?"""
        return self.event(x, y, self.held)

    def press(self, button: str = "left") -> bool:
        return self._buttons(self.held | {self._button(button)})

    def release(self, button: str = "left") -> bool:
        return self._buttons(self.held - {self._button(button)})

    def click(self, button: str = "left") -> bool:
        return self.press(button) and self.release(button)

    def scroll(self, steps: int) -> bool:
        """The wheel; down is positive."""
        return self.event(*self._still(), self.held, steps)

    def grab(self, x: int, y: int) -> None:
        """The host's pointer enters the window at a pixel."""
        self.location = (x, y)

    def ungrab(self) -> None:
        self.location = OUTSIDE

    def step(self, x: int, y: int, held: Collection[str], wheel: int = 0) -> bool:
        """By steps, whatever the driver prefers; where nothing moves, it is where it was."""
        if self.absolute and not (x or y):
            return self.event(*self.at, held, wheel)
        return self._packet(x, y, held, wheel, RELATIVE_PACKET)

    def event(self, x: int, y: int, held: Collection[str], wheel: int = 0) -> bool:
        """One packet, and one call for the driver. Lost if nobody listens or the queue is full."""
        if not self.absolute:
            return self._packet(x, y, held, wheel, RELATIVE_PACKET)
        x, y = min(max(x, 0), 0xFFFF), min(max(y, 0), 0xFFFF)
        if not self._packet(x, y, held, wheel, 0):
            return False
        self.at = (x, y)
        return True

    def _packet(self, x: int, y: int, held: Collection[str], wheel: int, flags: int) -> bool:
        if not self.enabled or len(self.queue) > QUEUE_WORDS - PACKET_WORDS:
            return False
        flags |= sum(BUTTONS[button] for button in held)
        self.held = set(held)
        self.queue.extend((flags, x & LOW_32, y & LOW_32, wheel & LOW_32))
        self.host.mouse_event()
        self.host.notice()
        return True

    def _buttons(self, held: set[str]) -> bool:
        return self.event(*self._still(), held)

    def _still(self) -> tuple[int, int]:
        return self.at if self.absolute else (0, 0)

    def _button(self, name: str) -> str:
        if name not in BUTTONS:
            raise ValueError(f"no button named {name!r}; one of: {' '.join(BUTTONS)}")
        return name

    # --- ABSPOINTER_* -------------------------------------------------------------------

    def _denied(self, call: Call) -> bool:
        """Does what the driver asked for by RESTRICT keep this caller out?"""
        if self.restriction == RESTRICT_CPL0:
            return call.cpl != 0
        return self.restriction == RESTRICT_IOPL and call.cpl > call.iopl

    def status(self, call: Call) -> None:
        if self._denied(call):
            call.refuse()
            return
        call.eax = (0 if self.enabled else ERROR) | len(self.queue)

    def data(self, call: Call) -> None:
        """EBX words out of the queue. To ask for more than there is disables the mouse."""
        if self._denied(call):
            call.refuse()
            return
        count = call.ebx
        if not 0 < count <= min(MAX_DATA_WORDS, len(self.queue)):
            self.enabled = False
            return
        for register in DATA_REGISTERS[:count]:
            setattr(call, register, self.queue.popleft())

    def command(self, call: Call) -> None:
        """Registers stay; an unknown command does nothing."""
        if self._denied(call):
            call.refuse()
        elif call.ebx == ENABLE:
            self._restart(enabled=True)
            self.queue.append(VERSION)
        elif call.ebx == DISABLE:
            self._restart(enabled=False)
        elif call.ebx in (REQUEST_RELATIVE, REQUEST_ABSOLUTE) and self.enabled:
            self.absolute = call.ebx == REQUEST_ABSOLUTE

    def _restart(self, enabled: bool) -> None:
        """A new driver must find its VERSION first, and no old packets."""
        self.enabled = enabled
        self.queue.clear()
        self.held.clear()

    def restrict(self, call: Call) -> None:
        """EBX: who may use the mouse from now on. Registers stay."""
        if self._denied(call) or call.ebx > RESTRICT_IOPL:
            call.refuse()
        else:
            self.restriction = call.ebx

    def is_absolute(self, call: Call) -> None:
        """EAX 1: the guest's driver follows the host's pointer by itself."""
        call.eax = int(self.enabled and self.absolute)

    # --- GETPTRLOCATION, SETPTRLOCATION -------------------------------------------------

    def get_location(self, call: Call) -> None:
        """EAX: x in the upper half, y in the lower."""
        if self.host.restrictions.get_pointer_disable:
            call.refuse()
            return
        x, y = self.location
        call.eax = (x & 0xFFFF) << 16 | y & 0xFFFF

    def set_location(self, call: Call) -> None:
        """EBX as EAX above: where the host's pointer shall be when it leaves the window. EAX 0."""
        if self.host.restrictions.set_pointer_disable:
            call.refuse()
            return
        if self.location != OUTSIDE:
            self.location = (call.ebx >> 16 & 0xFFFF, call.ebx & 0xFFFF)
        call.eax = 0

"""Keys and mouse events that the guest injects into itself: INJECT_KEY, INJECT_MOUSE.

For VMware's developers, and disabled unless the machine's owner allows them. Their registers are
not published; our choice: INJECT_KEY has in EBX a scan code of set 1, with E0 in bits 8 to 15 where
it needs that, and bit 31 to release the key; INJECT_MOUSE has x in EBX's upper half, y in its
lower, and in ECX's upper half the buttons as in an ABSPOINTER packet. EAX: 1 when it was taken, 0
when there is no such key, no driver of an absolute mouse, or no room.
"""

from __future__ import annotations

from devices.scancodes import EXTENDED, MAKE, TO_SET_1
from monitor.vmware.call import Call
from monitor.vmware.host import Host
from monitor.vmware.parts.pointer import BUTTONS, Pointer

TYPED_LIMIT = 64  # strokes that may wait in the keyboard
RELEASE = 1 << 31


def _scan_codes() -> dict[int, str]:
    """Set 1, with E0 in the upper byte, to the key's name. Longer sequences are left out."""
    codes = {}
    for name, make in MAKE.items():
        if len(make) == 1:
            codes[TO_SET_1[make[0]]] = name
        elif len(make) == 2 and make[0] == EXTENDED:
            codes[EXTENDED << 8 | TO_SET_1[make[1]]] = name
    return codes


KEYS = _scan_codes()


class InputInjection:
    def __init__(self, host: Host, pointer: Pointer) -> None:
        self.host = host
        self.pointer = pointer

    def inject_key(self, call: Call) -> None:
        keyboard, key = self.host.keyboard, KEYS.get(call.ebx & ~RELEASE)
        if keyboard is None or key is None or len(keyboard.typed) >= TYPED_LIMIT:
            call.eax = 0
            return
        if call.ebx & RELEASE:
            keyboard.release(key)
        else:
            keyboard.press(key)
        self.host.notice()
        call.eax = 1

    def inject_mouse(self, call: Call) -> None:
        held = {name for name, bit in BUTTONS.items() if call.subcommand & bit}
        x, y = call.ebx >> 16 & 0xFFFF, call.ebx & 0xFFFF
        call.eax = int(self.pointer.absolute and self.pointer.event(x, y, held))

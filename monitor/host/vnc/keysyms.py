"""A client's keys as a PC's: keysyms of X, and QEMU's numbers.

Manual: RFC 6143, 7.5.4; X11/keysymdef.h; "QEMU Extended Key Event Message" in rfbproto: scan codes
of set 1, with bit 7 in place of E0.

A keysym is what is printed on a key, shifted or not: the names are those of the US keyboard that
the guest has.

>>> chord_of(0x61), chord_of(0x41), chord_of(0xFF0D), chord_of(0x20AC)
(('a',), ('shift', 'a'), ('enter',), None)
>>> NUMBERED[0x1E], NUMBERED[0xC8]
('a', 'up')
"""

from __future__ import annotations

from monitor.host.terminal_keys import keys_of

_NAMED = (
    (0xFF08, "backspace tab"), (0xFF0D, "enter"), (0xFF13, "pause scrolllock printscreen"),
    (0xFF1B, "esc"), (0xFF50, "home left up right down pageup pagedown end"),
    (0xFF61, "printscreen"), (0xFF63, "insert"), (0xFF67, "menu"), (0xFF6B, "pause"),
    (0xFF7F, "numlock"), (0xFF8D, "kpenter"),
    (0xFF95, "kp7 kp4 kp8 kp6 kp2 kp9 kp3 kp1 kp5 kp0 kp."),
    (0xFFAA, "kp* kp+ kp. kp- kp. kp/ kp0 kp1 kp2 kp3 kp4 kp5 kp6 kp7 kp8 kp9"),
    (0xFFBE, "f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11 f12"),
    (0xFFE1, "shift rshift ctrl rctrl capslock"), (0xFFE7, "lwin rwin alt ralt lwin rwin"),
    (0xFFFF, "delete"), (0xFE03, "ralt"), (0xFE20, "tab"),
)  # fmt: skip
NAMED = {first + i: name for first, names in _NAMED for i, name in enumerate(names.split())}
_ROW = (
    "esc 1 2 3 4 5 6 7 8 9 0 - = backspace tab q w e r t y u i o p [ ] enter ctrl "
    "a s d f g h j k l ; ' ` shift \\ z x c v b n m , . / rshift kp* alt space capslock "
    "f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 numlock scrolllock "
    "kp7 kp8 kp9 kp- kp4 kp5 kp6 kp+ kp1 kp2 kp3 kp0 kp."
)
_BEHIND = {
    0x56: "less", 0x57: "f11", 0x58: "f12", 0x9C: "kpenter", 0x9D: "rctrl", 0xB5: "kp/",
    0xB7: "printscreen", 0xB8: "ralt", 0xC6: "pause", 0xC7: "home", 0xC8: "up", 0xC9: "pageup",
    0xCB: "left", 0xCD: "right", 0xCF: "end", 0xD0: "down", 0xD1: "pagedown", 0xD2: "insert",
    0xD3: "delete", 0xDB: "lwin", 0xDC: "rwin", 0xDD: "menu",
}  # fmt: skip
NUMBERED = {1 + i: name for i, name in enumerate(_ROW.split())} | _BEHIND


def chord_of(keysym: int) -> tuple[str, ...] | None:
    """The key, with Shift before it where it needs that; None: a PC has no such key."""
    if keysym in NAMED:
        return (NAMED[keysym],)
    if not 0x20 <= keysym <= 0x7E:
        return None
    chords = keys_of(bytes((keysym,)))
    return chords[0] if chords else None

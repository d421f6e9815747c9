"""What a key sends in scan code sets 1, 2 and 3, and what kind of key it is in set 3.

Manual: IBM PS/2 Technical Reference, "Keyboard": "Scan code set 1" to "3", with the default key
states of set 3; the notes below the tables for Print Screen and Pause with Ctrl, Alt and Shift.

Set 2 is what scancodes.py holds. Set 1 is its translation, done in the keyboard. Set 3 has one
byte for every key, and F0 in front of it when the key goes up: no key is longer than that, but
whether a key repeats, and whether it says that it went up, is each key's own setting.

>>> scan_code(1, "left", True).hex(), scan_code(1, "left", False).hex()
('e04b', 'e0cb')
>>> scan_code(3, "left", True).hex(), scan_code(3, "left", False).hex()
('61', 'f061')
>>> scan_code(2, "pause", True, "ctrl").hex(), scan_code(2, "printscreen", True, "alt").hex()
('e07ee0f07e', '84')
"""

from __future__ import annotations

from devices.scancodes import BREAK, MAKE, TO_SET_1, release_sequence

# Bits of a key's type: it repeats while it is down; it says that it went up.
MAKE_ONLY, TYPEMATIC, BREAKS, BOTH = 0, 1, 2, 3

_SET_3_ROWS = (
    ("esc f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11 f12", "08 07 0f 17 1f 27 2f 37 3f 47 4f 56 5e"),
    ("printscreen scrolllock pause numlock", "57 5f 62 76"),
    ("` 1 2 3 4 5 6 7 8 9 0 - = backspace", "0e 16 1e 26 25 2e 36 3d 3e 46 45 4e 55 66"),
    ("tab q w e r t y u i o p [ ] \\", "0d 15 1d 24 2d 2c 35 3c 43 44 4d 54 5b 5c"),
    ("capslock a s d f g h j k l ; ' enter", "14 1c 1b 23 2b 34 33 3b 42 4b 4c 52 5a"),
    ("shift less z x c v b n m , . / rshift", "12 13 1a 22 21 2a 32 31 3a 41 49 4a 59"),
    ("ctrl lwin alt space ralt rwin menu rctrl", "11 8b 19 29 39 8c 8d 58"),
    ("insert home pageup delete end pagedown", "67 6e 6f 64 65 6d"),
    ("up left down right", "63 61 60 6a"),
    ("kp/ kp* kp- kp7 kp8 kp9 kp+ kp4 kp5 kp6", "77 7e 84 6c 75 7d 7c 6b 73 74"),
    ("kp1 kp2 kp3 kp0 kp. kpenter", "69 72 7a 70 71 79"),
)
#: Set 3's code of each key that has one.
SET_3 = {
    key: code
    for keys, codes in _SET_3_ROWS
    for key, code in zip(keys.split(), bytes.fromhex(codes), strict=True)
}
KEY_OF_SET_3 = {code: key for key, code in SET_3.items()}

_BREAKING = " shift rshift ctrl alt capslock lwin rwin menu "
_SILENT = (
    " esc f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11 f12 printscreen scrolllock pause numlock ralt rctrl "
    "insert home pageup end pagedown kp/ kp* kp- kp7 kp8 kp9 kp4 kp5 kp6 kp1 kp2 kp3 kp0 kp. "
    "kpenter "
)
#: Every key's type at power-on, in the order of MAKE.
DEFAULT_TYPES = bytes(
    BREAKS if f" {key} " in _BREAKING else MAKE_ONLY if f" {key} " in _SILENT else TYPEMATIC
    for key in MAKE
)
INDEX = {key: index for index, key in enumerate(MAKE)}

SHIFTS = frozenset(("ctrl", "rctrl", "shift", "rshift"))
ALTS = frozenset(("alt", "ralt"))
# With Alt, Print Screen is the old SysRq key; with Shift or Ctrl it has no shift of its own.
_PRINT = {"": ("e012e07c", "e0f07ce0f012"), "alt": ("84", "f084"), "ctrl": ("e07c", "e0f07c")}


def print_screen_with(down: list[str]) -> str:
    """What Print Screen is, by the keys that are down: "", "ctrl" (or Shift) or "alt"."""
    if not ALTS.isdisjoint(down):
        return "alt"
    return "" if SHIFTS.isdisjoint(down) else "ctrl"


def pause_with(down: list[str]) -> str:
    """The same for Pause, which is Break with Ctrl."""
    return "ctrl" if "ctrl" in down or "rctrl" in down else ""


def scan_code(number: int, key: str, pressed: bool, modifier: str = "") -> bytes:
    """What a key sends in a set; nothing where it sends nothing."""
    if number == 3:
        code = SET_3.get(key)
        if code is None:
            return b""
        return bytes((code,)) if pressed else bytes((BREAK, code))
    sequence = _set_2(key, pressed, modifier)
    return sequence if number == 2 else to_set_1(sequence)


def _set_2(key: str, pressed: bool, modifier: str) -> bytes:
    if key == "printscreen":
        return bytes.fromhex(_PRINT[modifier][0 if pressed else 1])
    if key == "pause" and modifier:
        return bytes.fromhex("e07ee0f07e" if pressed else "")
    return MAKE[key] if pressed else release_sequence(key)


def to_set_1(sequence: bytes) -> bytes:
    """Set 2 into set 1, as the keyboard controller does it."""
    found = bytearray()
    release = 0
    for byte in sequence:
        if byte == BREAK:
            release = 0x80
        else:
            found.append(TO_SET_1[byte] | release)
            release = 0
    return bytes(found)

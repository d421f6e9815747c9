"""PS/2 scan code set 2, its translation to set 1, and what to press for a text.

Manual: IBM PS/2 Technical Reference, "Keyboard", scan code tables; the 8042's translation table is
the one of the PC/AT's controller.

The letter A sends 1C when pressed and F0 1C when released. The controller turns a byte of set 2
into set 1 and folds an F0 in front of it into bit 7: 1E and 9E.

>>> MAKE["a"].hex(), release_sequence("a").hex(), release_sequence("left").hex()
('1c', 'f01c', 'e0f06b')
>>> hex(TO_SET_1[0x1C])
'0x1e'
>>> keys_for("Hi")
[('h', True), ('i', False)]
"""

from __future__ import annotations

BREAK = 0xF0
EXTENDED = 0xE0
PAUSE_PREFIX = 0xE1

# Set 1 code of every set 2 byte below 0x80; from there on a byte stays itself, but for two keys.
_LOW_HALF = bytes.fromhex(
    "ff43413f3d3b3c58644442403e0f2959"
    "65382a701d10025a66712c1f1e11035b"
    "672e2d201205045c68392f211413065d"
    "693130232215075e6a7232241608095f"
    "6b332517180b0a606c34352627190c61"
    "6d7328741a0d626e3a361c1b752b6376"
    "55567778797a0e7b7c4f7d4b477e7f6f"
    "5253504c4d480145574e514a37494654"
)
TO_SET_1 = bytearray(_LOW_HALF + bytes(range(0x80, 0x100)))
TO_SET_1[0x83] = 0x41  # F7
TO_SET_1[0x84] = 0x54  # Alt + Print Screen

# Set 2 make codes of the keys in the order of a keyboard's rows.
_ROWS = (
    ("esc f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11 f12", "76 05 06 04 0c 03 0b 83 0a 01 09 78 07"),
    ("` 1 2 3 4 5 6 7 8 9 0 - = backspace", "0e 16 1e 26 25 2e 36 3d 3e 46 45 4e 55 66"),
    ("tab q w e r t y u i o p [ ] \\", "0d 15 1d 24 2d 2c 35 3c 43 44 4d 54 5b 5d"),
    ("capslock a s d f g h j k l ; ' enter", "58 1c 1b 23 2b 34 33 3b 42 4b 4c 52 5a"),
    ("shift less z x c v b n m , . / rshift", "12 61 1a 22 21 2a 32 31 3a 41 49 4a 59"),
    ("ctrl alt space numlock scrolllock", "14 11 29 77 7e"),
    ("kp7 kp8 kp9 kp- kp4 kp5 kp6 kp+", "6c 75 7d 7b 6b 73 74 79"),
    ("kp1 kp2 kp3 kp0 kp. kp*", "69 72 7a 70 71 7c"),
)
_EXTENDED_ROWS = (
    ("insert home pageup delete end pagedown", "70 6c 7d 71 69 7a"),
    ("up left down right", "75 6b 72 74"),
    ("rctrl ralt kp/ kpenter lwin rwin menu", "14 11 4a 5a 1f 27 2f"),
    ("audiomute volumedown volumeup", "23 21 32"),
    ("audioplay audiostop audioprev audionext", "34 3b 15 4d"),
    ("power sleep wake mail calculator computer ac_home", "37 3f 5e 48 2b 40 3a"),
)


def _make_codes() -> dict[str, bytes]:
    codes = {}
    for rows, prefix in ((_ROWS, b""), (_EXTENDED_ROWS, bytes((EXTENDED,)))):
        for names, numbers in rows:
            for name, code in zip(names.split(), bytes.fromhex(numbers), strict=True):
                codes[name] = prefix + bytes((code,))
    codes["printscreen"] = bytes.fromhex("e012e07c")
    codes["pause"] = bytes.fromhex("e11477e1f014f077")
    return codes


MAKE = _make_codes()


def release_sequence(key: str) -> bytes:
    """What the keyboard sends when a key goes up. Pause sends everything when it goes down."""
    if key == "pause":
        return b""
    if key == "printscreen":
        return bytes.fromhex("e0f07ce0f012")
    make = MAKE[key]
    return make[:-1] + bytes((BREAK, make[-1]))


_UNSHIFTED = "`1234567890-=[]\\;',./"
_SHIFTED = '~!@#$%^&*()_+{}|:"<>?'
_NAMED = {" ": "space", "\n": "enter", "\r": "enter", "\t": "tab", "\b": "backspace", "\x1b": "esc"}


def keys_for(text: str) -> list[tuple[str, bool]]:
    """The keys of a US keyboard for a text, each with whether Shift is down."""
    return [_key_for(character) for character in text]


def _key_for(character: str) -> tuple[str, bool]:
    if character in _NAMED:
        return _NAMED[character], False
    if character in _SHIFTED:
        return _UNSHIFTED[_SHIFTED.index(character)], True
    key = character.lower()
    if key not in MAKE or len(key) != 1:
        raise ValueError(f"no key of a US keyboard types {character!r}")
    return key, key != character

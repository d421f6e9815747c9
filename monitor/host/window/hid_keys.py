"""Keys by their places on the keyboard, as SDL and USB number them.

Manual: "HID Usage Tables for USB", section 10, Keyboard/Keypad Page; SDL_scancode.h. What is
printed on a key does not matter: the guest has a US keyboard, or thinks what it likes.

>>> KEYS[4], KEYS[40], KEYS[82], KEYS[224]
('a', 'enter', 'up', 'ctrl')
"""

from __future__ import annotations

_ROW = (
    "a b c d e f g h i j k l m n o p q r s t u v w x y z 1 2 3 4 5 6 7 8 9 0 "
    "enter esc backspace tab space - = [ ] \\ \\ ; ' ` , . / capslock "
    "f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11 f12 printscreen scrolllock pause "
    "insert home pageup delete end pagedown right left down up numlock "
    "kp/ kp* kp- kp+ kpenter kp1 kp2 kp3 kp4 kp5 kp6 kp7 kp8 kp9 kp0 kp. less menu"
)
_MODIFIERS = "ctrl shift alt lwin rctrl rshift ralt rwin"
KEYS = {4 + i: name for i, name in enumerate(_ROW.split())}
KEYS |= {224 + i: name for i, name in enumerate(_MODIFIERS.split())}

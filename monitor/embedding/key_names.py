"""The names of keys: those of devices/scancodes.py, and those of QEMU's `sendkey`.

>>> key_named("ret"), key_named("pgup"), key_named("a")
('enter', 'pageup', 'a')
>>> chord("ctrl-alt-delete")
['ctrl', 'alt', 'delete']
>>> strokes_of(r"dir\\n\\<f1>")[-4:]
['+enter', '-enter', '+f1', '-f1']
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from devices.hands import strokes_for
from devices.scancodes import MAKE
from monitor.settings.config import unescape
from monitor.settings.did_you_mean import question
from monitor.vmm.errors import UserError

_PAIRS = (
    "shift_l=shift shift_r=rshift alt_l=alt alt_r=ralt ctrl_l=ctrl ctrl_r=rctrl menu=menu "
    "compose=menu meta_l=lwin meta_r=rwin minus=- equal== bracket_left=[ bracket_right=] ret=enter "
    "semicolon=; apostrophe=' grave_accent=` backslash=\\ comma=, dot=. slash=/ asterisk=kp* "
    "spc=space caps_lock=capslock num_lock=numlock scroll_lock=scrolllock pgup=pageup "
    "pgdn=pagedown print=printscreen sysrq=printscreen escape=esc del=delete ins=insert "
    "kp_divide=kp/ kp_multiply=kp* kp_subtract=kp- kp_add=kp+ kp_enter=kpenter kp_decimal=kp."
)
QEMU = dict(pair.split("=", 1) for pair in _PAIRS.split())
QEMU |= {f"kp_{digit}": f"kp{digit}" for digit in range(10)}
NAMES = frozenset((*MAKE, *QEMU))
CHORD = re.compile(r"\\<([^<>]*)>")


def key_named(name: str) -> str:
    """The key of a name, in devices/scancodes.py. UserError: there is none."""
    if name in MAKE:
        return name
    if name in QEMU:
        return QEMU[name]
    asked = question(name, sorted(NAMES))
    known = f"no key named {name!r}; machine.keys.names has all of them"
    raise UserError(f"{known}; {asked}" if asked else known)


def chord(text: str) -> list[str]:
    """The keys of "ctrl-alt-delete"; the key "-" is "minus" here. UserError."""
    return [key_named(name) for name in text.split("-")]


def strokes_of_chord(keys: Iterable[str]) -> list[str]:
    """Down in order, and up in the other."""
    keys = list(keys)
    return ["+" + key for key in keys] + ["-" + key for key in reversed(keys)]


def strokes_of_text(text: str) -> list[str]:
    """What types a text on a US keyboard. UserError: no key types a character of it."""
    try:
        return strokes_for(text)
    except ValueError as error:
        raise UserError(str(error)) from error


def strokes_of(text: str, option: str = "--keys") -> list[str]:
    r"""What an option says: text with \n and its like, and \<ctrl-alt-delete> for keys by name."""
    strokes: list[str] = []
    for at, piece in enumerate(CHORD.split(text)):
        if at % 2:
            strokes += strokes_of_chord(chord(piece))
        else:
            strokes += strokes_of_text(unescape(piece, option).decode("utf-8", "replace"))
    return strokes

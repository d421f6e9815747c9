r"""What a terminal sends, as keys of a PC's keyboard.

Manual: xterm's control sequences, "PC-Style Function Keys"; VT100 User Guide, "Cursor keys".

A terminal sends characters, and sequences that begin with ESC for keys without one; a key with Alt
is ESC and the key. So ESC alone is the key Esc only if nothing follows in the same piece.

>>> keys_of(b"a\r"), keys_of(b"\x1b[A\x1bx\x03"), keys_of(b"\x1b")
([('a',), ('enter',)], [('up',), ('alt', 'x'), ('ctrl', 'c')], [('esc',)])
>>> keys_of(b"\x1b[1;5D"), keys_of(b"A")
([('ctrl', 'left')], [('shift', 'a')])
"""

from __future__ import annotations

import re

SEQUENCE = re.compile(rb"\x1b(?:\[|O)([0-9;]*)([A-Za-z~])")
FINAL = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end",
         "P": "f1", "Q": "f2", "R": "f3", "S": "f4"}  # fmt: skip
NUMBERED = {1: "home", 2: "insert", 3: "delete", 4: "end", 5: "pageup", 6: "pagedown",
            11: "f1", 12: "f2", 13: "f3", 14: "f4", 15: "f5", 17: "f6", 18: "f7", 19: "f8",
            20: "f9", 21: "f10", 23: "f11", 24: "f12"}  # fmt: skip
NAMED = {0x09: "tab", 0x0A: "enter", 0x0D: "enter", 0x1B: "esc", 0x20: "space", 0x08: "backspace",
         0x7F: "backspace"}  # fmt: skip
SHIFTED = dict(zip('~!@#$%^&*()_+{}|:"<>?', "`1234567890-=[]\\;',./", strict=True))
MODIFIERS = ("shift", "alt", "ctrl")  # bits of a sequence's second number, less one
ESC = 0x1B

Chord = tuple[str, ...]


def keys_of(sent: bytes) -> list[Chord]:
    """Keys, each with those that are held down before it. What is no key of a PC's is left out."""
    found: list[Chord] = []
    at = 0
    while at < len(sent):
        sequence = SEQUENCE.match(sent, at)
        if sequence is not None:
            at = sequence.end()
            found += _of_sequence(sequence[1].decode(), sequence[2].decode())
        elif sent[at] == ESC and at + 1 < len(sent) and sent[at + 1] != ESC:
            found += [("alt", *chord) for chord in _of_byte(sent[at + 1])]
            at += 2
        else:
            found += _of_byte(sent[at])
            at += 1
    return found


def _of_byte(byte: int) -> list[Chord]:
    if byte in NAMED:
        return [(NAMED[byte],)]
    if 1 <= byte <= 26:
        return [("ctrl", chr(byte + 0x60))]
    character = chr(byte)
    if byte < 0x20 or byte > 0x7E:
        return []
    if character in SHIFTED:
        return [("shift", SHIFTED[character])]
    return [("shift", character.lower())] if character.isupper() else [(character,)]


def _of_sequence(numbers: str, final: str) -> list[Chord]:
    given = [int(each[:4]) if each else 0 for each in numbers.split(";")]
    key = NUMBERED.get(given[0]) if final == "~" else FINAL.get(final)
    if key is None:
        return [("shift", "tab")] if final == "Z" else []
    bits = given[1] - 1 if len(given) > 1 and 1 < given[1] <= 8 else 0
    return [(*(name for bit, name in enumerate(MODIFIERS) if bits >> bit & 1), key)]

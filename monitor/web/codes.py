"""Keys by the names that browsers have for their places: `KeyboardEvent.code`.

Manual: W3C, "UI Events KeyboardEvent code Values". A place on the keyboard is what a PC's keyboard
sends, too, whatever is printed on the key: so layouts are the guest's, as on a PC.

>>> key_of("KeyA"), key_of("Numpad7"), key_of("ArrowUp"), key_of("F13")
('a', 'kp7', 'up', None)
"""

from __future__ import annotations

_PAIRS = (
    "Escape=esc Backquote=` Minus=- Equal== Backspace=backspace Tab=tab BracketLeft=[ "
    "BracketRight=] Backslash=\\ CapsLock=capslock Semicolon=; Quote=' Enter=enter "
    "ShiftLeft=shift IntlBackslash=less Comma=, Period=. Slash=/ ShiftRight=rshift "
    "ControlLeft=ctrl AltLeft=alt Space=space AltRight=ralt ControlRight=rctrl MetaLeft=lwin "
    "MetaRight=rwin ContextMenu=menu NumLock=numlock ScrollLock=scrolllock Pause=pause "
    "PrintScreen=printscreen Insert=insert Home=home PageUp=pageup Delete=delete End=end "
    "PageDown=pagedown ArrowUp=up ArrowLeft=left ArrowDown=down ArrowRight=right NumpadDivide=kp/ "
    "NumpadMultiply=kp* NumpadSubtract=kp- NumpadAdd=kp+ NumpadEnter=kpenter NumpadDecimal=kp."
)
KEYS = dict(pair.split("=", 1) for pair in _PAIRS.split())
KEYS |= {f"Key{letter.upper()}": letter for letter in "abcdefghijklmnopqrstuvwxyz"}
KEYS |= {f"Digit{digit}": f"{digit}" for digit in range(10)}
KEYS |= {f"Numpad{digit}": f"kp{digit}" for digit in range(10)}
KEYS |= {f"F{number}": f"f{number}" for number in range(1, 13)}


def key_of(code: str) -> str | None:
    """The key in that place, in devices/scancodes.py; None: a PC's keyboard has none there."""
    return KEYS.get(code)

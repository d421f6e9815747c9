"""The kinds of field that a device's snapshot is made of.

    class Scratch(Chip):
        name = "scratch"
        state = fields(value=BYTE, mode=choice(("slow", "fast")), line=LINE, timer=TIMER)

A field says three things of an attribute: what of it is saved, which saved values it may take
back, and how it takes them. Everything saved is what JSON can hold. Snapshots come from files, and
files from anywhere; a chip that was given nonsense would raise in the middle of a guest's
instruction. So nothing is taken back before all of it has been looked at.

>>> number(0, 9).problem(12)
'12 is not a number from 0 to 9'
>>> sequence(BYTE, most=2).problem([1, 2, 300])
'[1, 2, 300] is not at most 2 values'
>>> optional(FLAG).problem(None) is None
True
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from devices.device import Chip


class Field:
    """An attribute that holds a plain value. `fits` tells whether a saved one can be that."""

    def __init__(self, what: str, fits: Callable[[Any], bool]) -> None:
        self.what = what
        self._fits = fits

    def save(self, value: Any) -> Any:
        """The attribute's value as JSON can hold it."""
        return value

    def problem(self, saved: Any, current: Any = None) -> str | None:
        """Why this cannot be taken back, in place of `current`; None: it can."""
        return None if self._fits(saved) else f"{reprlib.repr(saved)} is not {self.what}"

    def load(self, current: Any, saved: Any) -> Any:
        """What the attribute is now; `current` is what it was. For what has no problem."""
        return saved


class _Sequence(Field):
    """A list, a deque or a bytearray; it stays what it is."""

    def __init__(self, item: Field, least: int, most: int | None) -> None:
        if most is None:
            super().__init__("a list", lambda saved: isinstance(saved, list))
        else:
            length = f"{most} values" if least == most else f"at most {most} values"
            super().__init__(
                length, lambda saved: isinstance(saved, list) and least <= len(saved) <= most
            )
        self._item = item

    def save(self, value: Any) -> Any:
        return [self._item.save(each) for each in value]

    def problem(self, saved: Any, current: Any = None) -> str | None:
        whole = super().problem(saved)
        if whole is not None:
            return whole
        return next((found for each in saved if (found := self._item.problem(each))), None)

    def load(self, current: Any, saved: Any) -> Any:
        return type(current)(saved)


class _Hex(Field):
    """A bytearray or bytes, saved as hexadecimal digits."""

    def __init__(self, most: int | None) -> None:
        what = "bytes in hexadecimal" + ("" if most is None else f", at most {most}")
        super().__init__(what, lambda saved: _is_hex(saved, most))

    def save(self, value: Any) -> Any:
        return bytes(value).hex()

    def load(self, current: Any, saved: Any) -> Any:
        return type(current)(bytes.fromhex(saved))


class _Optional(Field):
    """None, or what another field may be."""

    def __init__(self, field: Field) -> None:
        super().__init__(f"{field.what}, or nothing", lambda saved: True)
        self._field = field

    def save(self, value: Any) -> Any:
        return None if value is None else self._field.save(value)

    def problem(self, saved: Any, current: Any = None) -> str | None:
        return None if saved is None else self._field.problem(saved)


class _Timer(Field):
    """A timer of the device's: when it is due. It is set or cancelled, and stays the same one."""

    def save(self, value: Any) -> Any:
        return value.when

    def load(self, current: Any, saved: Any) -> Any:
        if saved is None:
            current.cancel()
        else:
            current.set(saved)
        return current


class _Line(Field):
    """An interrupt line of the device's: its level, which is put back without driving the wire.

    What an input of the interrupt controller has seen is in the controller's own snapshot.
    """

    def save(self, value: Any) -> Any:
        return value.level

    def load(self, current: Any, saved: Any) -> Any:
        current.level = saved
        return current


class _Part(Field):
    """A chip within the chip, or a list of them: each with a snapshot of its own."""

    def __init__(self, several: bool) -> None:
        super().__init__("the snapshot of a part", lambda saved: True)
        self._several = several

    def save(self, value: Any) -> Any:
        return [each.snapshot() for each in value] if self._several else value.snapshot()

    def problem(self, saved: Any, current: Any = None) -> str | None:
        """SnapshotError where the part itself refuses it."""
        if self._several and (not isinstance(saved, list) or len(saved) != len(current)):
            return f"{reprlib.repr(saved)} is not the snapshots of {len(current)} parts"
        for part, state in self._pairs(current, saved):
            part.check(state)
        return None

    def load(self, current: Any, saved: Any) -> Any:
        for part, state in self._pairs(current, saved):
            part.load(state)
        return current

    def _pairs(self, current: Any, saved: Any) -> list[tuple[Chip, Any]]:
        return list(zip(current, saved, strict=True)) if self._several else [(current, saved)]


class _Socket(_Part):
    """A chip that may be there or not. What is saved of one needs one to be taken back."""

    def save(self, value: Any) -> Any:
        return None if value is None else super().save(value)

    def problem(self, saved: Any, current: Any = None) -> str | None:
        if (saved is None) != (current is None):
            return "in one of the two there is nothing plugged in"
        return None if current is None else super().problem(saved, current)

    def load(self, current: Any, saved: Any) -> Any:
        return None if current is None else super().load(current, saved)


def fields(**named: Field) -> Mapping[str, Field]:
    """Which attributes are saved, and what they may be."""
    return MappingProxyType(named)


def number(low: int, high: int) -> Field:
    """A whole number from `low` to `high`."""
    return Field(f"a number from {low} to {high}", lambda saved: _is_number(saved, low, high))


def choice(values: Collection[int | str]) -> Field:
    """One of these values."""
    known = frozenset(values)
    shown = reprlib.repr(sorted(values, key=str)).strip("[]")
    return Field(
        f"one of {shown}",
        lambda saved: type(saved) in (int, str) and saved in known,
    )


def sequence(item: Field, most: int | None = None, least: int = 0) -> Field:
    """A list, deque or bytearray of such values; without `most`, of any length."""
    return _Sequence(item, least, most)


def hex_bytes(most: int | None = None) -> Field:
    """A bytearray or bytes; without `most`, of any length."""
    return _Hex(most)


def optional(field: Field) -> Field:
    """None, or what `field` says. For plain values."""
    return _Optional(field)


def _is_number(saved: Any, low: int, high: int) -> bool:
    return type(saved) is int and low <= saved <= high


def _is_hex(saved: Any, most: int | None) -> bool:
    if not isinstance(saved, str) or len(saved) % 2 or not saved.isascii():
        return False
    if most is not None and len(saved) > 2 * most:
        return False
    return all(digit in "0123456789abcdef" for digit in saved)


#: A century and a half in nanoseconds.
MOST_TIME = 1 << 62

FLAG = Field("true or false", lambda saved: type(saved) is bool)
BYTE = number(0, 0xFF)
WORD = number(0, 0xFFFF)
DWORD = number(0, 0xFFFFFFFF)
#: A moment in nanoseconds or ticks, or a time between two; it may lie before power-on.
MOMENT = number(-MOST_TIME, MOST_TIME)
TIMER = _Timer(
    "a moment, or nothing", lambda saved: saved is None or _is_number(saved, 0, MOST_TIME)
)
LINE = _Line("true or false", lambda saved: type(saved) is bool)
PART = _Part(several=False)
PARTS = _Part(several=True)
SOCKET = _Socket(several=False)

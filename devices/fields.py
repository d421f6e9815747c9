"""The kinds of field that a device's snapshot is made of.

    class Scratch(Chip):
        name = "scratch"
        state = fields(value=BYTE, mode=choice(("slow", "fast")), line=LINE, timer=TIMER)

A field says three things of an attribute: what of it is saved, which saved values it may take
back (a shape, devices/shapes.py), and how it takes them. Everything saved is what JSON can hold.
Snapshots come from files, and files from anywhere; a chip that was given nonsense would raise in
the middle of a guest's instruction. So nothing is taken back before all of it has been looked at.

>>> number(0, 9).problem(12)
'12 is not from 0 to 9'
>>> sequence(BYTE, most=2).problem([1, 2, 300])
'[1, 2, 300] is no list of at most 2'
>>> optional(FLAG).problem(None) is None
True
"""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from devices import shapes
from devices.shapes import Among, Anything, Hex, Maybe, Number, Shape, Some, WrongField, like


class Field:
    """An attribute that holds a plain value of this shape."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def save(self, value: Any) -> Any:
        """The attribute's value as JSON can hold it."""
        return value

    def problem(self, saved: Any, current: Any = None) -> str | None:
        """Why this cannot be taken back, in place of `current`; None: it can."""
        try:
            self.shape.check(saved)
        except WrongField as error:
            return str(error)
        return None

    def load(self, current: Any, saved: Any) -> Any:
        """What the attribute is now; `current` is what it was. For what has no problem."""
        return saved


class _Sequence(Field):
    """A list, a deque or a bytearray; it stays what it is."""

    def __init__(self, item: Field, least: int, most: int | None) -> None:
        super().__init__(Some(item.shape, least, most))
        self._item = item

    def save(self, value: Any) -> Any:
        return [self._item.save(each) for each in value]

    def load(self, current: Any, saved: Any) -> Any:
        return like(current, saved)


class _Hex(Field):
    """A bytearray or bytes, saved as hexadecimal digits."""

    def save(self, value: Any) -> Any:
        return bytes(value).hex()

    def load(self, current: Any, saved: Any) -> Any:
        return type(current)(bytes.fromhex(saved))


class _Optional(Field):
    """None, or what another field may be."""

    def __init__(self, field: Field) -> None:
        super().__init__(Maybe(field.shape))
        self._field = field

    def save(self, value: Any) -> Any:
        return None if value is None else self._field.save(value)


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


class Part(Protocol):
    """What a field asks of a chip within a chip."""

    def snapshot(self) -> dict[str, Any]:
        """Its state by name."""
        ...

    def check(self, state: Mapping[str, Any]) -> None:
        """SnapshotError for a state that it would not take."""
        ...

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back a state that was checked."""
        ...


class _Part(Field):
    """A chip within the chip, or a list of them: each with a snapshot of its own."""

    def __init__(self, several: bool) -> None:
        super().__init__(Anything())
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

    def _pairs(self, current: Any, saved: Any) -> list[tuple[Part, Any]]:
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
    return Field(Number(low, high))


def choice(values: Collection[int | str]) -> Field:
    """One of these values."""
    return Field(Among(frozenset(values)))


def sequence(item: Field, most: int | None = None, least: int = 0) -> Field:
    """A list, deque or bytearray of such values; without `most`, of any length."""
    return _Sequence(item, least, most)


def hex_bytes(most: int | None = None) -> Field:
    """A bytearray or bytes; without `most`, of any length."""
    return _Hex(Hex(most))


def optional(field: Field) -> Field:
    """None, or what `field` says. For plain values."""
    return _Optional(field)


#: A century and a half in nanoseconds.
MOST_TIME = 1 << 62

FLAG = Field(shapes.FLAG)
BYTE = Field(shapes.BYTE)
WORD = Field(shapes.WORD)
DWORD = Field(shapes.DWORD)
#: A moment in nanoseconds or ticks, or a time between two; it may lie before power-on.
MOMENT = number(-MOST_TIME, MOST_TIME)
TIMER = _Timer(Maybe(Number(0, MOST_TIME)))
LINE = _Line(shapes.FLAG)
PART = _Part(several=False)
PARTS = _Part(several=True)
SOCKET = _Socket(several=False)

"""What the values of a checkpoint may be. It may come from a stranger's file.

>>> BYTE.check(7), maybe(BYTE).check(None), some(BYTE, 4).check([1, 2])
(7, None, [1, 2])
>>> BYTE.check(256)
Traceback (most recent call last):
    ...
devices.shapes.WrongField: 256 is not from 0 to 255

A chip's fields (devices/fields.py) are shapes that also know of attributes, timers and lines.
"""

from __future__ import annotations

import reprlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntFlag
from typing import Any, Protocol

SHOWN = 40  # characters of a wrong value
HEX_DIGITS = frozenset("0123456789abcdef")


class WrongField(ValueError):
    """A value that this field cannot have."""


class Shape(Protocol):
    """Which values a field may have."""

    def check(self, value: Any) -> Any:
        """The value. WrongField: it may not be one."""


Fields = Mapping[str, Shape]


@dataclass(frozen=True)
class Anything:
    """What somebody else looks at."""

    def check(self, value: Any) -> Any:
        return value


@dataclass(frozen=True)
class Restoring:
    """Whatever the restore() of some part takes. With `named`, its error says whose it is."""

    restore: Callable[[Any], object]

    def check(self, value: Any) -> object:
        return self.restore(value)


@dataclass(frozen=True)
class Number:
    """An integer, no bool."""

    low: int
    high: int

    def check(self, value: Any) -> int:
        if type(value) is not int or not self.low <= value <= self.high:
            raise WrongField(f"{shown(value)} is not from {self.low} to {self.high}")
        return value


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def check(self, value: Any) -> bool:
        if type(value) is not bool:
            raise WrongField(f"{shown(value)} is neither true nor false")
        return value


@dataclass(frozen=True)
class Text:
    """Text of bounded length."""

    most: int

    def check(self, value: Any) -> str:
        if type(value) is not str or len(value) > self.most:
            raise WrongField(f"{shown(value)} is no text of at most {self.most} characters")
        return value


@dataclass(frozen=True)
class Among:
    """One of these numbers or texts."""

    values: frozenset[int | str]

    def check(self, value: Any) -> int | str:
        if type(value) not in (int, str) or value not in self.values:
            known = reprlib.repr(sorted(self.values, key=str)).strip("[]")
            raise WrongField(f"{shown(value)} is not one of {known}")
        return value


@dataclass(frozen=True)
class Maybe:
    """None, or what `shape` says."""

    shape: Shape

    def check(self, value: Any) -> Any:
        return None if value is None else self.shape.check(value)


@dataclass(frozen=True)
class Some:
    """A list of `least` to `most` values; `most` None: of any length."""

    shape: Shape
    least: int
    most: int | None

    def check(self, value: Any) -> list[Any]:
        if type(value) is not list or not self._fits(len(value)):
            raise WrongField(f"{shown(value)} is no list{self._lengths()}")
        return [self.shape.check(each) for each in value]

    def _fits(self, length: int) -> bool:
        return self.least <= length and (self.most is None or length <= self.most)

    def _lengths(self) -> str:
        """The lengths that it may have, for a sentence."""
        if self.most is None:
            return f" of {self.least} or more" if self.least else ""
        return f" of {self.least} to {self.most}" if self.least else f" of at most {self.most}"


@dataclass(frozen=True)
class Record:
    """Named values: these names, no more and no fewer."""

    shapes: Mapping[str, Shape]

    def check(self, value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise WrongField(f"{shown(value)} has no names")
        check_names(value, self.shapes)
        return {name: named(name, shape, value[name]) for name, shape in self.shapes.items()}


@dataclass(frozen=True)
class Table:
    """Values under names that are not known beforehand."""

    shape: Shape
    most: int
    name_most: int = 200

    def check(self, value: Any) -> dict[str, Any]:
        if type(value) is not dict or len(value) > self.most:
            raise WrongField(f"{shown(value)} is no table of at most {self.most} names")
        for name in value:
            if type(name) is not str or len(name) > self.name_most:
                raise WrongField(f"{shown(name)} is too long a name")
        return {name: named(name, self.shape, each) for name, each in value.items()}


@dataclass(frozen=True)
class Hex:
    """Bytes as hexadecimal text."""

    most: int | None  # bytes; None: however many

    def check(self, value: Any) -> str:
        too_long = self.most is not None and type(value) is str and len(value) > 2 * self.most
        if type(value) is not str or too_long or len(value) % 2:
            most = "" if self.most is None else f" of at most {self.most} bytes"
            raise WrongField(f"{shown(value)} is no hexadecimal text{most}")
        if not HEX_DIGITS.issuperset(value):
            raise WrongField(f"{shown(value)} is not hexadecimal")
        return value


BYTE = Number(0, 0xFF)
WORD = Number(0, 0xFFFF)
DWORD = Number(0, 0xFFFFFFFF)
COUNT = Number(0, (1 << 63) - 1)  # instructions, nanoseconds, bytes: none ever gets that far
FLAG = Flag()


def maybe(shape: Shape) -> Maybe:
    """None or such a value."""
    return Maybe(shape)


def some(shape: Shape, most: int) -> Some:
    """At most so many."""
    return Some(shape, 0, most)


def exactly(shape: Shape, count: int) -> Some:
    """So many, no more and no fewer."""
    return Some(shape, count, count)


def check_names(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """WrongField: names are missing, or there are others."""
    missing = [name for name in wanted if name not in value]
    if missing:
        raise WrongField(f"it lacks {', '.join(missing)}")
    others = [shown(name) for name in value if name not in wanted]
    if others:
        raise WrongField(f"it has {', '.join(others[:5])}, which nobody knows")


def named(name: str, shape: Shape, value: Any) -> Any:
    """A field's value; the error says which field."""
    try:
        return shape.check(value)
    except WrongField as error:
        raise WrongField(f"{shown_name(name)}: {error}") from None


def shown(value: Any) -> str:
    """A wrong value, short enough for a sentence."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 128:
        return "a number of too many digits"
    text = ascii(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def shown_name(name: str) -> str:
    """A field's name as it may be printed."""
    return name if name.isidentifier() and len(name) <= SHOWN else shown(name)


def take(owner: Any, shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """These attributes, as JSON can hold them; bytes are hexadecimal text.

    An underscore before an attribute's name is none of the field's.
    """
    return {name.lstrip("_"): plain(getattr(owner, name)) for name in shapes}


def give(owner: Any, shapes: Mapping[str, Shape], saved: Any) -> None:
    """Set them, all or, with WrongField, none."""
    values = Record({name.lstrip("_"): shape for name, shape in shapes.items()}).check(saved)
    for name in shapes:
        setattr(owner, name, like(getattr(owner, name), values[name.lstrip("_")]))


def plain(value: Any) -> Any:
    """A value that JSON can hold."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, IntFlag):
        return int(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return list(value) if isinstance(value, (list, tuple, deque, bytearray)) else value


def like(current: Any, value: Any) -> Any:
    """A snapshot's value in the container that its owner uses."""
    if isinstance(current, deque):
        return deque(value, current.maxlen)
    if isinstance(current, IntFlag):
        return type(current)(value)
    if isinstance(current, bytes):
        return bytes.fromhex(value)
    if isinstance(current, (list, bytearray, tuple, set)):
        return type(current)(value)
    return value

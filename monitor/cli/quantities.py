"""Kinds of options that are quantities: argparse's types, in the words of settings/units.py.

What is wrong with a value is told with the option's name, which argparse adds.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import TypeVar

from monitor.settings import units
from monitor.vmm.errors import UserError

T = TypeVar("T")


def memory_size(text: str) -> int:
    """MiB: 64, 64M, 1G."""
    return _told(units.mebibytes, text)


def seconds(text: str) -> float:
    """Seconds: 90, 90s, 1m30s."""
    return _told(units.seconds, text)


def count(text: str) -> int:
    """A whole number, 0 or more: 1000, 0x3e8, 1e6, 1M."""
    return _told(units.count, text)


def positive(text: str) -> int:
    """A count, 1 or more."""
    return _above_zero(count(text), text)


def positive_size(text: str) -> int:
    """MiB, 1 or more."""
    return _above_zero(memory_size(text), text)


def whole_seconds(text: str) -> int:
    """Seconds without a fraction, 1 or more."""
    found = seconds(text)
    if found != int(found):
        raise ArgumentTypeError(f"{text}: not a whole number of seconds")
    return _above_zero(int(found), text)


def _above_zero(value: int, text: str) -> int:
    if value < 1:
        raise ArgumentTypeError(f"{text}: give 1 or more")
    return value


def _told(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except UserError as error:
        raise ArgumentTypeError(str(error)) from None

"""Sizes, times and counts as people write them: 64M, 1m30s, 1e6. UserError says how to.

    what       plain number   suffixes
    memory     MiB            K, M, G, T: powers of 1024, also as MB or MiB
    time       seconds        ms, s, m (or min), h; one after the other: 1m30s
    count      as it is       k, M, G, T: powers of 1000; 1e6; hexadecimal with 0x

    >>> mebibytes("1G"), seconds("1m30s"), count("1e6"), count("2M")
    (1024, 90.0, 1000000, 2000000)

A size is a size of memory, so its M is 2**20 as in QEMU's `-m 64M`; a count counts, so its M is a
million.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

from monitor.vmm.errors import UserError

EITHER_CASE = re.IGNORECASE | re.ASCII
SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*([kmgt])?(?:i?b)?", EITHER_CASE)
TIME = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)(ms|s|min|m|h)", EITHER_CASE)
COUNT = re.compile(r"(\d{1,30}(?:\.\d{1,30})?)(?:e\+?(\d{1,2})|([kmgt]))?", EITHER_CASE)
SECONDS = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "min": Fraction(60),
    "h": Fraction(3600),
}
POWERS = "kmgt"


def mebibytes(text: str) -> int:
    """A size of memory, in MiB. UserError if it is none, or no whole number of MiB."""
    found = SIZE.fullmatch(text.strip())
    if found is None:
        raise UserError(f"{text}: give MiB, or a size such as 64M or 1G")
    power = POWERS.index(found[2].lower()) if found[2] else POWERS.index("m")
    size = Fraction(found[1]) * Fraction(1024) ** (power - 1)
    if size.denominator != 1:
        raise UserError(f"{text}: not a whole number of MiB")
    return int(size)


def seconds(text: str) -> float:
    """A time in seconds; negative ones are for the caller to refuse. UserError if it is none."""
    try:
        plain = float(text)
    except ValueError:
        parts = TIME.findall(text)
        if not parts or "".join(map("".join, parts)) != text:
            raise UserError(f"{text}: give seconds, or a time such as 90s, 1m30s or 2h") from None
        return float(sum(Fraction(number) * SECONDS[unit.lower()] for number, unit in parts))
    if not math.isfinite(plain):
        raise UserError(f"{text}: give seconds, or a time such as 90s, 1m30s or 2h")
    return plain


def count(text: str) -> int:
    """A whole number, 0 or more. UserError if it is none."""
    try:
        value = int(text, 0)
    except ValueError:
        found = COUNT.fullmatch(text)
        number = Fraction(0 if found is None else found[1])
        if found is not None and found[2]:
            number *= 10 ** int(found[2])
        elif found is not None and found[3]:
            number *= Fraction(1000) ** (POWERS.index(found[3].lower()) + 1)
        value = -1 if found is None or number.denominator != 1 else int(number)
    if value < 0:
        raise UserError(f"{text}: give a whole number, such as 1000, 0x3e8, 20k, 1e6 or 1M")
    return value

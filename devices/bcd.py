"""Binary-coded decimal: one decimal digit per nibble.

>>> hex(to_bcd(1999)), from_bcd(0x1999)
('0x1999', 1999)

A guest can store what is no digit; it counts for its value, as the adders of the chips do.

>>> from_bcd(0x1F)
25
"""

from __future__ import annotations


def to_bcd(number: int) -> int:
    """A number, 0 or more, as decimal digits in nibbles."""
    result = shift = 0
    while number:
        number, digit = divmod(number, 10)
        result |= digit << shift
        shift += 4
    return result


def from_bcd(digits: int) -> int:
    """Digits in nibbles as a number."""
    result, scale = 0, 1
    while digits:
        result += (digits & 0xF) * scale
        digits >>= 4
        scale *= 10
    return result

"""Numbers as they are written at the monitor's console."""

from __future__ import annotations

import pytest

from monitor.console.expressions import M64, value
from monitor.vmm.errors import UserError

REGISTERS = {"eax": 5, "eip": 0xC0101234}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7), ("0x1F", 31), ("010", 8), ("0", 0), ("0b101", 5), ("$EAX", 5),
        ("$eip & ~0xfff", 0xC0101000), ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("7 / 2", 3),
        ("7 % 4", 3), ("1 << 4 | 2", 18), ("1 ^ 3", 2), ("-1", M64), ("+3", 3), ("1 << 64", 0),
        ("1 << 99999999999", 0), ("~0 >> 60", 15), ("2 - 3 + 1", 0), (" $eax+1 ", 6),
    ],
)  # fmt: skip
def test_values(text: str, number: int) -> None:
    assert value(text, REGISTERS) == number


@pytest.mark.parametrize(
    "text",
    ["", " ", "$", "$nope", "eax", "1 +", "open('x')", "1 ** 9", "1 if 1 else 2", "1 < 2", "'a'",
     "1.5", "[1]", "1/0", "1 % 0", "x" * 300, "(" * 150, "1 and 2", "lambda: 1", "0x", "1;2",
     "__import__", "r_eax(1)", "True", "1j", "\0"],
)  # fmt: skip
def test_what_is_none_is_a_sentence(text: str) -> None:
    with pytest.raises(UserError) as why:
        value(text, REGISTERS)
    assert "\n" not in str(why.value)

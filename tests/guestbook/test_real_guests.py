"""Real guests from the reset vector, bare and translated: what they show, and that it is the same.

Nobody here wrote any of them. All are marked slow, as being too long for the uncompiled build.
Those that are long on the compiled one, too, run only if they are asked for:

    LONG_GUESTS=1 python -m pytest tests/guestbook/test_real_guests.py
"""

from __future__ import annotations

import os
import re
from functools import cache

import pytest
from guest_lives import life, made, needed
from patience import PATIENCE

from monitor.guestbook.guest import Guest
from monitor.guestbook.rows import BY_NAME, GUESTS

MODES = ("bare", "translate")
LONG = 1500  # seconds of processor time; the longest needs 100 on a quiet one
pytestmark = [pytest.mark.slow, pytest.mark.guest]


def parameter(guest: Guest, *mode: str) -> object:
    asked = bool(os.environ.get("LONG_GUESTS"))
    skip = pytest.mark.skipif(not asked, reason="takes minutes: ask with LONG_GUESTS=1")
    marks = [pytest.mark.timeout(LONG), skip] if guest.long else []
    return pytest.param(guest, *mode, marks=marks, id="-".join((guest.name, *mode)))


@pytest.mark.parametrize(
    ("guest", "mode"), [parameter(guest, mode) for guest in GUESTS for mode in MODES]
)
def test_it_shows_what_it_should(guest: Guest, mode: str) -> None:
    needed(guest)
    seen = life(guest, mode)
    shown = f"{seen.screen}\n{seen.console[-1000:]}"
    assert seen.outcome.kind == "until" and seen.typed, f"{seen.outcome}\n{shown}"
    for pattern in guest.also:
        assert re.search(pattern, shown, re.MULTILINE), f"{pattern}\n{shown}"


@pytest.mark.parametrize("guest", [parameter(guest) for guest in GUESTS])
def test_the_modes_give_the_same_life(guest: Guest) -> None:
    """To the instruction, to the byte."""
    needed(guest)
    bare, translated = (life(guest, mode) for mode in MODES)
    assert translated.instructions == bare.instructions
    assert (translated.screen, translated.console) == (bare.screen, bare.console)
    assert translated.registers == bare.registers
    assert translated.memory == bare.memory


@cache
def digits_of_pi(count: int) -> str:
    """The first so many, with 3 as the first: Machin, 16 atan(1/5) - 4 atan(1/239)."""
    one = 10 ** (count + 20)

    def arctangent(inverse: int) -> int:
        term = one // inverse
        total, number, sign = term, 3, -1
        while term:
            term //= inverse * inverse
            total += sign * (term // number)
            number, sign = number + 2, -sign
        return total

    value = 4 * (4 * arctangent(5) - arctangent(239))
    text = ""
    while len(text) < count:  # not at once: Python refuses to write such a long number
        digit, value = divmod(value, one)
        text, value = text + str(digit), value * 10
    return text


@pytest.mark.parametrize("mode", MODES)
def test_freedos_computes_pi(mode: str) -> None:
    """What is left of it on the screen: 23 lines, to digit 9305."""
    guest = BY_NAME["freedos"]
    needed(guest)
    lines = [line for line in life(guest, mode).screen.split("\n") if re.fullmatch(r"\d+", line)]
    shown = "".join(lines)
    assert len(shown) > 1500
    assert digits_of_pi(9305).endswith(shown)


@pytest.mark.parametrize("mode", MODES)
def test_himem_can_shut_the_a20_gate(mode: str) -> None:
    """It says so where it cannot: "Can't disable A20 - ignored"."""
    guest = BY_NAME["freedos"]
    needed(guest)
    machine, _ = made(guest, mode)
    assert machine.run(until="A:\\>", timeout=PATIENCE).kind == "until"
    assert "FreeDOS HIMEM" in machine.screen.text
    assert "A20" not in machine.screen.text

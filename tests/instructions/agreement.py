"""Where two processors disagree on a form's cases, and by how much they may.

What the manual leaves undefined is blanked first (tests/oracle/undefined.py). What remains must be
equal, but for SSE's estimates (RCPPS, RSQRTPS), whose error the manual bounds, and the x87
transcendental functions: SDM volume 1, 8.3.10 promises them within one unit in the last place, so
their results may be neighbours, and what follows from the result (whether its tag says valid, zero
or special; inexact and underflow) is that of the processor's own result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bt.hostcpu import layout as at
from bt.hostcpu.host import NO_FAULT
from tests.oracle.forms import Form
from tests.oracle.undefined import blank, is_estimate, within_one_ulp

Array = Any

STATUS, TAGS, REGISTERS = 4, 8, 28  # offsets in the FNSAVE image
POINTER = slice(12, 16)  # FIP
UNDERFLOW_AND_INEXACT = 0x30
NUMBER = 10


def differ(form: Form, cases: Array, host: Array, guest: Array) -> Array:
    """Indices of the cases on which the two disagree."""
    one, other = blank(form, cases, host), blank(form, cases, guest)
    _forget_lost_pointers(one, other)
    wrong = np.flatnonzero(one != other)
    if within_one_ulp(form):
        wrong = np.array([i for i in wrong if not alike(one[i], other[i])], np.int64)
    if is_estimate(form):
        close = estimates_alike(one["xmm"], other["xmm"])
        one["xmm"][close] = other["xmm"][close]
        wrong = np.flatnonzero(one != other)
    return wrong


#: SDM volume 2, RCPPS and RSQRTPS: |relative error| <= 1.5 * 2^-12, of either processor.
ESTIMATE = 2 * 1.5 * 2.0**-12
SMALLEST = 2.0**-126 * (1 + ESTIMATE)  # below, one of them may have made it a zero


def estimates_alike(one: Array, other: Array) -> Array:
    """States whose XMM registers are the same but for elements that are near, relatively."""
    mine, yours = (np.ascontiguousarray(half).view("<u4") for half in (one, other))
    with np.errstate(all="ignore"):
        first, second = mine.view("<f4").astype("f8"), yours.view("<f4").astype("f8")
        close = np.abs(first - second) <= ESTIMATE * np.abs(first)
        close |= (np.abs(first) <= SMALLEST) & (np.abs(second) <= SMALLEST)
    close &= mine >> 31 == yours >> 31
    return np.asarray(((mine == yours) | close).all(axis=1))


def _forget_lost_pointers(host: Array, guest: Array) -> None:
    """A context switch of the host drops FIP: where the host has none, it is not compared."""
    lost = ~host["fpu"][:, POINTER].any(axis=1)
    guest["fpu"][lost, POINTER] = 0


def alike(one: Any, other: Any) -> bool:
    """Whether two results differ only by a last place of x87 registers."""
    for name in at.RESULT.names or ():
        if name != "fpu" and np.any(one[name] != other[name]):
            return False
    mine, yours = one["fpu"].tobytes(), other["fpu"].tobytes()
    status = int.from_bytes(mine[STATUS : STATUS + 2], "little")
    status ^= int.from_bytes(yours[STATUS : STATUS + 2], "little")
    if status & ~UNDERFLOW_AND_INEXACT or mine[:STATUS] != yours[:STATUS]:
        return False
    if empties(mine) != empties(yours) or mine[TAGS + 2 : REGISTERS] != yours[TAGS + 2 : REGISTERS]:
        return False
    places = range(REGISTERS, REGISTERS + 8 * NUMBER, NUMBER)
    return all(near(mine[at_ : at_ + NUMBER], yours[at_ : at_ + NUMBER]) for at_ in places)


def empties(image: bytes) -> list[bool]:
    """Which physical registers the tag word calls empty (11)."""
    tags = int.from_bytes(image[TAGS : TAGS + 2], "little")
    return [tags >> 2 * number & 3 == 3 for number in range(8)]


def near(one: bytes, other: bytes) -> bool:
    """Whether two extended values are equal or neighbours; NaNs must be equal."""
    if one == other:
        return True
    first, second = ordinal(one), ordinal(other)
    return first is not None and second is not None and abs(first - second) <= 1


def ordinal(value: bytes) -> int | None:
    """The value's place among all extended values in order of size; None: not a number.

    >>> one, next_one = b"\\0" * 7 + b"\\x80\\xff\\x3f", b"\\1" + b"\\0" * 6 + b"\\x80\\xff\\x3f"
    >>> ordinal(next_one) - ordinal(one)
    1
    """
    significand = int.from_bytes(value[:8], "little")
    high = int.from_bytes(value[8:], "little")
    exponent = high & 0x7FFF
    if exponent == 0x7FFF and significand != 1 << 63:
        return None
    place = significand if exponent == 0 else ((exponent - 1) << 63) + significand
    return -place if high & 0x8000 else place


def report(form: Form, case: Any, host: Any, guest: Any) -> str:
    """One disagreement in words: the code, the state it started from, and every field that differs.

    Give it blanked results: what is undefined would drown the rest.
    """
    code = case["code"][: int(case["length"])].tobytes().hex(" ")
    lines = [f"{form.name}: {code}"]
    lines.append("  regs " + " ".join(f"{int(value):08x}" for value in case["regs"]))
    state = ("eflags", "cs", "es", "ss", "ds", "fs", "gs", "target")
    lines.append("  " + " ".join(f"{name} {int(case[name]):x}" for name in state))
    if case["vectors"]:
        lines.append(f"  mxcsr {int(case['mxcsr']):x}")
        for number in range(8):
            halves = case["xmm"][2 * number : 2 * number + 2]
            lines.append(f"  xmm{number} {halves[1]:016x} {halves[0]:016x}")
    lines += [f"  {line}" for line in _differences(case, host, guest)]
    return "\n".join(lines)


def _differences(case: Any, host: Any, guest: Any) -> Iterator[str]:
    for name in at.RESULT.names or ():
        one, other = host[name], guest[name]
        if not np.any(one != other):
            continue
        if name in ("mem", "fpu"):
            first = int(np.argmax(one != other)) & ~1
            span = slice(first, first + 12)
            before = case[name][span].tobytes().hex(" ")
            yield f"{name}[{first}]: host {one[span].tobytes().hex(' ')}"
            yield f"{' ' * len(f'{name}[{first}]')}  guest {other[span].tobytes().hex(' ')}"
            yield f"{' ' * len(f'{name}[{first}]')}  before {before}"
            if name == "fpu":
                yield from unit_lines(case["fpu"].tobytes(), one.tobytes(), other.tobytes())
        elif name == "xmm":
            for number in sorted({int(half) // 2 for half in np.flatnonzero(one != other)}):
                values = (case[name], one, other)
                words = [
                    f"{value[2 * number + 1]:016x}{value[2 * number]:016x}" for value in values
                ]
                yield f"xmm{number}: before {words[0]} host {words[1]} guest {words[2]}"
        elif name == "regs":
            for number in np.flatnonzero(one != other):
                yield f"reg {number}: host {int(one[number]):08x} guest {int(other[number]):08x}"
        else:
            mine, yours = (_fault(int(value)) for value in (one, other))
            yield f"{name}: host {mine} guest {yours}"


def _fault(value: int) -> str:
    return "none" if value == NO_FAULT else f"{value:x}"


def unit_lines(before: bytes, host: bytes, guest: bytes) -> Iterator[str]:
    """Control, status and tag words, and the register stack, of three FNSAVE images."""
    for name, image in (("before", before), ("host", host), ("guest", guest)):
        words = [int.from_bytes(image[place : place + 2], "little") for place in (0, 4, 8)]
        stack = [
            image[place : place + NUMBER][::-1].hex()
            for place in range(REGISTERS, REGISTERS + 3 * NUMBER, NUMBER)
        ]
        yield f"{name:6} " + " ".join(f"{word:04x}" for word in words) + "  " + " ".join(stack)

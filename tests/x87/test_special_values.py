"""Zeros and infinities: the tables of the manual, row by row (SDM vol. 2)."""

from __future__ import annotations

import struct

import pytest

from tests.x87.machine import DATA, run

PI = 0xC90FDAA22168C235  # significand of pi to the nearest
THREE_QUARTERS = 0x96CBE3F9990E91A8  # of 3 pi / 4

Value = tuple[int, int]  # sign and exponent, significand
ONE, ZERO, INFINITY = (0x3FFF, 1 << 63), (0, 0), (0x7FFF, 1 << 63)


def minus(value: Value) -> Value:
    return value[0] ^ 0x8000, value[1]


def packed(value: Value) -> bytes:
    return struct.pack("<QH", value[1], value[0])


def unpacked(data: bytes) -> Value:
    sig, se = struct.unpack("<QH", data)
    return se, sig


def compute(code: str, *operands: Value, results: int = 1, control: int = 0x37F) -> list[Value]:
    """Push the operands, the last one on top; run; pop the results, the top first."""
    data = b"".join(packed(value) for value in operands) + struct.pack("<H", control)
    loads = "".join(f"db2d{(DATA + 10 * i).to_bytes(4, 'little').hex()}"
                    for i in range(len(operands)))  # fmt: skip
    mode = f"d92d{(DATA + 10 * len(operands)).to_bytes(4, 'little').hex()}"
    stores = "".join(f"db3d{(DATA + 0x100 + 10 * i).to_bytes(4, 'little').hex()}"
                     for i in range(results))  # fmt: skip
    end = run(bytes.fromhex("dbe3" + mode + loads + code + stores), data=data)
    assert end.vector is None
    return [unpacked(end.bytes_at(DATA + 0x100 + 10 * i, 10)) for i in range(results)]


# --- FPATAN, table "FPATAN Results": ST(1) is y, ST(0) is x ---------------------------------------

FULL, HALF, QUARTER = (0x4000, PI), (0x3FFF, PI), (0x3FFE, PI)
ARC_TANGENTS = [  # of a positive y: y, then the results for each x
    (INFINITY, (0x4000, THREE_QUARTERS), HALF, HALF, HALF, HALF, QUARTER),
    (ONE, FULL, (0x4000, THREE_QUARTERS), HALF, HALF, QUARTER, ZERO),
    (ZERO, FULL, FULL, FULL, ZERO, ZERO, ZERO),
]
ABSCISSAS = (minus(INFINITY), minus(ONE), minus(ZERO), ZERO, ONE, INFINITY)


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize("column", range(6))
def test_fpatan(row: int, column: int, negative: bool) -> None:
    y, *results = ARC_TANGENTS[row]
    x, result = ABSCISSAS[column], results[column]
    if negative:
        y, result = minus(y), minus(result)
    assert compute("d9f3", y, x) == [result]


# --- sums of zeros ----------------------------------------------------------------------------

DOWN = 0x77F  # rounding control 01


@pytest.mark.parametrize("control", [0x37F, DOWN, 0xB7F, 0xF7F])
@pytest.mark.parametrize(("a", "b"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("subtract", [0, 1])
def test_zero_and_zero(subtract: int, a: int, b: int, control: int) -> None:
    """Equal signs keep theirs, different ones make +0, or -0 when rounding down."""
    signed = [(sign << 15, 0) for sign in (a, b)]
    result = compute("dee9" if subtract else "dec1", *signed, control=control)
    second = b ^ subtract
    sign = a if a == second else int(control == DOWN)
    assert result == [(sign << 15, 0)]


@pytest.mark.parametrize("sign", [0, 1])
def test_zero_and_a_number(sign: int) -> None:
    zero = (sign << 15, 0)
    assert compute("dec1", zero, ONE) == compute("dec1", ONE, zero) == [ONE]
    assert compute("dee9", zero, ONE) == [minus(ONE)]


# --- sine, cosine, tangent of zero ------------------------------------------------------------


@pytest.mark.parametrize("angle", [ZERO, minus(ZERO)])
@pytest.mark.parametrize("code", ["d9fb", "d9f2"])
def test_fsincos_and_fptan_of_zero(code: str, angle: Value) -> None:
    """After another angle, of which nothing may stay behind."""
    found = compute(code + "ddd8ddd8" + code, angle, ONE, results=2)
    assert found == [ONE, angle]
    assert compute("d9fe", angle) == [angle]
    assert compute("d9ff", angle) == [ONE]


# --- exact results, and halves to the bit -----------------------------------------------------


@pytest.mark.parametrize("root", [1, 3, 5, 11, 0xFFFF, 0x10001, 0xB504F333, 0xFFFFFFFF])
def test_roots_of_squares_are_exact(root: int) -> None:
    """FSQRT, and then no precision exception in the status word."""
    root_value, square = integer(root), integer(root * root)
    assert compute("d9fa", square) == [root_value]
    status = run(
        bytes.fromhex("dbe3 db2d00800000 d9fa dd3d10800000"), data=packed(square)
    ).bytes_at(DATA + 0x10, 2)
    assert status[0] & 0x20 == 0


def integer(value: int) -> Value:
    length = value.bit_length()
    return 0x3FFF + length - 1, value << 64 - length


@pytest.mark.parametrize("bits", range(64, 72))
def test_one_minus_very_little(bits: int) -> None:
    """1 - 2^-65 lies in the middle between 1 and the number below: to the even one."""
    below = (0x3FFE, (1 << 64) - 1)  # 1 - 2^-64
    exact, a_bit_more = (0x3FFF - bits, 1 << 63), (0x3FFF - bits, 1 << 63 | 1)
    assert compute("dee9", ONE, exact) == [below if bits == 64 else ONE]
    assert compute("dee9", ONE, a_bit_more) == [below if bits <= 65 else ONE]

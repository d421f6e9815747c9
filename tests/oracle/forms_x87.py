"""The x87 unit's instructions (SDM volume 1, chapter 8; volume 2 for each), as table rows.

Every case starts from a random unit: control word with every precision and rounding control,
exceptions masked and unmasked, any TOP, condition codes, tags, and values of all classes in the
registers. Each row comes alone and followed by FWAIT, where an unmasked exception arrives as #MF.

Not here: encodings that the manual does not document (D9 D8, DB E0, DC D0, DE D0, DF C0 and the
like; processors take them for aliases).
"""

from __future__ import annotations

import numpy as np

from tests.oracle import values
from tests.oracle.forms import Batch, Row

FWAIT = "9b"


def random_unit(batch: Batch) -> None:
    """A random FNSAVE image (volume 1, figure 8-9)."""
    rng, count = batch.rng, batch.count
    image = np.zeros((count, 27), "<u4")
    masks = np.where(rng.random(count) < 0.6, 0x3F, rng.integers(0, 64, count))
    precision = rng.choice([0, 2, 3, 3, 3, 1], count, p=[0.2, 0.2, 0.2, 0.2, 0.18, 0.02])
    control = masks | 0x40 | precision << 8 | rng.integers(0, 4, count) << 10
    top = rng.integers(0, 8, count)
    codes = rng.integers(0, 16, count)
    flags = np.where(rng.random(count) < 0.2, rng.integers(0, 128, count), 0)
    pending = (flags & ~masks & 0x3F) != 0
    flags = np.where(pending & (rng.random(count) < 0.8), 0, flags)
    status = flags | (codes & 7) << 8 | (codes >> 3) << 14 | top << 11
    share = rng.choice([0.05, 0.5, 1.0], count, p=[0.8, 0.15, 0.05])
    empty = rng.random((count, 8)) < share[:, None]
    tags = np.zeros(count, np.int64)
    for register in range(8):
        tags |= np.where(empty[:, register], 3, 0) << (2 * register)
    image[:, 0] = 0xFFFF_0000 | control
    image[:, 1] = 0xFFFF_0000 | status
    image[:, 2] = 0xFFFF_0000 | tags
    raw = image.view(np.uint8).reshape(count, 108)
    raw[:, 28:] = values.extended(rng, 8 * count).reshape(count, 80)
    _close_operands(batch, raw)
    batch.cases["fpu"][:] = raw


def _close_operands(batch: Batch, raw: np.ndarray) -> None:
    """Some ST(1) equal ST(0), or nearly: cancellation, equality, FPREM of like exponents."""
    rng = batch.rng
    rows = np.flatnonzero(rng.random(batch.count) < 0.2)
    raw[rows, 38:48] = raw[rows, 28:38]
    raw[rows, 38] ^= rng.integers(0, 4, len(rows)).astype(np.uint8)
    signs = np.flatnonzero(rng.random(batch.count) < 0.1)
    raw[signs, 47] ^= 0x80


def _store_single(batch: Batch) -> None:
    batch.store(batch.target, values.single(batch.rng, batch.count))


def _store_double(batch: Batch) -> None:
    batch.store(batch.target, values.double(batch.rng, batch.count))


def _store_extended(batch: Batch) -> None:
    batch.store(batch.target, values.extended(batch.rng, batch.count))


def _store_packed(batch: Batch) -> None:
    batch.store(batch.target, values.packed_bcd(batch.rng, batch.count))


def _store_control(batch: Batch) -> None:
    word = batch.rng.integers(0, 1 << 13, batch.count) | 0x40
    batch.store(batch.target, word.astype("<u2").view(np.uint8).reshape(batch.count, 2))


def _store_integer(size: int) -> object:
    def store(batch: Batch) -> None:
        batch.store(batch.target, values.integers(batch.rng, batch.count, size))

    return store


def _store_environment(batch: Batch) -> None:
    """Operands of FLDENV and FRSTOR in the format of the operand size: another random unit."""
    unit = batch.cases["fpu"].copy()
    random_unit(batch)
    other, batch.cases["fpu"][:] = batch.cases["fpu"].copy(), unit
    if batch.opsize == 16:
        words = other[:, :28].view("<u2").reshape(batch.count, 14)[:, ::2].copy()
        other = np.hstack([words.view(np.uint8).reshape(batch.count, 14), other[:, 28:]])
    batch.store(batch.target, other)


def _near_one(batch: Batch) -> None:
    """F2XM1 and FYL2XP1 have a small domain: |ST(0)| < 1 most of the time."""
    random_unit(batch)
    rng = batch.rng
    rows = np.flatnonzero(rng.random(batch.count) < 0.8)
    exponent = 0x3FFF - 1 - rng.geometric(0.2, len(rows))
    exponent |= rng.integers(0, 2, len(rows)) << 15
    exponent = np.where(rng.random(len(rows)) < 0.05, exponent & 0x8001, exponent)
    high = exponent.astype("<u2").view(np.uint8).reshape(len(rows), 2)
    batch.cases["fpu"][rows, 36] = high[:, 0]
    batch.cases["fpu"][rows, 37] = high[:, 1]
    batch.cases["fpu"][rows, 35] |= 0x80


def _small_scale(batch: Batch) -> None:
    """FSCALE: ST(1) of any magnitude, often within the exponent range."""
    random_unit(batch)
    rng = batch.rng
    rows = np.flatnonzero(rng.random(batch.count) < 0.6)
    exponent = 0x3FFF + rng.integers(-2, 16, len(rows))
    exponent |= rng.integers(0, 2, len(rows)) << 15
    high = exponent.astype("<u2").view(np.uint8).reshape(len(rows), 2)
    batch.cases["fpu"][rows, 46] = high[:, 0]
    batch.cases["fpu"][rows, 47] = high[:, 1]
    batch.cases["fpu"][rows, 45] |= 0x80


def _row(
    mnemonic: str,
    encoding: str,
    size: int = 0,
    options: str = "nosize",
    prepare: object = random_unit,
    setup: object = None,
) -> list[Row]:
    """The instruction alone, and followed by FWAIT."""
    flags = frozenset(options.split())
    return [
        Row(mnemonic, text, size, flags, prepare, setup)  # type: ignore[arg-type]
        for text in (encoding, f"{encoding} {FWAIT}")
    ]


_ARITHMETIC = ("FADD", "FMUL", "FCOM", "FCOMP", "FSUB", "FSUBR", "FDIV", "FDIVR")


def _memory_rows() -> list[Row]:
    rows: list[Row] = []
    store16, store32, store64 = (_store_integer(size) for size in (2, 4, 8))
    for digit, name in enumerate(_ARITHMETIC):
        integer = "FI" + name[1:]
        rows += _row(name, f"d8 /{digit}", 4, "mem nosize", setup=_store_single)
        rows += _row(name, f"dc /{digit}", 8, "mem nosize", setup=_store_double)
        rows += _row(integer, f"da /{digit}", 4, "mem nosize", setup=store32)
        rows += _row(integer, f"de /{digit}", 2, "mem nosize", setup=store16)
    loads = (
        ("FLD", "d9 /0", 4, _store_single), ("FLD", "dd /0", 8, _store_double),
        ("FLD", "db /5", 10, _store_extended), ("FILD", "df /0", 2, store16),
        ("FILD", "db /0", 4, store32), ("FILD", "df /5", 8, store64),
        ("FBLD", "df /4", 10, _store_packed), ("FLDCW", "d9 /5", 2, _store_control),
        ("FST", "d9 /2", 4, None), ("FSTP", "d9 /3", 4, None), ("FST", "dd /2", 8, None),
        ("FSTP", "dd /3", 8, None), ("FSTP", "db /7", 10, None), ("FIST", "df /2", 2, None),
        ("FISTP", "df /3", 2, None), ("FIST", "db /2", 4, None), ("FISTP", "db /3", 4, None),
        ("FISTP", "df /7", 8, None), ("FBSTP", "df /6", 10, None), ("FNSTCW", "d9 /7", 2, None),
        ("FNSTSW", "dd /7", 2, None),
    )  # fmt: skip
    for name, encoding, size, setup in loads:
        rows += _row(name, encoding, size, "mem nosize", setup=setup)
    for name, encoding, size, setup in (
        ("FLDENV", "d9 /4", 28, _store_environment), ("FNSTENV", "d9 /6", 28, None),
        ("FRSTOR", "dd /4", 108, _store_environment), ("FNSAVE", "dd /6", 108, None),
    ):  # fmt: skip
        rows += _row(name, encoding, size, "mem exact", setup=setup)
    return rows


def _register_rows() -> list[Row]:
    """D8+i rows: the second byte holds ST(i), as +r."""
    rows: list[Row] = []
    for digit, name in enumerate(_ARITHMETIC):
        rows += _row(name, f"d8 {0xC0 + 8 * digit:02x} +r")
    to_register = ("FADD", "FMUL", None, None, "FSUBR", "FSUB", "FDIVR", "FDIV")
    for digit, to_name in enumerate(to_register):
        if to_name is not None:
            rows += _row(to_name, f"dc {0xC0 + 8 * digit:02x} +r")
            rows += _row(to_name + "P", f"de {0xC0 + 8 * digit:02x} +r")
    pairs = (
        ("FLD", "d9 c0"), ("FXCH", "d9 c8"), ("FCMOVB", "da c0"), ("FCMOVE", "da c8"),
        ("FCMOVBE", "da d0"), ("FCMOVU", "da d8"), ("FCMOVNB", "db c0"), ("FCMOVNE", "db c8"),
        ("FCMOVNBE", "db d0"), ("FCMOVNU", "db d8"), ("FUCOMI", "db e8"), ("FCOMI", "db f0"),
        ("FFREE", "dd c0"), ("FST", "dd d0"), ("FSTP", "dd d8"), ("FUCOM", "dd e0"),
        ("FUCOMP", "dd e8"), ("FUCOMIP", "df e8"), ("FCOMIP", "df f0"),
    )  # fmt: skip
    for name, encoding in pairs:
        rows += _row(name, f"{encoding} +r")
    return rows


def _fixed_rows() -> list[Row]:
    rows: list[Row] = []
    plain = (
        ("FNOP", "d9 d0"), ("FCHS", "d9 e0"), ("FABS", "d9 e1"), ("FTST", "d9 e4"),
        ("FXAM", "d9 e5"), ("FLD1", "d9 e8"), ("FLDL2T", "d9 e9"), ("FLDL2E", "d9 ea"),
        ("FLDPI", "d9 eb"), ("FLDLG2", "d9 ec"), ("FLDLN2", "d9 ed"), ("FLDZ", "d9 ee"),
        ("FYL2X", "d9 f1"), ("FPTAN", "d9 f2"), ("FPATAN", "d9 f3"), ("FXTRACT", "d9 f4"),
        ("FPREM1", "d9 f5"), ("FDECSTP", "d9 f6"), ("FINCSTP", "d9 f7"), ("FPREM", "d9 f8"),
        ("FSQRT", "d9 fa"), ("FSINCOS", "d9 fb"), ("FRNDINT", "d9 fc"), ("FSIN", "d9 fe"),
        ("FCOS", "d9 ff"), ("FUCOMPP", "da e9"), ("FCOMPP", "de d9"), ("FNCLEX", "db e2"),
        ("FNINIT", "db e3"), ("FNSTSW", "df e0"),
    )  # fmt: skip
    for name, encoding in plain:
        rows += _row(name, encoding)
    rows += _row("F2XM1", "d9 f0", prepare=_near_one)
    rows += _row("FYL2XP1", "d9 f9", prepare=_near_one)
    rows += _row("FSCALE", "d9 fd", prepare=_small_scale)
    return rows


def _undefined_rows() -> list[Row]:
    """Encodings reserved on every processor of the family: #UD."""
    registers = (
        "d9 d1", "d9 e2", "d9 e6", "d9 ef", "da e0", "da f0", "da f8", "db f8", "dd f0", "df f8",
    )  # fmt: skip
    memory = ("d9 /1", "db /4", "db /6", "dd /5")
    rows = [_row("(reserved)", code) for code in registers]
    rows += [_row("(reserved)", code, 4, "mem nosize") for code in memory]
    return [each for pair in rows for each in pair]


#: The functions that may differ by one unit in the last place.
TRANSCENDENTAL = frozenset(
    ("F2XM1", "FYL2X", "FYL2XP1", "FPTAN", "FPATAN", "FSIN", "FCOS", "FSINCOS")
)

ROWS: tuple[Row, ...] = (
    *_memory_rows(),
    *_register_rows(),
    *_fixed_rows(),
    *_undefined_rows(),
)

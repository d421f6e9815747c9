"""MMX, SSE and SSE2 (SDM volume 1, chapters 9 to 11), as table rows made from bt/table_simd.py.

Every case starts from a random MXCSR (all rounding modes, exceptions masked and not, DAZ, FTZ,
flags that stand already), random XMM registers of what the instruction takes (integers, singles,
doubles with all special values), and for what has MMX registers a random x87 unit as well, with
integers in its significands. Of memory operands most are aligned.

GS is flat in all of them: the oracle stores the XMM registers through it (bt/hostcpu/driver.py).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from bt.hostcpu import layout as at
from bt.instruction import Instruction
from bt.table_simd import SIMD
from tests.oracle import values
from tests.oracle.forms import EDI, Batch, Row
from tests.oracle.forms_x87 import random_unit

ALL_MASKED = 0x1F80
DAZ, FTZ = 0x40, 0x8000

WIDTHS = {"d": 4, "q": 8, "x": 16, "w": 2}

#: Bodies whose XMM operands are floating point.
FLOATING = frozenset(
    ("sse_packed", "sse_scalar", "estimate_packed", "estimate_scalar", "cmp_packed", "cmp_scalar",
     "comis", "to_mmx", "to_general", "scalar_format", "cvtpd2ps", "packed_to_ints")
)  # fmt: skip


def element_kind(row: Instruction) -> str:
    """What the XMM operands of a row hold: "single", "double" or "integer"."""
    name = row.mnemonic
    if row.body not in FLOATING and name != "CVTPS2PD":
        return "integer"
    source = name.removeprefix("CVTT").removeprefix("CVT").partition("2")[0]
    return "double" if source.endswith(("PD", "SD")) else "single"


def elements(batch: Batch, kind: str, size: int) -> np.ndarray:
    """Random operands of `size` bytes each, (count, size)."""
    rng, count = batch.rng, batch.count
    if kind == "single" and size >= 4:
        return values.single(rng, count * size // 4).reshape(count, size)
    if kind == "double" and size >= 8:
        return values.double(rng, count * size // 8).reshape(count, size)
    return values.words(rng, (count, max(1, size // 4))).view(np.uint8).reshape(count, -1)[:, :size]


def random_mxcsr(batch: Batch) -> None:
    rng, count = batch.rng, batch.count
    masks = np.where(rng.random(count) < 0.7, ALL_MASKED, rng.integers(0, 64, count) << 7)
    flags = np.where(rng.random(count) < 0.3, rng.integers(0, 64, count), 0)
    special = np.where(rng.random(count) < 0.25, DAZ, 0) | np.where(
        rng.random(count) < 0.25, FTZ, 0
    )
    batch.cases["mxcsr"] = masks | flags | special | rng.integers(0, 4, count) << 13


def random_vectors(batch: Batch, kind: str, unit: bool) -> None:
    """The state before a case; close operands at times, for comparison and cancellation."""
    rng, count = batch.rng, batch.count
    batch.cases["vectors"] = 1
    batch.cases["gs"] = at.SEL_FLAT
    random_mxcsr(batch)
    registers = np.hstack([elements(batch, kind, 16) for _ in range(8)])
    like = np.flatnonzero(rng.random(count) < 0.3)
    registers[like, 16:] = np.tile(registers[like, :16], 7)
    registers[like, 16::8] ^= rng.integers(0, 4, (len(like), 14)).astype(np.uint8)
    batch.cases["xmm"] = np.ascontiguousarray(registers).view("<u8").reshape(count, 16)
    if unit:
        random_unit(batch)
        raw = batch.cases["fpu"]
        for number in range(8):
            at_ = 28 + 10 * number
            raw[:, at_ : at_ + 8] = elements(batch, "integer", 8)


def store_operand(batch: Batch, kind: str, size: int) -> None:
    """The memory operand; as a register of the same case at times."""
    data = elements(batch, kind, size)
    rows = np.flatnonzero(batch.rng.random(batch.count) < 0.2)
    same = np.ascontiguousarray(batch.cases["xmm"]).view(np.uint8).reshape(batch.count, 128)
    data = data.copy()
    data[rows] = same[rows, :size]
    batch.store(batch.target, data)


def store_mxcsr(batch: Batch) -> None:
    """For LDMXCSR; reserved bits at times."""
    rng, count = batch.rng, batch.count
    reserved = np.where(rng.random(count) < 0.2, 1 << rng.integers(18, 32, count), 0)
    words = rng.integers(0, 1 << 16, count) | reserved
    batch.store(batch.target, words.astype("<u4").view(np.uint8).reshape(count, 4))


def point_at_operand(batch: Batch) -> None:
    """MASKMOVQ, MASKMOVDQU store where EDI says."""
    batch.regs[:, EDI] = batch.target - np.uint32(batch.base)
    if batch.adsize == 16:
        batch.regs[:, EDI] &= np.uint32(0xFFFF)


def encoding(row: Instruction) -> str:
    """A row's opcode as tests/oracle/forms.py reads it."""
    text = row.lead.hex(" ") + f" {row.byte:02x}"
    operands = row.operands.split(",")
    if row.extension is not None:
        text += f" /{row.extension}"
    elif row.operands:
        text += " /r"
    return text + (" ib" if "Ib" in operands else "")


def memory_size(row: Instruction) -> int:
    """Bytes of the memory operand, 0 if there is none."""
    for text in row.operands.split(","):
        if text and text[0] in "MQWE":
            return WIDTHS.get(text[1:], 1)
    return 0


def uses_mmx(row: Instruction) -> bool:
    return (
        bool({"P", "Q", "N"} & {text[:1] for text in row.operands.split(",")}) or not row.operands
    )


def has_forms(row: Instruction, kind: str) -> bool:
    letters = {text[:1] for text in row.operands.split(",")}
    return not letters & set("NU" if kind == "mem" else "M")


def rows_of(row: Instruction) -> list[Row]:
    """The rows of tests/oracle for one of the table: FXSAVE and FXRSTOR are tested apart."""
    if row.body in ("fxsave", "fxrstor"):
        return []
    kind, size = element_kind(row), memory_size(row)
    prepare = partial(random_vectors, kind=kind, unit=uses_mmx(row))
    setup = partial(store_operand, kind=kind, size=size) if size else None
    if row.body == "ldmxcsr":
        setup = store_mxcsr
    options = {"nosize", "nolock", "vector"}
    if row.operands:
        options |= {kind for kind, other in (("mem", "reg"), ("reg", "mem"))
                    if not has_forms(row, other)}  # fmt: skip
    if row.body in ("mmx_masked_store", "xmm_masked_store"):
        size, prepare = (8 if uses_mmx(row) else 16), partial(_masked, then=prepare)
    return [
        Row(row.mnemonic, encoding(row), size, frozenset(options), prepare=prepare, setup=setup)
    ]


def _masked(batch: Batch, then: object) -> None:
    then(batch)  # type: ignore[operator]
    point_at_operand(batch)


ROWS: tuple[Row, ...] = tuple(each for row in SIMD for each in rows_of(row))

"""ModRM and SIB memory operands that land where the test wants them (SDM volume 2, 2.1.5).

Registers are random, so an address form with a 32-bit displacement is pointed at its target by the
displacement, one without by its base register. Worked example: target 20000F10h, form
[base+index*4+disp32] with EBX = 11111111h, ESI = 22222222h: disp32 = 20000F10h - 99999999h.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Shape:
    """An address form; every case of a group has the same one, so the same length."""

    name: str
    mod: int
    sib: bool = False
    base: bool = True
    index: bool = False


SHAPES32 = (
    Shape("[disp32]", 0, base=False),
    Shape("[base]", 0),
    Shape("[base+disp8]", 1),
    Shape("[base+disp32]", 2),
    Shape("[sib base]", 0, sib=True),
    Shape("[sib disp32]", 0, sib=True, base=False),
    Shape("[base+index*s]", 0, sib=True, index=True),
    Shape("[base+index*s+disp8]", 1, sib=True, index=True),
    Shape("[base+index*s+disp32]", 2, sib=True, index=True),
    Shape("[index*s+disp32]", 0, sib=True, base=False, index=True),
)
SHAPES16 = (
    Shape("[disp16]", 0, base=False),
    Shape("[bx+si]", 0),
    Shape("[bx+si+disp8]", 1),
    Shape("[bx+si+disp16]", 2),
)
_EBX, _ESP, _EBP, _ESI, _EDI = 3, 4, 5, 6, 7


def _pick(rng: Generator, count: int, allowed: list[int]) -> Array:
    return np.asarray(allowed)[rng.integers(0, len(allowed), count)]


def _bytes(values: Array, size: int) -> Array:
    wide = values.astype("<u4").view(np.uint8).reshape(len(values), 4)
    return wide[:, :size]


def _fix(regs: Array, which: Array, value: Array) -> None:
    regs[np.arange(len(regs)), which] = value


def _get(regs: Array, which: Array) -> Array:
    return np.asarray(regs[np.arange(len(regs)), which], np.uint32)


def operand32(
    rng: Generator, regs: Array, reg: Array, shape: Shape, offset: Array, keep: tuple[int, ...] = ()
) -> Array:
    """ModRM, SIB and displacement bytes; sets base registers in `regs`, and uses none of `keep`."""
    count = len(regs)
    modrm = shape.mod << 6 | reg << 3
    bases32 = [number for number in range(8) if number not in keep]
    bases = list(bases32)
    if shape.mod == 2:  # its base is not set: ESP serves too
        bases = [number for number in range(8) if number not in keep or number == _ESP]
    if shape.mod == 0:
        bases = [number for number in bases if number != _EBP]
    if not shape.sib:
        bases = [number for number in bases if number != _ESP]
    base = _pick(rng, count, bases)
    index = _pick(rng, count, [number for number in bases32 if number != _ESP])
    if shape.mod < 2 and shape.base:  # the base is set: it must not be the index too
        index = np.where(index == base, np.where(base == _EBX, _ESI, _EBX), index)
    scale = rng.integers(0, 4, count)
    scaled = _get(regs, index) << scale.astype(np.uint32) if shape.index else np.uint32(0)
    small = rng.integers(-128, 128, count)
    columns = [modrm | (4 if shape.sib else base if shape.base else 5)]
    if shape.sib:
        low = base if shape.base else 5
        columns.append(scale << 6 | (index if shape.index else 4) << 3 | low)
    head = np.stack([np.broadcast_to(c, count) for c in columns], axis=1).astype(np.uint8)
    if not shape.base:
        return np.hstack([head, _bytes(offset - scaled, 4)])
    if shape.mod == 2:
        return np.hstack([head, _bytes(offset - scaled - _get(regs, base), 4)])
    wanted = offset - scaled
    if shape.mod == 1:
        wanted = (wanted - small.astype(np.int64)).astype(np.uint32)
        head = np.hstack([head, (small & 0xFF).astype(np.uint8)[:, None]])
    _fix(regs, base, wanted)
    return head


_PAIRS16 = ((3, 6), (3, 7), (5, 6), (5, 7), (6,), (7,), (5,), (3,))


def operand16(
    rng: Generator, regs: Array, reg: Array, shape: Shape, offset: Array, keep: tuple[int, ...] = ()
) -> Array:
    """The same for 16-bit addressing: the first register of the form is set, modulo 64 KiB."""
    count = len(regs)
    offset = offset & np.uint32(0xFFFF)
    modrm = shape.mod << 6 | reg << 3
    if not shape.base:
        return np.hstack([(modrm | 6).astype(np.uint8)[:, None], _bytes(offset, 2)])
    rows = [
        number
        for number, pair in enumerate(_PAIRS16)
        if pair[0] not in keep and not (shape.mod == 0 and number == 6)
    ]
    rm = _pick(rng, count, rows)
    displacement = {
        0: np.zeros(count, np.int64),
        1: rng.integers(-128, 128, count),
        2: rng.integers(-0x8000, 0x8000, count),
    }[shape.mod]
    first = np.array([pair[0] for pair in _PAIRS16])[rm]
    second = np.array([pair[1] if len(pair) > 1 else -1 for pair in _PAIRS16])[rm]
    other = np.where(second >= 0, _get(regs, np.maximum(second, 0)), 0)
    low = (offset - other.astype(np.int64) - displacement) & 0xFFFF
    _fix(regs, first, (_get(regs, first) & np.uint32(0xFFFF_0000)) | low.astype(np.uint32))
    head = (modrm | rm).astype(np.uint8)[:, None]
    return np.hstack([head, _bytes((displacement & 0xFFFF).astype(np.uint32), shape.mod)])

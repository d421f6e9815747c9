"""Instruction forms that ring 3 can execute, as generators of random cases.

A *form* is one line of the manual's opcode table at one operand size: `ADD Ev,Iz` is "81 /0 iz".
`Form.generate(rng, n)` makes n cases of it: raw bytes with every address form, random operands and
state, in several *settings*: 32 or 16-bit code segment, 32 or 16-bit addresses, flat, based or
limited segments, segment overrides. The tables are in forms_integer.py and forms_x87.py; the
encoding strings follow the manual (volume 2, 3.1.1.1):

    /r  ModRM with a register      ib ibs iw iz  immediate: byte, sign-extended byte, word, 16/32
    /s  with a segment register    cb cz         relative target: byte, 16/32
    /0../7  with a digit           moffs         absolute address of the address size
    +r  register in the opcode

16-bit addresses reach the data only through a segment with base DATA, which those settings use.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bt.hostcpu import filters
from bt.hostcpu import layout as at
from bt.hostcpu.host import new_cases
from tests.oracle import values
from tests.oracle.addressing import SHAPES16, SHAPES32, Shape, operand16, operand32

Array = NDArray[Any]

GROUP = 32  # cases that share a setting and a length
TRAP_SHARE = 1 / 64

EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI = range(8)

_OVERRIDES = (0x26, 0x36, 0x3E, 0x64, 0x65)


@dataclass(frozen=True)
class Row:
    """One encoding. `size` is the memory operand's width in bytes, or 'v' (2 or 4), or 0 (none).

    options: mem, reg (only that kind of ModRM), stack (uses SS:ESP), nosize (the operand size does
    not matter: no 66 variant), nolock (no LOCK variant), plain (only the flat 32-bit setting),
    exact (the memory operand lies inside the main window), vector (most operands are aligned).
    """

    mnemonic: str
    encoding: str
    size: int | str = "v"
    options: frozenset[str] = frozenset()
    prepare: Setup | None = None  # sets registers, before an address is built in them
    setup: Setup | None = None  # sets memory (and registers that `keep` protects), at the end
    keep: tuple[int, ...] = ()  # registers in which no address may be built

    @property
    def has_modrm(self) -> bool:
        return "/" in self.encoding


@dataclass
class Batch:
    """Cases under construction that share a setting; `target` is the operand's linear address."""

    rng: Generator
    cases: Array
    code16: bool
    opsize: int
    adsize: int
    base: int  # of every data segment
    target: Array
    memory: bool  # the ModRM operand is memory
    reg: Array  # the reg field of ModRM
    rm: Array  # its r/m field, for register operands
    reject: Array  # cases that a setup found to reach memory outside of the windows

    @property
    def count(self) -> int:
        return len(self.cases)

    @property
    def regs(self) -> Array:
        return np.asarray(self.cases["regs"])

    def store(self, address: Array, data: Array) -> None:
        """Put bytes (count, k) where the windows hold `address`; bytes outside are dropped."""
        for column in range(data.shape[1]):
            where = address.astype(np.int64) + column
            main = where - at.MAIN_WINDOW
            edge = where - at.EDGE_WINDOW + at.MAIN_SIZE
            inside_main = (main >= 0) & (main < at.MAIN_SIZE)
            inside_edge = (edge >= at.MAIN_SIZE) & (edge < at.MEM_SIZE)
            offset = np.where(inside_main, main, edge)
            rows = np.flatnonzero(inside_main | inside_edge)
            self.cases["mem"][rows, offset[rows]] = data[rows, column]


Setup = Callable[[Batch], None]


@dataclass(frozen=True)
class Form:
    """A row at one operand size, with or without LOCK, on memory or on registers."""

    row: Row
    opsize: int
    memory: bool
    lock: bool = False

    @property
    def name(self) -> str:
        kind = ("mem" if self.memory else "reg") if self.row.has_modrm else ""
        parts = [self.row.mnemonic, self.row.encoding, str(self.opsize), kind]
        return " ".join(part for part in (*parts, "lock" if self.lock else "") if part)

    @property
    def mnemonic(self) -> str:
        return self.row.mnemonic

    def generate(self, rng: Generator, count: int) -> Array:
        """About `count` random cases."""
        groups = [self._group(rng) for _ in range(max(1, count // GROUP))]
        cases = np.concatenate(groups)
        return cases[~filters.refused(cases["code"]) & ~_on_signal_stack(cases)]

    def seed(self) -> int:
        """A seed of the form's own: a failing form repeats alone."""
        return zlib.crc32(self.name.encode())

    def _group(self, rng: Generator) -> Array:
        batch = _new_batch(rng, self)
        prefixes = _prefixes(batch, self)
        if self.row.prepare is not None:
            self.row.prepare(batch)
        body = _encode(batch, self)
        if self.row.setup is not None:
            self.row.setup(batch)
        head = np.broadcast_to(np.array(prefixes, np.uint8), (batch.count, len(prefixes)))
        code = np.hstack([head, body])
        batch.cases["code"][:, : code.shape[1]] = code
        batch.cases["length"] = code.shape[1]
        batch.cases["target"] = batch.target
        return batch.cases[~batch.reject]


def _on_signal_stack(cases: Array) -> Array:
    """ESP by chance in the oracle's signal stack: the host kernel would go on from there."""
    return np.asarray(cases["regs"][:, ESP] - np.uint32(at.SIGNAL_STACK) < at.SIGNAL_STACK_SIZE)


def forms_of(row: Row) -> list[Form]:
    """Every form of a row: operand sizes, memory and register, LOCK where it is worth a #UD."""
    sizes = (32,) if "nosize" in row.options else (32, 16)
    kinds = [True, False] if row.has_modrm else [False]
    if "mem" in row.options:
        kinds = [True]
    if "reg" in row.options:
        kinds = [False]
    forms = [Form(row, size, memory) for size in sizes for memory in kinds]
    if row.has_modrm and "nolock" not in row.options:
        forms += [Form(row, 32, memory, lock=True) for memory in kinds]
    return forms


# Settings

_FLAT = (at.SEL_FLAT,)
_WINDOW = (at.SEG_WINDOW.selector,)
_LIMITED = (
    at.SEG_WINDOW.selector,
    at.SEG_SHORT.selector,
    at.SEG_DOWN.selector,
    at.SEG_READ_ONLY.selector,
)


def _new_batch(rng: Generator, form: Form) -> Batch:
    cases = new_cases(GROUP)
    cases["regs"] = values.words(rng, (GROUP, 8))
    cases["eflags"] = values.eflags(rng, GROUP, TRAP_SHARE)
    cases["mem"] = values.memory(rng, GROUP)
    plain = "plain" in form.row.options
    code16 = not plain and rng.random() < 0.15
    adsize = 16 if not plain and rng.random() < 0.2 else 32
    based = adsize == 16 or (not plain and rng.random() < 0.15)
    if code16:
        cases["cs"] = at.SEG_CODE16.selector
    batch = Batch(
        rng,
        cases,
        code16=code16,
        opsize=form.opsize,
        adsize=adsize,
        base=at.DATA if based else 0,
        target=_targets(rng, form),
        memory=form.memory,
        reg=np.zeros(GROUP, np.int64),
        rm=np.zeros(GROUP, np.int64),
        reject=np.zeros(GROUP, bool),
    )
    _segments(batch, form)
    if "stack" in form.row.options:
        _stack(batch)
    return batch


def _segments(batch: Batch, form: Form) -> None:
    rng, cases = batch.rng, batch.cases
    if not batch.base:
        if "plain" not in form.row.options and rng.random() < 0.02:
            cases["ds"] = 0
        return
    limited = rng.random() < 0.25
    for name in ("es", "ds", "fs", "gs"):
        cases[name] = rng.choice(_LIMITED if limited else _WINDOW)
    stack = [at.SEG_WINDOW.selector, at.SEG_STACK16.selector]
    cases["ss"] = rng.choice([*stack, at.SEG_SHORT.selector] if limited else stack)


def _stack(batch: Batch) -> None:
    """ESP in the middle of the main window, aligned most of the time."""
    rng = batch.rng
    step = rng.choice([4, 4, 4, 2, 1])
    offset = 192 + step * rng.integers(0, 128 // step, batch.count)
    esp = (at.MAIN_WINDOW - batch.base + offset).astype(np.uint32)
    narrow = batch.cases["ss"] == at.SEG_STACK16.selector
    high = rng.integers(0, 1 << 16, batch.count).astype(np.uint32) << np.uint32(16)
    batch.regs[:, ESP] = np.where(narrow, high | esp, esp)


def operand_width(size: int | str, opsize: int) -> int:
    """Bytes of the memory operand."""
    if size == "v":
        return opsize // 8
    if size == "2v":
        return opsize // 4
    if size == "p":
        return opsize // 8 + 2
    return int(size)


def _targets(rng: Generator, form: Form) -> Array:
    """Linear addresses of the operand: in the main window, around its page boundary, at the hole,
    rarely in the read-only page or in no page at all."""
    width = max(1, operand_width(form.row.size, form.opsize))
    inside = at.MAIN_WINDOW + 64 + rng.integers(0, at.MAIN_SIZE - 128 - width, GROUP)
    if "exact" in form.row.options:
        return np.asarray(inside, np.uint32)
    crossing = at.DATA + at.PAGE - rng.integers(0, width + 1, GROUP)
    hole = at.DATA + at.DATA_SIZE - rng.integers(0, 2 * width, GROUP)
    read_only = at.READ_ONLY_PAGE + rng.integers(0, 256, GROUP)
    kind = rng.choice(4, GROUP, p=[0.8, 0.12, 0.05, 0.03])
    target = np.choose(kind, [inside, crossing, hole, read_only])
    aligned = target & ~np.int64(7)
    align = (rng.random(GROUP) < 0.5) & (kind == 0)
    if "vector" in form.row.options:
        aligned = target & ~np.int64(max(8, width) - 1)
        align = rng.random(GROUP) < 0.85
    if form.lock or form.row.mnemonic == "XCHG":  # no locked access across cache lines
        align = np.ones(GROUP, bool)
    return np.where(align, aligned, target).astype(np.uint32)


def _prefixes(batch: Batch, form: Form) -> list[int]:
    """Prefix bytes in random order: sizes against the code segment's default, LOCK, override."""
    default = 16 if batch.code16 else 32
    prefixes = []
    if "nosize" not in form.row.options and form.opsize != default:
        prefixes.append(0x66)
    if batch.adsize != default:
        prefixes.append(0x67)
    if form.lock:
        prefixes.append(0xF0)
    if "plain" not in form.row.options and batch.rng.random() < 0.15:
        prefixes.append(int(batch.rng.choice(_OVERRIDES)))
    return [int(byte) for byte in batch.rng.permutation(prefixes)]


# Encoding

_CODE_REACH = 127


def _encode(batch: Batch, form: Form) -> Array:
    """Opcode, ModRM, displacement and immediate bytes of every case."""
    columns: list[Array] = []
    for token in form.row.encoding.split():
        if token == "+r":
            columns[-1] = columns[-1] + batch.rng.integers(0, 8, (batch.count, 1)).astype(np.uint8)
        elif token.startswith("/"):
            columns.append(_modrm(batch, form, token))
        elif token in _IMMEDIATES:
            columns.append(_IMMEDIATES[token](batch, form))
        else:
            byte = np.full((batch.count, 1), int(token, 16), np.uint8)
            columns.append(byte)
    return np.hstack(columns)


def _modrm(batch: Batch, form: Form, token: str) -> Array:
    rng = batch.rng
    if token == "/r":
        reg = rng.integers(0, 8, batch.count)
    elif token == "/s":  # a segment register; 6 and 7 do not exist
        reg = rng.integers(0, 8 if rng.random() < 0.2 else 6, batch.count)
    else:
        reg = np.full(batch.count, int(token[1:]))
    batch.reg = reg
    if not form.memory:
        batch.rm = rng.integers(0, 8, batch.count)
        return (0xC0 | reg << 3 | batch.rm).astype(np.uint8)[:, None]
    keep = (*form.row.keep, ESP) if "stack" in form.row.options else form.row.keep
    offset = (batch.target - np.uint32(batch.base)).astype(np.uint32)
    if batch.adsize == 16:
        shape: Shape = SHAPES16[rng.integers(0, len(SHAPES16))]
        return operand16(rng, batch.regs, reg, shape, offset, keep)
    shape = SHAPES32[rng.integers(0, len(SHAPES32))]
    return operand32(rng, batch.regs, reg, shape, offset, keep)


def _immediate_byte(batch: Batch, form: Form) -> Array:
    corners = np.array([0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 127, 128, 255])
    uniform = batch.rng.integers(0, 256, batch.count)
    picked = corners[batch.rng.integers(0, len(corners), batch.count)]
    return np.where(batch.rng.random(batch.count) < 0.5, uniform, picked).astype(np.uint8)[:, None]


def _as_bytes(data: Array, size: int) -> Array:
    return data.astype("<u4").view(np.uint8).reshape(len(data), 4)[:, :size]


def _immediate(batch: Batch, form: Form) -> Array:
    return _as_bytes(values.words(batch.rng, batch.count), batch.opsize // 8)


def _immediate_word(batch: Batch, form: Form) -> Array:
    small = batch.rng.integers(0, 64, batch.count).astype(np.uint32)
    words = values.words(batch.rng, batch.count)
    return _as_bytes(np.where(batch.rng.random(batch.count) < 0.6, small, words), 2)


def _near_distance(batch: Batch) -> Array:
    """A distance to INT3 bytes: well before the code or after the jump that ends it."""
    forward = batch.rng.integers(16, 128, batch.count)
    backward = batch.rng.integers(-128, -40, batch.count)
    return np.where(batch.rng.random(batch.count) < 0.5, forward, backward)


def _relative_byte(batch: Batch, form: Form) -> Array:
    return (_near_distance(batch) & 0xFF).astype(np.uint8)[:, None]


def _relative(batch: Batch, form: Form) -> Array:
    """Near targets, and some in a region where nobody maps anything (or beyond the limit)."""
    far = 0x4000_0000 + batch.rng.integers(0, 1 << 24, batch.count)
    distance = np.where(batch.rng.random(batch.count) < 0.9, _near_distance(batch), far)
    return _as_bytes(distance & 0xFFFF_FFFF, batch.opsize // 8)


def _moffs(batch: Batch, form: Form) -> Array:
    offset = (batch.target - np.uint32(batch.base)).astype(np.uint32)
    return _as_bytes(offset, batch.adsize // 8)


_IMMEDIATES: dict[str, Callable[[Batch, Form], Array]] = {
    "ib": _immediate_byte,
    "ibs": _immediate_byte,
    "iw": _immediate_word,
    "iz": _immediate,
    "cb": _relative_byte,
    "cz": _relative,
    "moffs": _moffs,
}


def all_forms() -> list[Form]:
    """Every integer, x87, MMX and SSE form."""
    from tests.oracle.forms_integer import ROWS as integer_rows
    from tests.oracle.forms_simd import ROWS as simd_rows
    from tests.oracle.forms_x87 import ROWS as x87_rows

    return [form for row in (*integer_rows, *x87_rows, *simd_rows) for form in forms_of(row)]

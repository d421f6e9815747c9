"""From the instruction table to handlers and decoding tables.

Every row of bt/table.py is stamped: its body is called with the row's arguments, then, if the body
has parameters of these names, with the operand size and with 1 or 0 for a memory or register
operand. `add Ev,Gv` gives alu_eg(c, op, ALU_ADD, 2 or 4, 0 or 1): four handlers.

Uncompiled, a handler is a small closure. The compiled build writes one C function for each
(build.py) and takes the numbers from here, so both builds decode alike.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bt.instruction import WRONG_IN_RING3, Class, Instruction
from bt.interp import decode as d
from bt.interp import features
from bt.interp.state import H_FIRST
from bt.table import TABLE

OPCODES = 0x500  # Instruction.code

IMMEDIATES = {
    "Ib": d.IMM_B,
    "Is": d.IMM_S,
    "Iw": d.IMM_W,
    "Iv": d.IMM_V,
    "Js": d.IMM_JS,
    "Jv": d.IMM_JV,
    "Pv": d.IMM_P,
    "1": d.IMM_ONE,
    "Ob": d.IMM_O,
    "Ov": d.IMM_O,
}


@dataclass(frozen=True)
class Handler:
    """One stamped body: what the handler of that number calls, after (c, op)."""

    body: str
    args: tuple[int, ...]
    feature: int = features.FEAT_NONE  # a processor without it has no such instruction


@dataclass
class Tables:
    """What decode.py reads, and the handlers in the order of their numbers."""

    shape: array[int] = field(default_factory=lambda: array("I", bytes(4 * OPCODES * 8)))
    imm: array[int] = field(default_factory=lambda: array("B", bytes(OPCODES * 8)))
    select: array[int] = field(default_factory=lambda: array("H", bytes(2 * OPCODES * 8 * 4)))
    handlers: list[Handler] = field(default_factory=list)

    @property
    def feature(self) -> array[int]:
        """FEAT_* of each handler."""
        return array("B", [handler.feature for handler in self.handlers])


SPECIAL = (  # H_UNDEFINED ... in the order of state.py
    Handler("undefined", ()),
    Handler("stale", ()),
    Handler("fallthrough", ()),
    Handler("look_up", ()),
    Handler("too_long", ()),
    Handler("stop_here", ()),
    Handler("stub_done", ()),
    Handler("landing_jump", ()),
    Handler("count_entry", ()),
    Handler("traced", ()),
)
assert len(SPECIAL) == H_FIRST


def operand_list(row: Instruction) -> list[str]:
    return [o for o in row.operands.split(",") if o]


def row_size(row: Instruction) -> str:
    """The letter that sizes the row: of its first operand that has one ("v" if none)."""
    for operand in operand_list(row):
        letter = operand[-1]
        if letter in "bwv" and operand[0] != "P":
            return letter
        if operand == "Rd":
            return "d"
    return "v"


def has_modrm(row: Instruction) -> bool:
    return row.extension is not None or any(o[0] in "EGMRQNVWU" for o in operand_list(row))


def row_shape(row: Instruction) -> int:
    """SHAPE bits of a row."""
    operands = operand_list(row)
    shape = 0
    if has_modrm(row):
        shape |= d.SH_MODRM
    for o in operands:
        if o == "Eb":
            shape |= d.SH_E_BYTE
        elif o == "Gb":
            shape |= d.SH_G_BYTE
        elif o[0] == "M":
            shape |= d.SH_MEM_ONLY
        elif o[0] == "R":
            shape |= d.SH_REG_ONLY
        elif o[0] == "Z":
            shape |= d.SH_Z | (d.SH_Z_BYTE if o == "Zb" else 0)
        elif o[0] == "O":
            shape |= d.SH_OFFSET
    if row.ends:
        shape |= d.SH_ENDS
    if row.lock:
        shape |= d.SH_LOCK
    if row.sensitivity is Class.CRITICAL:
        shape |= d.SH_CRITICAL
    if row.group in WRONG_IN_RING3:
        shape |= d.SH_WRONG
    return shape | {"b": d.SH_SIZE_B, "w": d.SH_SIZE_W, "v": 0, "d": d.SH_SIZE_D}[row_size(row)]


def row_imm(row: Instruction) -> int:
    operands = operand_list(row)
    if "Iw" in operands and "Ib" in operands:
        return d.IMM_WB
    for o in operands:
        if o in IMMEDIATES:
            return IMMEDIATES[o]
    return d.IMM_NONE


def row_feature(row: Instruction) -> int:
    """FEAT_* of a row; AttributeError for a name that features.py does not know."""
    return int(getattr(features, f"FEAT_{(row.feature or 'none').upper()}"))


def memory_forms(row: Instruction) -> tuple[int, ...]:
    """Which of register (0) and memory (1) forms exist."""
    operands = operand_list(row)
    if any(o[0] == "M" for o in operands) or any(o[0] == "O" for o in operands):
        return (1,)
    if any(o[0] in "EQW" for o in operands):
        return (0, 1)
    return (0,)


def build_tables(parameters: Mapping[str, tuple[str, ...]]) -> Tables:
    """Stamp the whole table. `parameters` gives each body's parameter names after (c, op)."""
    tables = Tables(handlers=list(SPECIAL))
    numbers: dict[Handler, int] = {}
    for row in TABLE:
        _enter_row(tables, numbers, row, parameters[row.body])
    for row in TABLE:
        if row.paged:  # also where there is no such row without a prefix
            for extension in range(8):
                tables.shape[(0x100 + row.byte) * 8 + extension] |= d.SH_PREFIXED
    return tables


def _enter_row(
    tables: Tables, numbers: dict[Handler, int], row: Instruction, names: tuple[str, ...]
) -> None:
    code = row.code
    codes = range(code, code + 8) if row.in_opcode else (code,)
    extensions = range(8) if row.extension is None else (row.extension,)
    letter = row_size(row)
    for wide in (0, 1):
        size = {"b": 1, "w": 2, "d": 4}.get(letter, 4 if wide else 2)
        for mem in memory_forms(row):
            stamp = tuple({"size": size, "mem": mem}[n] for n in names if n in ("size", "mem"))
            handler = Handler(row.body, row.args + stamp, row_feature(row))
            number = numbers.setdefault(handler, len(tables.handlers))
            if number == len(tables.handlers):
                tables.handlers.append(handler)
            if row.modrm is not None:  # its group's shape stays; the body looks at the whole byte
                tables.select[(code * 8 + extensions[0]) * 4 + wide * 2] = number
                continue
            for c in codes:
                for extension in extensions:
                    entry = c * 8 + extension
                    tables.select[entry * 4 + wide * 2 + mem] = number
                    tables.shape[entry] = row_shape(row)
                    tables.imm[entry] = row_imm(row)
                if row.extension is not None:  # undefined members of the group have ModRM too
                    for extension in range(8):
                        tables.shape[c * 8 + extension] |= d.SH_MODRM


def bind(tables: Tables, bodies: Mapping[str, Callable[..., int]]) -> list[Callable[..., int]]:
    """Callable handlers for the uncompiled build, in the order of their numbers."""

    def close(body: Callable[..., int], args: tuple[int, ...]) -> Callable[..., int]:
        return lambda c, op: body(c, op, *args)

    return [close(bodies[h.body], h.args) if h.args else bodies[h.body] for h in tables.handlers]
